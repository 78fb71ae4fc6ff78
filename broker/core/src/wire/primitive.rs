//! Kafka's primitive types, in both encodings: plain, and flexible (varint counts, tagged fields).
//! Every count and length is checked against the bytes that remain before anything is taken.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use crate::ids::Uuid;
use crate::wire::Part;

/// Bytes that are not what the protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The request ends before the field does.
    #[error("{what} needs {needed} bytes where {left} remain")]
    Short {
        /// The field.
        what: &'static str,
        /// How many bytes it takes at least.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// A count or length below what means "null".
    #[error("{what} has the length {length}")]
    Length {
        /// The field.
        what: &'static str,
        /// The length that was read.
        length: i64,
    },
    /// Null where a value is required.
    #[error("{what} is null")]
    Null {
        /// The field.
        what: &'static str,
    },
    /// A varint of more than 32 (or 64) bits.
    #[error("{what} is not a varint")]
    Varint {
        /// The field.
        what: &'static str,
    },
    /// Text that is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotText {
        /// The field.
        what: &'static str,
    },
    /// More elements or tagged fields than any client needs; each costs memory.
    #[error("more than {max} {what} in one request")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// Takes fields off the front of a frame.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    frame: &'a Bytes,
    rest: &'a [u8],
    flexible: bool,
    /// How many elements of arrays may still come.
    elements: usize,
}

/// Elements of all arrays of one request, and its tagged fields, together.
pub(super) const REQUEST_ELEMENTS_MAX: usize = 1 << 18;

