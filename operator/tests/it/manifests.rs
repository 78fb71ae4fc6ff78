//! What a manifest may say, and how it is refused: field, value, reason.

use std::path::Path;

use chronik_operator::manifest::parse;
use chronik_operator::validate::{validate, without_effect_here};

fn manifest(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: chronik.io/v1alpha1\nkind: ChronikCluster\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

fn refusals(name: &str, spec: &str, before: Option<&str>) -> Vec<String> {
    let cluster = parse(&manifest(name, spec)).unwrap();
    let before = before.map(|spec| parse(&manifest(name, spec)).unwrap());
    match validate(&cluster, before.as_ref()) {
        Ok(_) => Vec::new(),
        Err(refusals) => refusals.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_examples_are_accepted() {
    for (file, brokers) in [("three-brokers.yaml", 3), ("one-broker.yaml", 1)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file);
        let cluster = parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        let wanted = validate(&cluster, None).unwrap();
        assert_eq!((wanted.brokers, wanted.port), (brokers, 9092));
    }
}

#[test]
fn defaults_are_three_brokers_on_kafkas_port() {
    let wanted = validate(&parse(&manifest("a", "{}")).unwrap(), None).unwrap();
    assert_eq!((wanted.brokers, wanted.port, wanted.settings), (3, 9092, Vec::new()));
}

#[test]
fn a_wrong_value_is_named_with_its_field_and_the_reason() {
    let check = |spec, expected: &str| {
        let found = refusals("a", spec, None);
        assert_eq!(found, [expected], "{spec}");
    };
    check("{replicas: 0}", "spec.replicas 0: a cluster has at least 1 broker");
    check("{replicas: -3}", "spec.replicas -3: a cluster has at least 1 broker");
    check(
        "{listeners: {kafka: {port: 80}}}",
        "spec.listeners.kafka.port 80: a port of brokers lies between 1024 and 55000",
    );
    check(
        "{storage: {segmentBytes: 10}}",
        "spec.storage.segmentBytes 10: a segment has at least 1048576 bytes",
    );
    check(
        "{replicas: 900, listeners: {kafka: {port: 58000}}}",
        "spec.listeners.kafka.port 58000: a port of brokers lies between 1024 and 55000",
    );
    check(
        "{listeners: {kafka: {tls: {secretName: No Secret}}}}",
        "spec.listeners.kafka.tls.secretName \"No Secret\": a Secret's name has lower case letters, digits, \
         '-' and '.'",
    );
    check("{storage: {size: much}}", "spec.storage.size \"much\": a size is a quantity like 10Gi");
    check("{broker: {walBytes: 1}}", "spec.broker.walBytes 1: must be from 4194304 to 4294967296");
    check(
        "{rolling: {waitSeconds: -1}}",
        "spec.rolling.waitSeconds -1: must be from 0 to 86400 seconds",
    );
    assert_eq!(refusals(&"a".repeat(41), "{}", None).len(), 1);
    for name in ["Under_score", "dot.ted", "9lives", "-a", "a-"] {
        assert_eq!(refusals(name, "{}", None).len(), 1, "{name}");
    }
    let reserved = "{podTemplate: {labels: {chronik.io/broker: '9'}}}";
    assert_eq!(refusals("a", reserved, None).len(), 1);
    let reserved = "{podTemplate: {env: [{name: CHRONIK_BROKER_ID, value: '9'}]}}";
    assert_eq!(refusals("a", reserved, None).len(), 1);
    let allowed = "{podTemplate: {env: [{name: CHRONIK_LOG, value: debug}], labels: {a: b}}}";
    assert_eq!(refusals("a", allowed, None), [""; 0]);
}

#[test]
fn racks_come_from_one_place() {
    let both = "{racks: [a, b], rack: {topologyKey: zone}}";
    let found = refusals("a", both, None);
    assert_eq!(found.len(), 1, "{found:?}");
    let why = "racks come from spec.racks or from nodes (spec.rack), not from both";
    assert!(found[0].ends_with(why), "{found:?}");
    assert_eq!(refusals("a", "{racks: [], rack: {topologyKey: zone}}", None), [""; 0]);
    assert_eq!(refusals("a", "{racks: [a]}", None), [""; 0]);
    let found = refusals("a", "{rack: {topologyKey: ''}}", None);
    assert_eq!(found, ["spec.rack.topologyKey \"\": a label has a name"]);
    let label = |spec| validate(&parse(&manifest("a", spec)).unwrap(), None).unwrap().rack_label;
    assert_eq!(label("{rack: {topologyKey: zone}}"), Some("zone".into()));
    assert_eq!(label("{}"), None);
}

#[test]
fn a_peer_of_the_network_policy_says_who_it_is() {
    let check = |peer: &str, expected: &[&str]| {
        for field in ["kafkaFrom", "externalFrom", "monitoringFrom"] {
            let spec = format!("{{networkPolicy: {{enabled: true, {field}: [{peer}]}}}}");
            let found = refusals("a", &spec, None);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(&format!("spec.networkPolicy.{field} ")), "{found}");
                assert!(found.ends_with(expected), "{found}");
            }
        }
    };
    check("{podSelector: {}}", &[]);
    check("{podSelector: {}, namespaceSelector: {matchLabels: {a: b}}}", &[]);
    check("{ipBlock: {cidr: 10.0.0.0/8}}", &[]);
    check("{}", &["a peer is a podSelector, a namespaceSelector, both of them, or an ipBlock"]);
    let both = "{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}";
    check(both, &["an ipBlock stands alone in its peer"]);
}

