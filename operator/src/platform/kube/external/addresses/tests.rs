//! Addresses from Services, pods and nodes as the API server shows them.

use serde_json::{Value, json};

use super::*;

/// A broker whose set and pod were made with the listener, or without it.
fn made(node: Option<&str>, listens: bool) -> Workload {
    let ports =
        if listens { json!([{"name": "external", "containerPort": 9095}]) } else { json!([]) };
    let spec = json!({"containers": [{"name": "broker", "ports": ports}], "nodeName": node});
    let set = json!({
        "metadata": {"name": "s"},
        "spec": {"selector": {}, "serviceName": "x", "template": {"spec": spec}},
    });
    let status = json!({"hostIP": "10.0.0.9"});
    let pod = json!({"metadata": {"name": "p"}, "spec": spec, "status": status});
    Workload {
        set: Some(serde_json::from_value(set).unwrap()),
        pod: Some(serde_json::from_value(pod).unwrap()),
        ..Workload::default()
    }
}

fn node(name: &str, addresses: &[(&str, &str)]) -> Node {
    let address = |(kind, ip): &(&str, &str)| json!({"type": kind, "address": ip});
    let addresses: Vec<Value> = addresses.iter().map(address).collect();
    let node = json!({"metadata": {"name": name}, "status": {"addresses": addresses}});
    serde_json::from_value(node).unwrap()
}

fn service(name: &str, spec: &Value, ingress: &Value) -> (String, Service) {
    let service = json!({
        "metadata": {"name": name},
        "spec": spec,
        "status": {"loadBalancer": {"ingress": ingress}},
    });
    (name.to_owned(), serde_json::from_value(service).unwrap())
}

fn with_node_port(name: &str, node_port: Option<u16>) -> (String, Service) {
    let ports = json!({"ports": [{"name": "external", "port": 9095, "nodePort": node_port}]});
    service(name, &ports, &json!([]))
}

fn balanced(name: &str, ingress: &Value) -> (String, Service) {
    service(name, &json!({"ports": [{"port": 9095, "nodePort": 31000}]}), ingress)
}

/// Everything that there is to read, of three brokers.
struct Scene {
    external: ExternalListener,
    workloads: BTreeMap<BrokerId, Workload>,
    services: BTreeMap<String, Service>,
    nodes: Option<Vec<Node>>,
}

impl Scene {
    /// Brokers 1 to 3 on nodes n1 to n3, with node ports 30001 to 30003.
    fn new(external: &str) -> Scene {
        let of = |id: BrokerId| (id, made(Some(&format!("n{id}")), true));
        let each =
            (1..=3).map(|id| with_node_port(&format!("demo-{id}-external"), Some(30000 + id)));
        let bootstrap = with_node_port("demo-bootstrap-external", Some(30000));
        Scene {
            external: serde_yaml::from_str(external).unwrap(),
            workloads: (1..=3).map(of).collect(),
            services: each.chain([bootstrap]).collect(),
            nodes: Some(vec![
                node(
                    "n1",
                    &[("Hostname", "n1"), ("InternalIP", "10.0.0.1"), ("ExternalIP", "1.2.3.4")],
                ),
                node("n2", &[("InternalIP", "10.0.0.2")]),
                node("n3", &[("InternalIP", "fd00::3")]),
            ]),
        }
    }

    fn read(&self) -> Seen {
        let names = Names {
            cluster: "demo".into(),
            namespace: "prod".into(),
            uid: "u".into(),
            domain: "cluster.local".into(),
        };
        read(&Around {
            external: &self.external,
            names: &names,
            port: 9095,
            brokers: &BTreeSet::from([1, 2, 3]),
            workloads: &self.workloads,
            services: &self.services,
            nodes: self.nodes.as_deref(),
        })
    }

    #[track_caller]
    fn check(&self, known: &[&str], bootstrap: &[&str], waiting: &[&str], refused: &[&str]) {
        let seen = self.read();
        let told: Vec<String> = seen.known.iter().map(|(id, at)| format!("{id}={at}")).collect();
        assert_eq!(told, known);
        assert_eq!(seen.bootstrap, bootstrap);
        assert_eq!(seen.waiting, waiting);
        let found: Vec<String> = seen.refused.iter().map(ToString::to_string).collect();
        assert_eq!(found, refused);
    }
}

#[test]
fn a_port_of_the_node_that_a_broker_is_on() {
    let scene = Scene::new("type: nodePort");
    scene.check(
        &["1=1.2.3.4:30001", "2=10.0.0.2:30002", "3=[fd00::3]:30003"],
        &["1.2.3.4:30000", "10.0.0.2:30000", "[fd00::3]:30000"],
        &[],
        &[],
    );
    let scene = Scene::new("{type: nodePort, nodeAddress: ExternalIP}");
    let field = "spec.listeners.external.nodeAddress";
    scene.check(
        &["1=1.2.3.4:30001"],
        &["1.2.3.4:30000"],
        &[],
        &[&format!("{field} ExternalIP: nodes without it: n2, n3")],
    );
}