impl<'a> Reader<'a> {
    pub(super) fn new(frame: &'a Bytes, flexible: bool) -> Reader<'a> {
        Reader { frame, rest: frame, flexible, elements: REQUEST_ELEMENTS_MAX }
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn flexible(&self) -> bool {
        self.flexible
    }

    pub(super) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    pub(super) fn take(&mut self, what: &'static str, n: usize) -> Result<&'a [u8], WireError> {
        let Some((taken, rest)) = self.rest.split_at_checked(n) else {
            return Err(WireError::Short { what, needed: n, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(WireError::Short { what, needed: N, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn i8(&mut self, what: &'static str) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.array(what)?))
    }

    pub(super) fn i16(&mut self, what: &'static str) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.array(what)?))
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    pub(super) fn i64(&mut self, what: &'static str) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    pub(super) fn uuid(&mut self, what: &'static str) -> Result<Uuid, WireError> {
        Ok(Uuid::from_bytes(self.array(what)?))
    }

    pub(super) fn varint(&mut self, what: &'static str) -> Result<u32, WireError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array(what)?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::Varint { what })
    }

    /// A length: a varint of one more in the flexible encoding, else `plain` reads it. None is null.
    fn length(
        &mut self,
        what: &'static str,
        plain: impl FnOnce(&mut Self) -> Result<i64, WireError>,
    ) -> Result<Option<usize>, WireError> {
        let length = if self.flexible { i64::from(self.varint(what)?) - 1 } else { plain(self)? };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(WireError::Length { what, length }),
        }
    }

    /// A string's bytes, not looked at.
    pub(super) fn raw_string(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, WireError> {
        match self.length(what, |r| r.i16(what).map(i64::from))? {
            Some(n) => self.take(what, n).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn nullable_string(
        &mut self,
        what: &'static str,
    ) -> Result<Option<StrBytes>, WireError> {
        let Some(raw) = self.raw_string(what)? else { return Ok(None) };
        match StrBytes::from_utf8(self.frame.slice_ref(raw)) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(WireError::NotText { what }),
        }
    }

    pub(super) fn string(&mut self, what: &'static str) -> Result<StrBytes, WireError> {
        self.nullable_string(what)?.ok_or(WireError::Null { what })
    }

    /// Bytes that share the frame.
    pub(super) fn nullable_bytes(
        &mut self,
        what: &'static str,
    ) -> Result<Option<Bytes>, WireError> {
        match self.length(what, |r| r.i32(what).map(i64::from))? {
            Some(n) => self.take(what, n).map(|taken| Some(self.frame.slice_ref(taken))),
            None => Ok(None),
        }
    }

    pub(super) fn skip_bytes(&mut self, what: &'static str) -> Result<(), WireError> {
        let n = self.length(what, |r| r.i32(what).map(i64::from))?.unwrap_or(0);
        self.take(what, n).map(|_| ())
    }

    /// An array's count, that so many elements of at least `element_bytes` can follow. None is null.
    pub(super) fn nullable_count(
        &mut self,
        what: &'static str,
        element_bytes: usize,
    ) -> Result<Option<usize>, WireError> {
        let Some(n) = self.length(what, |r| r.i32(what).map(i64::from))? else { return Ok(None) };
        let needed = n.saturating_mul(element_bytes);
        if needed > self.rest.len() {
            return Err(WireError::Short { what, needed, left: self.rest.len() });
        }
        self.spend(n)?;
        Ok(Some(n))
    }

    /// Counts `n` elements against what one request may have.
    fn spend(&mut self, n: usize) -> Result<(), WireError> {
        let too_many = WireError::TooMany { what: "elements", max: REQUEST_ELEMENTS_MAX };
        self.elements = self.elements.checked_sub(n).ok_or(too_many)?;
        Ok(())
    }

    /// An array of elements that take at least `element_bytes` each.
    pub(super) fn list<T>(
        &mut self,
        what: &'static str,
        element_bytes: usize,
        mut get: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let n = self.nullable_count(what, element_bytes)?.ok_or(WireError::Null { what })?;
        let mut items = Vec::with_capacity(n);
        for _ in 0..n {
            items.push(get(self)?);
        }
        Ok(items)
    }

    /// Tagged fields, in the flexible encoding: `get` sees each tag with a reader of its value.
    pub(super) fn tags(
        &mut self,
        mut get: impl FnMut(u32, &mut Reader<'a>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint("the number of tagged fields")? {
            let tag = self.varint("a tag")?;
            let size = self.varint("the size of a tagged field")? as usize;
            let value = self.take("a tagged field", size)?;
            self.spend(1)?;
            let (frame, elements) = (self.frame, self.elements);
            get(tag, &mut Reader { frame, rest: value, flexible: true, elements })?;
        }
        Ok(())
    }

    /// Tagged fields of which none means anything here.
    pub(super) fn skip_tags(&mut self) -> Result<(), WireError> {
        self.tags(|_, _| Ok(()))
    }
}

/// Appends fields to a response. Record data is only referred to.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) buf: BytesMut,
    flexible: bool,
    /// Record data that belongs before the byte of `buf` with this position.
    cuts: Vec<(usize, Vec<Part>)>,
}

impl Writer {
    pub(super) fn new(flexible: bool) -> Writer {
        Writer { buf: BytesMut::with_capacity(256), flexible, cuts: Vec::new() }
    }

    pub(super) fn i16(&mut self, v: i16) {
        self.buf.put_i16(v);
    }

    pub(super) fn i32(&mut self, v: i32) {
        self.buf.put_i32(v);
    }

    pub(super) fn i64(&mut self, v: i64) {
        self.buf.put_i64(v);
    }

    pub(super) fn uuid(&mut self, v: Uuid) {
        self.buf.put_slice(v.as_bytes());
    }

    pub(super) fn varint(&mut self, mut v: u32) {
        while v >= 0x80 {
            self.buf.put_u8((v & 0x7f) as u8 | 0x80);
            v >>= 7;
        }
        self.buf.put_u8((v & 0x7f) as u8);
    }

    /// The length of bytes or the count of an array; none is null.
    pub(super) fn length(&mut self, n: Option<usize>) {
        // A response beyond 2 GiB is refused as a whole when it is closed; what is written here
        // then never leaves.
        let n = n.map(|n| i32::try_from(n).unwrap_or(i32::MAX));
        match (self.flexible, n) {
            (true, None) => self.varint(0),
            (true, Some(n)) => self.varint(n.unsigned_abs().saturating_add(1)),
            (false, None) => self.i32(-1),
            (false, Some(n)) => self.i32(n),
        }
    }

    pub(super) fn nullable_string(&mut self, v: Option<&str>) {
        let Some(v) = v else {
            return if self.flexible { self.varint(0) } else { self.i16(-1) };
        };
        // Names come from requests, where they fit; our own words may have to be cut.
        let mut n = v.len().min(i16::MAX as usize);
        while !v.is_char_boundary(n) {
            n -= 1;
        }
        if self.flexible {
            self.length(Some(n));
        } else {
            self.i16(i16::try_from(n).unwrap_or(i16::MAX));
        }
        self.buf.put_slice(v.as_bytes().get(..n).unwrap_or_default());
    }

    pub(super) fn string(&mut self, v: &str) {
        self.nullable_string(Some(v));
    }

    pub(super) fn list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) {
        self.length(Some(items.len()));
        for item in items {
            put(self, item);
        }
    }

    /// Record data: its length, then the parts, which are not copied.
    pub(super) fn records(&mut self, parts: Vec<Part>) {
        self.length(Some(parts.iter().map(Part::len).sum()));
        if !parts.is_empty() {
            self.cuts.push((self.buf.len(), parts));
        }
    }

    /// No tagged fields (nothing in the plain encoding).
    pub(super) fn no_tags(&mut self) {
        if self.flexible {
            self.varint(0);
        }
    }

    /// The number of tagged fields that follow (nothing in the plain encoding).
    pub(super) fn tag_count(&mut self, n: usize) {
        if self.flexible {
            self.varint(u32::try_from(n).unwrap_or(0));
        }
    }

    /// One tagged field, without record data in it.
    pub(super) fn tag(&mut self, tag: u32, put: impl FnOnce(&mut Self)) {
        let mut value = Writer::new(true);
        put(&mut value);
        self.varint(tag);
        self.varint(u32::try_from(value.buf.len()).unwrap_or(u32::MAX));
        self.buf.put_slice(&value.buf);
    }

    /// How many bytes the response takes so far, record data included.
    pub(super) fn total(&self) -> usize {
        let records: usize = self.cuts.iter().flat_map(|(_, parts)| parts).map(Part::len).sum();
        self.buf.len() + records
    }

    /// The response: what was written, with the record data in its places.
    pub(super) fn finish(self) -> Vec<Part> {
        let mut rest = self.buf.freeze();
        let mut parts = Vec::with_capacity(self.cuts.len() * 2 + 1);
        let mut done = 0;
        for (at, records) in self.cuts {
            parts.push(Part::Memory(rest.split_to(at - done)));
            parts.extend(records);
            done = at;
        }
        if !rest.is_empty() {
            parts.push(Part::Memory(rest));
        }
        parts
    }
}