#[test]
fn volumes_do_not_shrink_and_keep_their_class() {
    let (small, large) = ("{storage: {size: 1024Mi}}", "{storage: {size: 2Gi}}");
    assert_eq!(refusals("a", large, Some(small)), [""; 0]);
    assert_eq!(refusals("a", "{storage: {size: 1Gi}}", Some(small)), [""; 0]);
    let found = refusals("a", small, Some(large));
    assert_eq!(found, ["spec.storage.size \"1024Mi\": a volume cannot shrink"]);
    let found = refusals("a", "{storage: {class: fast}}", Some("{storage: {}}"));
    assert_eq!(found, ["spec.storage : the storage class of volumes that exist cannot change"]);
}

#[test]
fn too_many_brokers_for_one_machine_are_refused_there_only() {
    let wanted = |spec| validate(&parse(&manifest("a", spec)).unwrap(), None).unwrap();
    assert!(
        wanted("{replicas: 1000, listeners: {kafka: {port: 55000}}}").fits_one_machine().is_ok()
    );
    let mut many = wanted("{replicas: 1000, listeners: {kafka: {port: 55000}}}");
    many.brokers = 1100;
    let refused = many.fits_one_machine().unwrap_err();
    assert_eq!(
        refused[0].to_string(),
        "spec.listeners.kafka.port 55000: 1100 brokers need ports up to 66000, past 65535"
    );
}

#[test]
fn what_means_nothing_on_one_machine_is_named() {
    let named = |spec| without_effect_here(&parse(&manifest("a", spec)).unwrap());
    assert_eq!(named("{replicas: 3, broker: {cacheBytes: 1}}"), [""; 0]);
    let spec = "{image: x, storage: {size: 20Gi}, podTemplate: {labels: {a: b}}, rack: {topologyKey: zone}, networkPolicy: {enabled: true}}";
    let all =
        ["spec.image", "spec.storage.size", "spec.podTemplate", "spec.rack", "spec.networkPolicy"];
    assert_eq!(named(spec), all);
    let spec = "{image: x, storage: {size: 20Gi}, podTemplate: {labels: {a: b}}}";
    assert_eq!(named(spec), ["spec.image", "spec.storage.size", "spec.podTemplate"]);
    let spec = "{listeners: {kafka: {tls: {secretName: web}}}}";
    assert_eq!(named(spec), ["spec.listeners.kafka.tls"]);
    assert_eq!(named("{listeners: {external: {type: nodePort}}}"), ["spec.listeners.external"]);
}

