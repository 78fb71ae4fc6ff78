//! The bytes of every command and of a state, pinned: entries and snapshots outlive the software.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn small() -> Registration {
    Registration {
        kafka_address: "k:1".into(),
        peer_address: "p:2".into(),
        rack: Some("r".into()),
        version: "v".into(),
        ..registration(2, 3, 4)
    }
}

fn changes(name: &str, value: Option<&str>) -> BTreeMap<String, Option<String>> {
    BTreeMap::from([(name.to_owned(), value.map(str::to_owned))])
}

fn report() -> Command {
    let conf = ConfReport {
        conf_index: 9,
        voters: peers(1, &[1]),
        outgoing: peers(1, &[2]),
        learners: peers(1, &[3]),
        learners_next: peers(1, &[4]),
    };
    let row =
        GroupReport { id: partition_id(7, 5), leader: Some((peer(1, 1), 6)), conf: Some(conf) };
    let empty = GroupReport { id: PartitionId::META, leader: None, conf: None };
    Command::Report { from: broker(1), rows: vec![row, empty] }
}

/// One command of each kind, with its bytes.
fn all() -> Vec<(Command, &'static str)> {
    let topic = Command::CreateTopic {
        name: "t".into(),
        id: uuid(7),
        partitions: vec![brokers(&[1, 2]), brokers(&[2])],
        configs: BTreeMap::from([("a".into(), "b".into())]),
        internal: true,
    };
    let grow =
        Command::CreatePartitions { topic: uuid(7), expected: 2, partitions: vec![brokers(&[1])] };
    let on_topic = ConfigResource::Topic("t".into());
    let on_broker = ConfigResource::Broker(Some(broker(1)));
    let on_all = ConfigResource::Broker(None);
    let (id, directory) = (broker(2), uuid(3));
    vec![
        (Command::Genesis { cluster_id: "c".into(), brokers: 3, first: small() }, GENESIS),
        (Command::RegisterBroker(small()), REGISTER),
        (Command::SetFenced { broker: id, directory, fenced: true }, FENCED),
        (Command::SetCordoned { broker: id, cordoned: true }, CORDONED),
        (Command::RemoveBroker { broker: id, directory }, REMOVE),
        (topic, TOPIC),
        (grow, GROW),
        (Command::DeleteTopic { id: uuid(7) }, DELETE),
        (Command::SetConfigs { resource: on_topic, changes: changes("a", Some("b")) }, ON_TOPIC),
        (Command::SetConfigs { resource: on_broker, changes: changes("a", None) }, ON_BROKER),
        (Command::SetConfigs { resource: on_all, changes: BTreeMap::new() }, ON_ALL),
        (Command::SetTargets { targets: vec![(partition_id(7, 1), brokers(&[3]))] }, TARGETS),
        (report(), REPORT),
        (Command::AllocateProducerIds { broker: id, count: 1000 }, PRODUCER_IDS),
        (Command::Open, "0d01"),
        (Command::SetRack { broker: id, directory, rack: Some("r".into()) }, RACK),
        (Command::SetRack { broker: id, directory, rack: None }, NO_RACK),
        (Command::SetAdvertised { broker: id, directory, address: Some("x:3".into()) }, ADVERTISED),
        (Command::SetAdvertised { broker: id, directory, address: None }, NOT_ADVERTISED),
    ]
}

const GENESIS: &str = "\
    010100000001630000000300000002000000000000000000000000000000030000000000000004000000036b\
    3a3100000003703a320100000001720000000176";
const REGISTER: &str = "\
    020100000002000000000000000000000000000000030000000000000004000000036b3a3100000003703a32\
    0100000001720000000176";
const FENCED: &str = "0301000000020000000000000000000000000000000301";
const CORDONED: &str = "04010000000201";
const REMOVE: &str = "05010000000200000000000000000000000000000003";
const TOPIC: &str = "\
    0601000000017400000000000000000000000000000007000000020000000200000001000000020000000100\
    000002000000010000000161000000016201";
const GROW: &str = "07010000000000000000000000000000000700000002000000010000000100000001";
const DELETE: &str = "080100000000000000000000000000000007";
const ON_TOPIC: &str = "0901010000000174000000010000000161010000000162";
const ON_BROKER: &str = "0901030000000100000001000000016100";
const ON_ALL: &str = "09010200000000";
const TARGETS: &str = "0a010000000100000000000000000000000000000007000000010000000100000003";
const REPORT: &str = "\
    0b01000000010000000200000000000000000000000000000007000000050100000000001000010000000000\
    0000060100000000000000090000000100000000001000010000000100000000001000020000000100000000\
    0010000300000001000000000010000400000000000000000000000000000001000000000000";
const PRODUCER_IDS: &str = "0c0100000002000003e8";
const RACK: &str = "0f010000000200000000000000000000000000000003010000000172";
const NO_RACK: &str = "0f01000000020000000000000000000000000000000300";
const ADVERTISED: &str = "100100000002000000000000000000000000000000030100000003783a33";
const NOT_ADVERTISED: &str = "1001000000020000000000000000000000000000000300";
const STATE: &str = "\
    0201000000016300000003010000000000000005000000010000000200000000000000000000000000000004\
    0000000000000004000000036b3a3100000003703a3201000000017200000001760000000000900002000000\
    0000010000000000000000000000000000000300000002000000010000000000000000000000000000000700\
    0000017400000001000000000000000000000000040000000200000000000000000000000000000001000000\
    0000000000000000010000000000100002000000010000000000100002000000000000000000000000000000\
    0000000001000000000000000000000000000000000100000000000000000000000000000007000000000000\
    0001000000000090000200000001000000000040000200000001000000000040000200000000000000000000\
    000000000000000000010100000000004000020000000000000003000000000000000400000001000000106c\
    6f672e726574656e74696f6e2e6d730000000135000000010000000200000001000000106c6f672e72657465\
    6e74696f6e2e6d730000000135";
