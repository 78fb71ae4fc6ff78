//! Addresses of the external listener: they are the operator's word alone, and stay with their
//! directory.

use super::*;

fn reached(c: &Cluster, id: u32, listener: Listener) -> Option<(&str, u16)> {
    c.state.broker(broker(id)).unwrap().kafka_host_port(listener)
}

#[test]
fn they_outlive_restarts_and_end_with_the_directory() {
    let mut c = cluster(2);
    let external = Listener::External;
    assert_eq!(reached(&c, 2, external), None, "brokers register none");
    let (_, applied) = c.accept(&set_advertised(2, Some("node-2:30002")));
    assert!(applied.brokers_changed);
    assert_eq!(
        (reached(&c, 1, external), reached(&c, 2, external)),
        (None, Some(("node-2", 30002)))
    );
    assert_eq!(reached(&c, 2, Listener::Internal), Some(("host2", 9092)));
    let (_, applied) = c.accept(&set_advertised(2, Some("node-2:30002")));
    assert!(!applied.brokers_changed, "a repeated order changes nothing");
    let again = Registration { directory: directory(2), ..registration(2, 0, 2) };
    c.accept(&Command::RegisterBroker(again));
    assert_eq!(reached(&c, 2, external), Some(("node-2", 30002)));
    c.accept(&set_advertised(2, Some("[fd00::2]:30002")));
    assert_eq!(reached(&c, 2, external), Some(("fd00::2", 30002)));
    c.accept(&set_advertised(2, None));
    assert_eq!(reached(&c, 2, external), None);
    c.accept(&set_advertised(2, Some("node-2:30002")));
    let fenced = true;
    c.accept(&Command::SetFenced { broker: broker(2), directory: directory(2), fenced });
    c.accept(&Command::RegisterBroker(registration(2, 999, 1)));
    assert_eq!(reached(&c, 2, external), None, "a new directory may be elsewhere");
    let other = format!("broker 2 has directory {} now, not {}", uuid(999), directory(2));
    c.refuse(&set_advertised(2, Some("node-2:30002")), &other);
    c.refuse(
        &Command::SetAdvertised { broker: broker(9), directory: uuid(1), address: None },
        "broker 9 is not registered",
    );
}
