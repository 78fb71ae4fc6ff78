//! Requests made from the layouts in `skim::schema`, and chance that is the same in every run.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages as m;
use kafka_protocol::protocol::Encodable;

use crate::wire::api::ApiKey;
use crate::wire::skim::{Field, Kind, fields};
use crate::wire::tests::produce_fetch;

/// Numbers that look random, from a seed.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(super) fn text(&mut self) -> String {
        let len = [0, 1, 9, 200][self.below(4)];
        (0..len).map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap())).collect()
    }

    pub(super) fn bytes(&mut self) -> Bytes {
        let len = self.below(40);
        (0..len).map(|_| (self.next() & 0xff) as u8).collect()
    }
}

/// How a request is made.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) version: i16,
    pub(super) flexible: bool,
    /// Tagged fields that nobody knows are put everywhere.
    pub(super) tags: bool,
}

pub(super) fn varint(out: &mut Vec<u8>, mut v: usize) {
    while v >= 0x80 {
        out.put_u8((v & 0x7f) as u8 | 0x80);
        v >>= 7;
    }
    out.put_u8((v & 0x7f) as u8);
}

fn put(out: &mut Vec<u8>, kind: Kind, shape: Shape, chance: &mut Chance) {
    match kind {
        // A byte may be a flag.
        Kind::Fixed(1) => out.put_u8((chance.next() & 1) as u8),
        Kind::Fixed(n) => (0..n).for_each(|_| out.put_u8((chance.next() & 0xff) as u8)),
        Kind::Text => {
            let text = chance.text();
            if shape.flexible {
                varint(out, text.len() + 1);
            } else {
                out.put_i16(i16::try_from(text.len()).unwrap());
            }
            out.put_slice(text.as_bytes());
        }
        Kind::Blob => {
            let bytes = chance.bytes();
            count(out, bytes.len(), shape);
            out.put_slice(&bytes);
        }
        Kind::List(element) => {
            let n = chance.below(3);
            count(out, n, shape);
            (0..n).for_each(|_| put(out, *element, shape, chance));
        }
        Kind::Struct(fields) => put_fields(out, fields, shape, chance),
        Kind::Optional(fields) => {
            if chance.below(3) == 0 {
                out.put_i8(-1);
            } else {
                out.put_i8(1);
                put_fields(out, fields, shape, chance);
            }
        }
    }
}

fn count(out: &mut Vec<u8>, n: usize, shape: Shape) {
    if shape.flexible {
        varint(out, n + 1);
    } else {
        out.put_i32(i32::try_from(n).unwrap());
    }
}

fn put_fields(out: &mut Vec<u8>, fields: &[Field], shape: Shape, chance: &mut Chance) {
    for field in fields.iter().filter(|f| f.is_in(shape.version)) {
        put(out, field.kind, shape, chance);
    }
    put_tags(out, shape, chance);
}

pub(super) fn put_tags(out: &mut Vec<u8>, shape: Shape, chance: &mut Chance) {
    if !shape.flexible {
        return;
    }
    let n = if shape.tags { chance.below(3) } else { 0 };
    varint(out, n);
    for tag in 0..n {
        varint(out, 1000 + tag);
        let bytes = chance.bytes();
        varint(out, bytes.len());
        out.put_slice(&bytes);
    }
}

/// A header as clients write it.
pub(super) fn header(api: ApiKey, version: i16, correlation_id: i32) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i16(api.code());
    out.put_i16(version);
    out.put_i32(correlation_id);
    out.put_i16(4);
    out.put_slice(b"test");
    if api.flexible(version) {
        out.put_u8(0);
    }
    out
}

/// A body as the layout has it; Produce and Fetch as the `kafka-protocol` crate writes them.
pub(super) fn body(api: ApiKey, version: i16, tags: bool, chance: &mut Chance) -> Vec<u8> {
    let mut out = Vec::new();
    let shape = Shape { version, flexible: api.flexible(version), tags };
    match api {
        ApiKey::Produce => {
            let request: m::ProduceRequest = produce_fetch::produce_request(version, chance).0;
            request.encode(&mut out, version).unwrap();
        }
        ApiKey::Fetch => {
            let request: m::FetchRequest = produce_fetch::fetch_request(version, chance).0;
            request.encode(&mut out, version).unwrap();
        }
        _ => put_fields(&mut out, fields(api), shape, chance),
    }
    out
}

/// A whole frame, without its length prefix.
pub(super) fn frame(api: ApiKey, version: i16, chance: &mut Chance) -> Bytes {
    let mut out = header(api, version, 7);
    out.extend(body(api, version, true, chance));
    Bytes::from(out)
}
