//! The bytes of records and snapshots: they are on disks, so they never change by accident.

use proptest::prelude::*;

use super::super::group::{Member, OffsetKey, StoredOffset};
use super::super::record::{Change, Record};
use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn offset() -> StoredOffset {
    StoredOffset {
        offset: 9,
        leader_epoch: 3,
        metadata: "x".into(),
        at_ms: 1,
        expire_ms: None,
        index: 0,
    }
}

#[test]
fn golden_record() {
    let key = OffsetKey { topic: "t".into(), partition: 2 };
    let change = Change::Commit { generation: 7, offsets: vec![(key, offset())] };
    let record = Record { term: 4, seq: 5, group: "g".into(), change };
    let expected = "0104\
        0000000000000004\
        0000000000000005\
        0000000167\
        00000007\
        00000001\
        0000000174\
        00000002\
        0000000000000009\
        00000003\
        0000000178\
        0000000000000001\
        00";
    assert_eq!(hex(&record.encode()), expected);
    assert_eq!(Record::decode(record.encode()).unwrap(), record);
}

#[test]
fn golden_snapshot() {
    let mut w = World::new();
    assert_eq!(w.commit(9, offsets::commit("", -1, &[(0, 1)])), 0);
    let expected = "01\
        00000001\
        0000000567726f7570\
        00000000\
        000000\
        00000000\
        00\
        0000000000000000\
        00000001\
        0000000174\
        00000000\
        0000000000000001\
        00000005\
        000000046d61726b\
        0000018bcff4aa40\
        00\
        0000000000000001";
    assert_eq!(hex(&w.coordinator.encode()), expected);
}

#[test]
fn garbage_does_not_decode() {
    let mut w = World::new();
    w.stable(2);
    let snapshot = w.coordinator.encode();
    for bytes in w.log.clone().into_iter().chain([snapshot.clone()]) {
        for n in 0..bytes.len() {
            assert!(Record::decode(bytes.slice(..n)).is_err());
        }
    }
    for n in 0..snapshot.len() {
        assert!(w.coordinator.restore(snapshot.slice(..n)).is_err(), "cut at {n}");
    }
}

fn a_change() -> impl Strategy<Value = Change> {
    let blob = || prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
    let name = "[a-z]{0,4}";
    let member = (
        name,
        prop::option::of(name),
        any::<i32>(),
        prop::collection::vec((name, blob()), 0..3),
        blob(),
    )
        .prop_map(|(id, instance, ms, protocols, assignment)| Member {
            id,
            instance,
            client_id: "c".into(),
            host: "h".into(),
            session_timeout_ms: ms,
            rebalance_timeout_ms: ms,
            protocols,
            assignment,
        });
    let key = || (name, any::<i32>()).prop_map(|(topic, partition)| OffsetKey { topic, partition });
    let stored = (any::<i64>(), prop::option::of(any::<i64>()))
        .prop_map(|(o, expire_ms)| StoredOffset { offset: o, expire_ms, ..offset() });
    prop_oneof![
        (any::<i32>(), prop::option::of(name), prop::collection::vec(member.clone(), 0..3))
            .prop_map(|(g, text, members)| Change::Generation {
                decided_in: g,
                generation: g.wrapping_add(1),
                at_ms: 5,
                protocol_type: text.clone(),
                protocol: text.clone(),
                leader: text,
                members,
            }),
        (any::<i32>(), prop::collection::vec((name, blob()), 0..3))
            .prop_map(|(generation, assignments)| Change::Assignment { generation, assignments }),
        (any::<i32>(), member)
            .prop_map(|(generation, member)| Change::Replace { generation, member }),
        (any::<i32>(), prop::collection::vec((key(), stored), 0..3))
            .prop_map(|(generation, offsets)| Change::Commit { generation, offsets }),
        Just(Change::Delete),
        prop::collection::vec(key(), 0..3).prop_map(|keys| Change::DeleteOffsets { keys }),
        (any::<i32>(), prop::collection::vec((key(), any::<u64>()), 0..3), any::<bool>()).prop_map(
            |(generation, offsets, forget)| Change::Expire { generation, offsets, forget }
        ),
    ]
}

proptest! {
    #[test]
    fn records_come_back(change in a_change(), term: u64, seq: u64) {
        let record = Record { term, seq, group: "g".into(), change };
        prop_assert_eq!(Record::decode(record.encode()).unwrap(), record);
    }

    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = Record::decode(bytes.clone());
        let _ = Coordinator::new(config(), 1).restore(bytes);
    }
}