/// Who asked for what: since the second version of a state.
const ASKERS: &str = "\
    00000001000000000040000200000000000000040000000000000005000000010000000000000006";

#[test]
fn commands() {
    for (command, bytes) in all() {
        assert_eq!(hex(&command.encode()), bytes, "{command:?}");
        assert_eq!(Command::decode(command.encode()), Ok(command));
    }
}

#[test]
fn a_state() {
    let mut c = Cluster { state: State::new(), next: 3 };
    c.accept(&Command::Genesis { cluster_id: "c".into(), brokers: 3, first: small() });
    c.accept(&create("t", 7, &[&[2]]));
    c.accept(&Command::AllocateProducerIds { broker: broker(2), count: 5 });
    let retention = changes("log.retention.ms", Some("5"));
    for resource in [ConfigResource::Broker(None), ConfigResource::Broker(Some(broker(2)))] {
        c.accept(&Command::SetConfigs { resource, changes: retention.clone() });
    }
    c.accept(&Command::SetFenced { broker: broker(2), directory: uuid(3), fenced: true });
    c.accept(&Command::RegisterBroker(Registration { directory: uuid(4), ..small() }));
    let leader = Some((peer(4, 2), 3));
    let row = GroupReport { id: partition_id(7, 0), leader, conf: None };
    c.accept(&Command::Report { from: broker(2), rows: vec![row] });
    c.accept(&Command::Open);
    let before = c.state.clone();
    let proposal = Proposal { asker: peer(4, 2), boot: 4, seq: 6, settled: 5 };
    assert!(c.state.admit(&proposal));
    assert_eq!(hex(&c.state.encode()), [STATE, ASKERS].concat());
    assert_eq!(State::decode(c.state.encode()), Ok(c.state));
    let mut first = before.encode().to_vec();
    first.truncate(first.len() - 4);
    first[0] = 1;
    assert_eq!(State::decode(first.into()), Ok(before.clone()), "the first version is still read");
}

/// Since the third version of a state: racks that the operator has set, if there are any.
#[test]
fn a_state_with_racks() {
    let mut c = cluster(2);
    let plain = c.state.encode();
    assert_eq!(plain[0], 2);
    c.accept(&set_rack(2, Some("r")));
    let bytes = c.state.encode();
    assert_eq!((bytes[0], &bytes[1..plain.len()]), (3, &plain[1..]));
    assert_eq!(hex(&bytes[plain.len()..]), "00000001000000020000000172");
    for end in plain.len()..bytes.len() {
        assert!(State::decode(bytes.slice(..end)).is_err());
    }
    assert_eq!(State::decode(bytes), Ok(c.state.clone()));
    c.accept(&set_rack(2, None));
    assert_eq!(c.state.encode(), plain);
}

/// Since the fourth version of a state: addresses of the external listener, if there are any.
#[test]
fn a_state_with_advertised_addresses() {
    let mut c = cluster(2);
    let plain = c.state.encode();
    c.accept(&set_rack(2, Some("r")));
    let third = c.state.encode();
    assert_eq!(third[0], 3);
    let expected = c.state.clone();
    assert_eq!(State::decode(third.clone()), Ok(expected), "the third version is still read");
    c.accept(&set_advertised(1, Some("x:3")));
    let bytes = c.state.encode();
    assert_eq!((bytes[0], &bytes[1..third.len()]), (4, &third[1..]));
    assert_eq!(hex(&bytes[third.len()..]), "000000010000000100000003783a33");
    for end in third.len()..bytes.len() {
        assert!(State::decode(bytes.slice(..end)).is_err());
    }
    assert_eq!(State::decode(bytes), Ok(c.state.clone()));
    c.accept(&set_rack(2, None));
    let bytes = c.state.encode();
    assert_eq!(hex(&bytes[plain.len()..]), "00000000000000010000000100000003783a33", "no racks");
    assert_eq!(State::decode(bytes), Ok(c.state.clone()));
    c.accept(&set_advertised(1, None));
    assert_eq!(c.state.encode(), plain);
}

#[test]
fn what_is_cut_or_longer_is_an_error() {
    let state = cluster(2).state.encode();
    for end in 0..state.len() {
        assert!(State::decode(state.slice(..end)).is_err());
    }
    for (command, _) in all() {
        let bytes = command.encode();
        for end in 0..bytes.len() {
            assert!(Command::decode(bytes.slice(..end)).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(Command::decode(longer.into()).is_err());
    }
    let unknown = [[17, 1], [0, 1], [13, 2], [13, 0]];
    assert!(unknown.iter().all(|bytes| Command::decode(Bytes::copy_from_slice(bytes)).is_err()));
}

proptest! {
    #[test]
    fn garbage_is_an_error_or_a_command(
        tag in 0u8..19,
        rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes: Bytes = [&[tag, 1][..], &rest].concat().into();
        if let Ok(command) = Command::decode(bytes.clone()) {
            prop_assert_eq!(Command::decode(command.encode()), Ok(command));
        }
        let _ = State::decode(bytes);
    }

    #[test]
    fn a_flipped_byte_never_panics(
        which in 0usize..19, at in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let mut bytes = all().swap_remove(which).0.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = Command::decode(bytes.into());
        let mut bytes = cluster(3).state.encode().to_vec();
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = State::decode(bytes.into());
    }
}