#[test]
fn without_the_right_to_read_nodes_their_inner_address_is_known() {
    let mut scene = Scene::new("{type: nodePort, nodeAddress: InternalIP}");
    scene.nodes = None;
    scene.check(
        &["1=10.0.0.9:30001", "2=10.0.0.9:30002", "3=10.0.0.9:30003"],
        &["10.0.0.9:30000"],
        &[],
        &[],
    );
    let mut scene = Scene::new("type: nodePort");
    scene.nodes = None;
    let why = "the operator has no right to read nodes: give it list on nodes, or say InternalIP";
    scene.check(&[], &[], &[], &[&format!("spec.listeners.external.nodeAddress : {why}")]);
}

#[test]
fn what_is_not_there_yet_is_waited_for_and_keeps_no_other_back() {
    let mut scene = Scene::new("type: nodePort");
    scene.services.remove("demo-1-external");
    scene.services.extend([with_node_port("demo-bootstrap-external", None)]);
    scene.workloads.insert(2, made(None, true));
    scene.check(
        &["3=[fd00::3]:30003"],
        &[],
        &["Service demo-1-external of broker 1", "Service demo-bootstrap-external"],
        &[],
    );
}

#[test]
fn the_load_balancer_of_a_broker() {
    let mut scene = Scene::new("type: loadBalancer");
    scene.services.extend([
        balanced("demo-bootstrap-external", &json!([{"hostname": "start.example"}])),
        balanced("demo-1-external", &json!([{"ip": "1.1.1.1"}])),
        balanced("demo-2-external", &json!([{"hostname": "two.example", "ip": "2.2.2.2"}])),
        balanced("demo-3-external", &json!([])),
    ]);
    let known = ["1=1.1.1.1:9095", "2=two.example:9095"];
    let waits = "the load balancer of broker 3 (Service demo-3-external)";
    scene.check(&known, &["start.example:9095"], &[waits], &[]);
    scene.services.remove("demo-bootstrap-external");
    let start = "the load balancer of Service demo-bootstrap-external";
    scene.check(&known, &[], &[waits, start], &[]);
}

#[test]
fn what_the_manifest_says_counts_for_more() {
    let brokers =
        "[{id: 1, host: one.example, port: 443}, {id: 2, host: two.example}, {id: 3, port: 1}]";
    let scene = Scene::new(&format!("{{type: nodePort, brokers: {brokers}}}"));
    let bootstrap = ["1.2.3.4:30000", "10.0.0.2:30000", "[fd00::3]:30000"];
    let known = ["1=one.example:443", "2=two.example:30002", "3=[fd00::3]:1"];
    scene.check(&known, &bootstrap, &[], &[]);
    // A name that is given needs no load balancer to be known.
    let mut scene = Scene::new("{type: loadBalancer, brokers: [{id: 1, host: 'fd00::1'}]}");
    scene.services.clear();
    scene.check(
        &["1=[fd00::1]:9095"],
        &[],
        &[
            "the load balancer of broker 2 (Service demo-2-external)",
            "the load balancer of broker 3 (Service demo-3-external)",
            "the load balancer of Service demo-bootstrap-external",
        ],
        &[],
    );
}

#[test]
fn no_two_brokers_are_told_by_one_address() {
    let scene = Scene::new(
        "{type: loadBalancer, brokers: [{id: 1, host: x}, {id: 2, host: x}, {id: 3, host: x, port: 2}]}",
    );
    let seen = scene.read();
    assert_eq!(seen.known, BTreeMap::from([(1, "x:9095".into()), (3, "x:2".into())]));
    let why = "brokers 1 and 2 would both be told as this one";
    let expected = format!("spec.listeners.external.brokers x:9095: {why}");
    assert_eq!(seen.refused[0].to_string(), expected);
}

#[test]
fn nothing_is_told_before_every_broker_was_made_with_the_listener() {
    let mut scene = Scene::new("type: nodePort");
    scene.workloads.insert(2, made(Some("n2"), false));
    assert_eq!(scene.read().known, BTreeMap::new());
    // Its set is made anew, and the pod is still the old one.
    let old = made(Some("n2"), false).pod;
    scene.workloads.insert(2, Workload { pod: old, ..made(Some("n2"), true) });
    assert_eq!(scene.read().known, BTreeMap::new());
    // The pod went by itself, and would come back as the old one.
    scene.workloads.insert(2, Workload { pod: None, ..made(Some("n2"), false) });
    assert_eq!(scene.read().known, BTreeMap::new());
    // It is being started, with the listener; or it has left, and its volume is kept.
    for workload in [Workload { pod: None, ..made(None, true) }, Workload::default()] {
        scene.workloads.insert(2, workload);
        let known: Vec<BrokerId> = scene.read().known.into_keys().collect();
        assert_eq!(known, [1, 3]);
    }
}
