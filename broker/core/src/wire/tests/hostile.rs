//! Bytes from strangers: never a panic, never memory for what is not there. An allocation of what
//! these counts say would end the test process.

use bytes::Bytes;
use proptest::prelude::*;

use crate::wire::api::{APIS, Api};
use crate::wire::tests::generator::{Chance, body, frame, header, varint};
use crate::wire::{BodyError, DecodeError, WireError, decode_request};

/// Every API with every version that is served.
fn rows() -> impl Iterator<Item = (&'static Api, i16)> {
    APIS.iter().flat_map(|api| (api.min..=api.max).map(move |version| (api, version)))
}

#[test]
fn a_huge_count_anywhere_is_refused() {
    for (api, version) in rows() {
        let mut chance = Chance(1);
        let flexible = api.key.flexible(version);
        for _ in 0..4 {
            let good = frame(api.key, version, &mut chance);
            for at in 8..good.len() {
                let mut bad = good[..at].to_vec();
                if flexible {
                    bad.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
                } else {
                    bad.extend([0x7f, 0xff, 0xff, 0xff]);
                }
                bad.extend(&good[at..]);
                // Where no count was meant, the frame may still make sense.
                let _ = decode_request(Bytes::from(bad));
            }
        }
    }
}

#[test]
fn a_request_is_refused_wherever_it_is_cut() {
    for (api, version) in rows() {
        let mut chance = Chance(2);
        let whole = body(api.key, version, true, &mut chance);
        for cut in 0..whole.len() {
            let mut short = header(api.key, version, 7);
            short.extend(&whole[..cut]);
            let refused = decode_request(Bytes::from(short));
            assert!(
                matches!(refused, Err(DecodeError::Malformed { .. })),
                "{} v{version} at {cut}: {refused:?}",
                api.name
            );
        }
    }
}

#[test]
fn counts_are_measured_by_what_an_element_takes() {
    // Ten topics of DescribeConfigs v1 take seven bytes each, but only twenty are there.
    let mut bytes = header(crate::wire::api::ApiKey::DescribeConfigs, 1, 7);
    bytes.extend([0, 0, 0, 10]);
    bytes.extend([0; 20]);
    let Err(DecodeError::Malformed { reason, .. }) = decode_request(Bytes::from(bytes)) else {
        panic!("refused")
    };
    let expected = WireError::Short { what: "resources", needed: 70, left: 20 };
    assert_eq!(reason, BodyError::Wire(expected));
}

#[test]
fn many_tiny_elements_are_refused_even_if_they_are_there() {
    // A million names of no length: three megabytes that the crate would make forty of.
    let mut bytes = header(crate::wire::api::ApiKey::DescribeGroups, 5, 7);
    varint(&mut bytes, 1_000_001);
    bytes.extend(std::iter::repeat_n(1, 1_000_000));
    bytes.extend([0, 0]);
    let Err(DecodeError::Malformed { reason, .. }) = decode_request(Bytes::from(bytes)) else {
        panic!("refused")
    };
    assert!(matches!(reason, BodyError::Wire(WireError::TooMany { .. })), "{reason}");

    let mut bytes = header(crate::wire::api::ApiKey::DescribeGroups, 5, 7);
    bytes.extend([1, 0]);
    varint(&mut bytes, 1_000_000);
    for tag in 0..1_000_000 {
        varint(&mut bytes, tag);
        bytes.push(0);
    }
    let Err(DecodeError::Malformed { reason, .. }) = decode_request(Bytes::from(bytes)) else {
        panic!("refused")
    };
    assert!(matches!(reason, BodyError::Wire(WireError::TooMany { .. })), "{reason}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_request(Bytes::from(bytes));
    }

    #[test]
    fn random_bodies_never_panic(
        row in 0usize..150,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (api, version) = rows().nth(row % rows().count()).unwrap();
        let mut all = header(api.key, version, 7);
        all.extend(bytes);
        let _ = decode_request(Bytes::from(all));
    }

    #[test]
    fn bent_requests_never_panic(
        row in 0usize..150,
        seed in any::<u64>(),
        bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (api, version) = rows().nth(row % rows().count()).unwrap();
        let mut bytes = frame(api.key, version, &mut Chance(seed)).to_vec();
        for (at, value) in bends {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = decode_request(Bytes::from(bytes));
    }
}
