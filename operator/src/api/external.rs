//! The listener for clients outside Kubernetes' network: a Service for each broker and one where
//! clients start. Only its port is part of what a pod is made from.

#![allow(unreachable_pub, reason = "the schema derive repeats each type inside a function")]

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where Kafka clients connect that do not reach pods: each broker has a Service of its own, and is told
/// to these clients by the address of that Service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type == 'nodePort' || !has(self.nodeAddress)")
    .message("nodeAddress is for type nodePort"))]
#[x_kube(validation = Rule::new("self.type == 'loadBalancer' || (!has(self.loadBalancerClass) \
         && !has(self.loadBalancerSourceRanges) && !has(self.allocateLoadBalancerNodePorts))")
    .message("loadBalancerClass, loadBalancerSourceRanges and allocateLoadBalancerNodePorts are for \
              type loadBalancer"))]
pub struct ExternalListener {
    /// How clients reach brokers: `nodePort`, by a port of every node that leads to one broker, or
    /// `loadBalancer`, by a load balancer for each broker.
    #[serde(rename = "type")]
    pub kind: ExternalKind,
    /// The port that brokers listen on for them, which is also that of load balancers; if not given,
    /// the Kafka port and 3. Setting it, as setting or removing the listener, restarts brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1024 && self <= 65535")
        .message("a port of brokers lies between 1024 and 65535"))]
    pub port: Option<i32>,
    /// Which address of the node under a broker's pod clients are told; if not given, its ExternalIP
    /// or, without one, its InternalIP. Only InternalIP does without the right to read nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_address: Option<NodeAddressType>,
    /// Who makes the load balancers; the cloud's default if not given. Kubernetes lets it be set only
    /// when a Service is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316))]
    pub load_balancer_class: Option<String>,
    /// From which addresses load balancers take clients, as CIDRs; from all if there are none. It takes
    /// a cloud that heeds it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 3, max = 49)))]
    #[x_kube(validation = Rule::new("self.all(r, r.contains('/'))")
        .message("a source range is a CIDR like 10.0.0.0/8"))]
    pub load_balancer_source_ranges: Vec<String>,
    /// Whether load balancers also get node ports; Kubernetes' own default is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocate_load_balancer_node_ports: Option<bool>,
    /// Annotations of all its Services, by which clouds and DNS are told what to make of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('chronik.io/'))")
        .message("annotations of chronik.io are the operator's"))]
    pub annotations: BTreeMap<String, String>,
    /// The Service where clients start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<ExternalBootstrap>,
    /// What is special about single brokers, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1000),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"])
    )]
    pub brokers: Vec<ExternalBroker>,
}

impl ExternalListener {
    /// What is special about a broker, if anything is.
    #[must_use]
    pub fn broker(&self, id: u32) -> Option<&ExternalBroker> {
        self.brokers.iter().find(|broker| u32::try_from(broker.id) == Ok(id))
    }
}

/// How clients outside reach brokers.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ExternalKind {
    /// By a port of every node.
    NodePort,
    /// By a load balancer.
    LoadBalancer,
}

impl ExternalKind {
    /// Its name in a manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ExternalKind::NodePort => "nodePort",
            ExternalKind::LoadBalancer => "loadBalancer",
        }
    }
}

/// A kind of address of nodes, as Kubernetes names it.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeAddressType {
    /// Reached from outside.
    ExternalIP,
    /// Reached from the nodes' own network.
    InternalIP,
}

/// The Service where clients start.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ExternalBootstrap {
    /// Its port of every node; if not given, Kubernetes chooses one, and keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535")
        .message("must be from 1 to 65535"))]
    pub node_port: Option<i32>,
    /// Further annotations of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('chronik.io/'))")
        .message("annotations of chronik.io are the operator's"))]
    pub annotations: BTreeMap<String, String>,
}

/// What is special about one broker.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalBroker {
    /// The broker.
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1048575")
        .message("a broker's id is from 1 to 1048575"))]
    pub id: i32,
    /// The name or address that clients are told, in place of what is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(
        "self.matches('^([a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?|[0-9a-fA-F.:]*:[0-9a-fA-F.:]*)$')")
        .message("must be a DNS name or an IP address"))]
    pub host: Option<String>,
    /// The port that clients are told, in place of what is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535")
        .message("must be from 1 to 65535"))]
    pub port: Option<i32>,
    /// The port of every node that leads to it; if not given, Kubernetes chooses one, and keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535")
        .message("must be from 1 to 65535"))]
    pub node_port: Option<i32>,
    /// Further annotations of its Service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('chronik.io/'))")
        .message("annotations of chronik.io are the operator's"))]
    pub annotations: BTreeMap<String, String>,
}
