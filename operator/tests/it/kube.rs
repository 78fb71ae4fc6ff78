//! What the operator would write to Kubernetes, in full. A change of these files is a change of
//! what every cluster gets; that of a pod is given to pods that exist at their next restart only.

use std::collections::BTreeSet;

use chronik_operator::api::cluster::ChronikCluster;
use chronik_operator::manifest::parse;
use chronik_operator::platform::kube::inputs::{Inputs, Settings};
use chronik_operator::platform::kube::statefulset::Standing;
use chronik_operator::platform::kube::{budget, claim, seeds, service, statefulset, within};
use chronik_operator::validate::validate;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::json;

const PLAIN: &str = "spec: {replicas: 3}";
const FULL: &str = "
spec:
  replicas: 3
  image: registry.example/chronik-broker:1.2.3
  imagePullPolicy: IfNotPresent
  listeners: {kafka: {port: 9992, tls: {secretName: web}}, external: {type: loadBalancer}}
  storage: {size: 100Gi, class: fast, whenScaled: Delete, whenDeleted: Delete, segmentBytes: 1048576}
  resources: {requests: {cpu: 2, memory: 4096Mi}, limits: {memory: 4Gi}}
  broker: {connectionsMax: 500, cacheBytes: 67108864}
  racks: [a, b]
  rolling: {paused: true, waitSeconds: 60}
  disruptionBudget: {enabled: false}
  metrics: {service: true}
  podTemplate:
    labels: {team: streams}
    annotations: {note: hello}
    nodeSelector: {disk: ssd}
    tolerations: [{key: dedicated, operator: Exists}]
    topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}
    affinity: {nodeAffinity: {}}
    priorityClassName: high
    imagePullSecrets: [{name: registry}]
    securityContext: {runAsUser: 7, fsGroup: 7}
    env: [{name: CHRONIK_LOG, value: debug}]
";

fn cluster(spec: &str) -> ChronikCluster {
    let head = "apiVersion: chronik.io/v1alpha1\nkind: ChronikCluster\nmetadata: {name: demo}\n";
    let mut cluster = parse(&format!("{head}{spec}")).unwrap();
    cluster.metadata.namespace = Some("prod".into());
    cluster.metadata.uid = Some("0f5e-uid".into());
    cluster
}

pub(crate) fn inputs(spec: &str) -> Inputs {
    let cluster = cluster(spec);
    let settings = Settings {
        broker_image: "chronik-broker:default".into(),
        cluster_domain: "cluster.local".into(),
        namespace: "chronik-system".into(),
    };
    Inputs::new(&cluster, validate(&cluster, None).unwrap(), &settings, None).unwrap()
}

pub(crate) fn yaml(object: &impl serde::Serialize) -> String {
    serde_yaml::to_string(object).unwrap()
}

#[test]
fn a_broker_of_a_plain_cluster() {
    insta::assert_snapshot!(yaml(&statefulset::build(&inputs(PLAIN), 1, None)));
}

#[test]
fn a_broker_of_a_cluster_that_asks_for_everything() {
    insta::assert_snapshot!(yaml(&statefulset::build(&inputs(FULL), 2, None)));
}

#[test]
fn what_a_cluster_has_beside_its_brokers() {
    let inputs = inputs(PLAIN);
    let all = [
        yaml(&service::headless(&inputs)),
        yaml(&service::bootstrap(&inputs)),
        yaml(&seeds::build(&inputs, &BTreeSet::from([1, 2, 4]))),
        yaml(&budget::build(&inputs, true)),
        yaml(&service::metrics(&inputs)),
    ];
    insta::assert_snapshot!(all.join("---\n"));
}

#[test]
fn brokers_are_restarted_by_what_the_user_changes_and_by_nothing_else() {
    let before = inputs(FULL);
    let live = statefulset::build(&before, 2, None);
    let standing = |inputs: &Inputs, live: &_| {
        statefulset::standing(&statefulset::build(inputs, 2, Some(live)), live)
    };
    assert_eq!(standing(&before, &live), Standing::Wanted);
    for (old, new) in [
        ("1.2.3", "1.2.4"),
        ("cacheBytes: 67108864", "cacheBytes: 0"),
        ("team: streams", "team: other"),
        ("memory: 4Gi", "memory: 5Gi"),
        ("racks: [a, b]", "racks: [a, c]"),
        ("secretName: web", "secretName: other"),
        (", tls: {secretName: web}", ""),
    ] {
        assert!(FULL.contains(old));
        let changed = inputs(&FULL.replace(old, new));
        assert_eq!(standing(&changed, &live), Standing::Outdated, "{new}");
    }
    for (old, new) in [
        ("replicas: 3", "replicas: 5"),
        ("size: 100Gi", "size: 200Gi"),
        ("whenDeleted: Delete", "whenDeleted: Retain"),
        ("racks: [a, b]", "racks: [c, b]"),
    ] {
        let changed = inputs(&FULL.replace(old, new));
        assert_eq!(standing(&changed, &live), Standing::Wanted, "{new}");
    }
    // An operator that renders differently: its annotation tells.
    let mut older = live.clone();
    let notes = older.metadata.annotations.as_mut().unwrap();
    notes.insert(within::RENDERED.into(), "another".into());
    assert_eq!(standing(&before, &older), Standing::OlderRendering);
    // Somebody edited the template by hand.
    let mut edited = live.clone();
    let pod = edited.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    pod.containers[0].image = Some("mine".into());
    assert_eq!(standing(&before, &edited), Standing::Outdated);
    // The API server's defaults are no edit.
    let mut defaulted = live;
    let pod = defaulted.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    pod.dns_policy = Some("ClusterFirst".into());
    let container = &mut pod.containers[0];
    container.termination_message_path = Some("/dev/termination-log".into());
    let requests = container.resources.as_mut().unwrap().requests.as_mut().unwrap();
    requests.get_mut("memory").unwrap().0 = "4Gi".into();
    assert_eq!(standing(&before, &defaulted), Standing::Wanted);
}