#[test]
fn a_listener_for_clients_outside_says_only_what_its_type_can_do() {
    let check = |external: &str, expected: &[&str]| {
        let spec = format!("{{listeners: {{external: {external}}}}}");
        let found = refusals("a", &spec, None);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with("spec.listeners"), "{found}");
            assert!(found.ends_with(expected), "{found}");
        }
    };
    check("{type: nodePort, nodeAddress: InternalIP, bootstrap: {nodePort: 30000}}", &[]);
    let balanced =
        "type: loadBalancer, loadBalancerClass: x, loadBalancerSourceRanges: [10.0.0.0/8]";
    check(&format!("{{{balanced}, allocateLoadBalancerNodePorts: false}}"), &[]);
    check("{type: loadBalancer, nodeAddress: ExternalIP}", &["nodeAddress is for type nodePort"]);
    for field in [
        "loadBalancerClass: x",
        "loadBalancerSourceRanges: [10.0.0.0/8]",
        "allocateLoadBalancerNodePorts: true",
    ] {
        check(&format!("{{type: nodePort, {field}}}"), &["are for type loadBalancer"]);
    }
    let ranges = "{type: loadBalancer, loadBalancerSourceRanges: [10.0.0.1]}";
    check(ranges, &["a source range is a CIDR like 10.0.0.0/8"]);
    let taken = "the external port is taken: the Kafka port and the next two are brokers' own";
    for port in [9092, 9093, 9094] {
        check(&format!("{{type: nodePort, port: {port}}}"), &[taken]);
    }
    check("{type: nodePort, port: 9095}", &[]);
    check("{type: nodePort, port: 80}", &["a port of brokers lies between 1024 and 65535"]);
    let reserved = "annotations of chronik.io are the operator's";
    check("{type: nodePort, annotations: {chronik.io/a: b}}", &[reserved]);
    for host in ["kafka-1.example.com", "10.0.0.1", "fd00::1", "a"] {
        check(&format!("{{type: nodePort, brokers: [{{id: 1, host: '{host}'}}]}}"), &[]);
    }
    for host in ["a b", "kafka:9092", "-a", "[fd00::1]"] {
        let wrong = "must be a DNS name or an IP address";
        check(&format!("{{type: nodePort, brokers: [{{id: 1, host: '{host}'}}]}}"), &[wrong]);
    }
    for (field, reason) in [
        ("{id: 0}", "a broker's id is from 1 to 1048575"),
        ("{id: 1, port: 0}", "must be from 1 to 65535"),
        ("{id: 1, nodePort: 70000}", "must be from 1 to 65535"),
        ("{id: 1, annotations: {chronik.io/a: b}}", reserved),
        ("{id: 1}, {id: 2}, {id: 1}", "a broker is named once"),
    ] {
        check(&format!("{{type: nodePort, brokers: [{field}]}}"), &[reason]);
    }
}

#[test]
fn the_port_for_clients_outside_follows_brokers_own() {
    let port = |spec| validate(&parse(&manifest("a", spec)).unwrap(), None).unwrap().external_port;
    assert_eq!(port("{}"), None);
    assert_eq!(port("{listeners: {external: {type: nodePort}}}"), Some(9095));
    let moved = "{listeners: {kafka: {port: 19092}, external: {type: nodePort}}}";
    assert_eq!(port(moved), Some(19095));
    assert_eq!(
        port("{listeners: {external: {type: nodePort, port: 9094}, kafka: {port: 9000}}}"),
        Some(9094)
    );
}

#[test]
fn settings_become_flags_of_the_broker() {
    let spec = "{broker: {cacheBytes: 0, connectionsMax: 7}, storage: {segmentBytes: 1048576}}";
    let wanted = validate(&parse(&manifest("a", spec)).unwrap(), None).unwrap();
    let expected = [("--connections-max", 7), ("--cache-bytes", 0), ("--segment-bytes", 1_048_576)];
    assert_eq!(wanted.settings, expected);
}

#[test]
fn ports_are_not_moved_under_running_brokers() {
    let (old, new) = ("{listeners: {kafka: {port: 9092}}}", "{listeners: {kafka: {port: 9192}}}");
    assert_eq!(refusals("a", old, Some(old)), Vec::<String>::new());
    let found = refusals("a", new, Some(old));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("spec.listeners.kafka.port 9192: the port cannot change"));
}

#[test]
fn a_field_that_nobody_reads_is_refused_with_its_path() {
    let error = |text: &str| parse(text).unwrap_err().to_string();
    let found = error(&manifest("a", "{storage: {segmentByte: 3}}"));
    assert!(found.starts_with("spec.storage.segmentByte: no such field"), "{found}");
    let found = error(&manifest("a", "{replica: 3}"));
    assert!(found.starts_with("spec.replica: no such field"), "{found}");
    let found = error(&(manifest("a", "{}") + "sepc: {}\n"));
    assert!(found.starts_with("sepc: no such field"), "{found}");
    let found = error(&manifest("a", "{replicas: many}"));
    assert!(found.contains("replicas"), "{found}");
    let found = error("apiVersion: apps/v1\nkind: Deployment\n");
    assert!(found.contains("chronik.io/v1alpha1"), "{found}");
}
