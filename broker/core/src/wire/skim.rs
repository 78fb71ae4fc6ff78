//! A first look at a request's body, before the `kafka-protocol` crate decodes it: that crate
//! allocates as much as the counts in the bytes say. Here each count and length is checked against
//! the bytes that remain, by the layouts in `schema`. What the fields mean is not looked at.

mod schema;

use crate::wire::api::ApiKey;
use crate::wire::primitive::{Reader, WireError};
pub(super) use schema::fields;

/// How a field is laid out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string, or null.
    Text,
    /// Bytes, or null.
    Blob,
    /// A count, or null, and so many elements.
    List(&'static Kind),
    /// Fields, then tagged fields.
    Struct(&'static [Field]),
    /// A byte: negative for null, else a structure follows.
    Optional(&'static [Field]),
}

/// A field of a structure, in the versions that have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) from: i16,
    pub(super) to: i16,
}

impl Field {
    pub(super) fn is_in(&self, version: i16) -> bool {
        self.from <= version && version <= self.to
    }
}

/// Walks over a request's body.
pub(super) fn skim(api: ApiKey, version: i16, r: &mut Reader<'_>) -> Result<(), WireError> {
    walk_fields(fields(api), version, r)
}

fn walk_fields(fields: &[Field], version: i16, r: &mut Reader<'_>) -> Result<(), WireError> {
    for field in fields.iter().filter(|f| f.is_in(version)) {
        walk(field.name, field.kind, version, r)?;
    }
    r.skip_tags()
}

/// The recursion is as deep as the layout, whatever the bytes say.
fn walk(name: &'static str, kind: Kind, version: i16, r: &mut Reader<'_>) -> Result<(), WireError> {
    match kind {
        Kind::Fixed(n) => r.take(name, n).map(|_| ()),
        Kind::Text => r.raw_string(name).map(|_| ()),
        Kind::Blob => r.skip_bytes(name),
        Kind::List(element) => {
            let least = least_bytes(*element, version, r.flexible());
            let count = r.nullable_count(name, least)?.unwrap_or(0);
            for _ in 0..count {
                walk(name, *element, version, r)?;
            }
            Ok(())
        }
        Kind::Struct(fields) => walk_fields(fields, version, r),
        Kind::Optional(fields) => {
            if r.i8(name)? < 0 {
                return Ok(());
            }
            walk_fields(fields, version, r)
        }
    }
}

/// The fewest bytes that a value takes.
fn least_bytes(kind: Kind, version: i16, flexible: bool) -> usize {
    match kind {
        Kind::Fixed(n) => n,
        Kind::Text => {
            if flexible {
                1
            } else {
                2
            }
        }
        Kind::Blob | Kind::List(_) => {
            if flexible {
                1
            } else {
                4
            }
        }
        Kind::Struct(fields) => {
            let fields = fields.iter().filter(|f| f.is_in(version));
            let sum: usize = fields.map(|f| least_bytes(f.kind, version, flexible)).sum();
            sum + usize::from(flexible)
        }
        Kind::Optional(_) => 1,
    }
}