#[test]
fn racks_of_nodes_restart_nobody() {
    let with = inputs("spec: {replicas: 3, rack: {topologyKey: topology.kubernetes.io/zone}}");
    assert_eq!(statefulset::build(&with, 1, None), statefulset::build(&inputs(PLAIN), 1, None));
}

#[test]
fn only_the_port_of_a_listener_for_clients_outside_is_in_pods() {
    let with = |external: &str| {
        inputs(&format!("spec: {{replicas: 3, listeners: {{external: {external}}}}}"))
    };
    let before = with("{type: nodePort}");
    let live = statefulset::build(&before, 1, None);
    let standing =
        |inputs: &Inputs| statefulset::standing(&statefulset::build(inputs, 1, Some(&live)), &live);
    for same in [
        "{type: loadBalancer, annotations: {a: b}}",
        "{type: nodePort, port: 9095}",
        "{type: nodePort, bootstrap: {nodePort: 30000}, brokers: [{id: 1, host: a, nodePort: 30001}]}",
    ] {
        assert_eq!(standing(&with(same)), Standing::Wanted, "{same}");
    }
    assert_eq!(standing(&with("{type: nodePort, port: 9096}")), Standing::Outdated);
    assert_eq!(standing(&inputs(PLAIN)), Standing::Outdated);
}

#[test]
fn an_image_that_the_operator_chose_stays_when_the_operator_changes_its_mind() {
    let cluster = cluster(PLAIN);
    let settings = Settings {
        broker_image: "chronik-broker:newer".into(),
        cluster_domain: "x".into(),
        namespace: "x".into(),
    };
    let wanted = validate(&cluster, None).unwrap();
    let pinned = Inputs::new(&cluster, wanted, &settings, Some("chronik-broker:default")).unwrap();
    assert_eq!(pinned.image.0, "chronik-broker:default");
}

#[test]
fn an_amount_that_is_none_is_refused_by_name() {
    let cluster = cluster("spec: {resources: {limits: {memory: much}}}");
    let x = || "x".to_owned();
    let settings = Settings { broker_image: x(), cluster_domain: x(), namespace: x() };
    let wanted = validate(&cluster, None).unwrap();
    let refused = Inputs::new(&cluster, wanted, &settings, None).unwrap_err();
    assert_eq!(
        refused[0].to_string(),
        "spec.resources.limits.memory much: is no quantity; write it like 500m, 2 or 4Gi"
    );
}

fn volume(size: &str, owned: bool) -> PersistentVolumeClaim {
    let owners = if owned {
        json!([{"apiVersion": "chronik.io/v1alpha1", "kind": "ChronikCluster", "name": "demo", "uid": "0f5e-uid"}])
    } else {
        json!([])
    };
    serde_json::from_value(json!({
        "metadata": {"name": "data-demo-1-0", "resourceVersion": "7", "ownerReferences": owners},
        "spec": {"resources": {"requests": {"storage": size}}},
    }))
    .unwrap()
}

#[test]
fn volumes_only_grow() {
    let inputs = inputs(FULL);
    let change = claim::growth(&inputs, &volume("10Gi", true)).unwrap();
    assert_eq!(change.what, "grow volume data-demo-1-0 from 10Gi to 100Gi");
    assert_eq!(change.patch["spec"]["resources"]["requests"]["storage"], "100Gi");
    assert_eq!(change.patch["metadata"]["resourceVersion"], "7");
    assert_eq!(claim::growth(&inputs, &volume("102400Mi", true)), None, "the same, otherwise said");
    assert_eq!(claim::growth(&inputs, &volume("1Ti", true)), None);
}

#[test]
fn volumes_go_with_the_cluster_only_if_asked() {
    let (delete, retain) = (inputs(FULL), inputs(PLAIN));
    assert_eq!(claim::ownership(&delete, &volume("1Gi", true)), None);
    assert_eq!(claim::ownership(&retain, &volume("1Gi", false)), None);
    let owners = |change: Option<claim::Change>| {
        change.unwrap().patch["metadata"]["ownerReferences"].clone()
    };
    assert_eq!(owners(claim::ownership(&retain, &volume("1Gi", true))), json!([]));
    let taken = owners(claim::ownership(&delete, &volume("1Gi", false)));
    assert_eq!(taken[0]["uid"], "0f5e-uid");
    assert_eq!(taken[0]["controller"], json!(null), "the operator does not manage a claim");
}
