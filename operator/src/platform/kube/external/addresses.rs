//! Pure: where clients outside find brokers, read from Services, pods and nodes.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::{BrokerId, Refusal};
use k8s_openapi::api::core::v1::{Node, Service};

use crate::api::external::{ExternalKind, ExternalListener, NodeAddressType};
use crate::platform::kube::inputs::Port;
use crate::platform::kube::names::Names;
use crate::platform::kube::seen::Workload;

/// As many addresses to start at are told.
const BOOTSTRAP_MAX: usize = 3;

/// What there is to read.
#[derive(Debug)]
pub struct Around<'a> {
    /// The listener.
    pub external: &'a ExternalListener,
    /// Names of Services.
    pub names: &'a Names,
    /// The listener's port.
    pub port: u16,
    /// The brokers that have a Service, or are to have one.
    pub brokers: &'a BTreeSet<BrokerId>,
    /// What exists of brokers.
    pub workloads: &'a BTreeMap<BrokerId, Workload>,
    /// The listener's Services, by name.
    pub services: &'a BTreeMap<String, Service>,
    /// The nodes; none if they were not, or may not be, read.
    pub nodes: Option<&'a [Node]>,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// `host:port` by broker, where it could be told.
    pub known: BTreeMap<BrokerId, String>,
    /// Where clients start.
    pub bootstrap: Vec<String>,
    /// What has no address yet.
    pub waiting: Vec<String>,
    /// Why there will be none for others.
    pub refused: Vec<Refusal>,
}

/// Why an address is not told.
enum Unknown {
    /// It comes by itself: this has none yet.
    Yet(String),
    /// It does not: a node without the address that is asked for.
    Node(String),
    /// It does not: nodes may not be read.
    Forbidden,
    /// Whoever starts the broker is at it.
    NoPod,
}

/// Reads where each broker is found. Nothing is known of any before all of them were made with the
/// listener: brokers of an earlier version do not know the order that tells it.
#[must_use]
pub fn read(around: &Around<'_>) -> Seen {
    let mut seen = Seen::default();
    let (mut nodes, mut forbidden) = (BTreeSet::new(), false);
    let mut owners: BTreeMap<String, BrokerId> = BTreeMap::new();
    for id in around.brokers {
        match around.broker(*id) {
            Ok(address) => {
                if let Some(other) = owners.get(&address) {
                    let reason = format!("brokers {other} and {id} would both be told as this one");
                    let field = "spec.listeners.external.brokers".to_owned();
                    seen.refused.push(Refusal { field, value: address, reason });
                    continue;
                }
                owners.insert(address.clone(), *id);
                seen.known.insert(*id, address);
            }
            Err(Unknown::Yet(of)) => seen.waiting.push(of),
            Err(Unknown::Node(node)) => {
                nodes.insert(node);
            }
            Err(Unknown::Forbidden) => forbidden = true,
            Err(Unknown::NoPod) => {}
        }
    }
    seen.refused.extend(around.refusal(&nodes, forbidden));
    match around.bootstrap() {
        Ok(bootstrap) => seen.bootstrap = bootstrap,
        Err(of) => seen.waiting.push(of),
    }
    let made = |workload: &&Workload| workload.set.is_some() || workload.pod.is_some();
    let listens = |workload: &Workload| workload.listens_on(Port::External.name());
    if !around.workloads.values().filter(made).all(listens) {
        seen.known.clear();
    }
    seen
}

impl Around<'_> {
    fn broker(&self, id: BrokerId) -> Result<String, Unknown> {
        let special = self.external.broker(id);
        let name = self.names.external(id);
        let service = self.services.get(&name);
        let given = special.and_then(|special| u16::try_from(special.port?).ok());
        let port = match (given, self.external.kind) {
            (Some(port), _) => port,
            (None, ExternalKind::LoadBalancer) => self.port,
            (None, ExternalKind::NodePort) => service
                .and_then(node_port)
                .ok_or_else(|| Unknown::Yet(format!("Service {name} of broker {id}")))?,
        };
        let host = match (special.and_then(|special| special.host.clone()), self.external.kind) {
            (Some(host), _) => host,
            (None, ExternalKind::LoadBalancer) => service.and_then(ingress).ok_or_else(|| {
                Unknown::Yet(format!("the load balancer of broker {id} (Service {name})"))
            })?,
            (None, ExternalKind::NodePort) => {
                self.node_of(self.workloads.get(&id).ok_or(Unknown::NoPod)?)?
            }
        };
        Ok(joined(&host, port))
    }

    /// The address of the node under a pod.
    fn node_of(&self, workload: &Workload) -> Result<String, Unknown> {
        let host = workload.node().ok_or(Unknown::NoPod)?;
        let wanted: &[&str] = match self.external.node_address {
            Some(NodeAddressType::InternalIP) => {
                return workload.node_ip().map(str::to_owned).ok_or(Unknown::NoPod);
            }
            Some(NodeAddressType::ExternalIP) => &["ExternalIP"],
            None => &["ExternalIP", "InternalIP"],
        };
        let nodes = self.nodes.ok_or(Unknown::Forbidden)?;
        let node = nodes.iter().find(|node| node.metadata.name.as_deref() == Some(host));
        let status = node.ok_or(Unknown::NoPod)?.status.as_ref();
        let addresses = status.and_then(|status| status.addresses.as_deref()).unwrap_or_default();
        let of = |kind: &&str| addresses.iter().find(|address| address.type_ == **kind);
        let found = wanted.iter().find_map(of).map(|address| address.address.clone());
        found.ok_or_else(|| Unknown::Node(host.to_owned()))
    }

    /// Where clients start, or what has no address yet. Any node leads to brokers; those named are the
    /// ones under them.
    fn bootstrap(&self) -> Result<Vec<String>, String> {
        let name = self.names.external_bootstrap();
        let service = self.services.get(&name);
        match self.external.kind {
            ExternalKind::LoadBalancer => {
                let host = service.and_then(ingress);
                let host = host.ok_or_else(|| format!("the load balancer of Service {name}"))?;
                Ok(vec![joined(&host, self.port)])
            }
            ExternalKind::NodePort => {
                let port = service.and_then(node_port).ok_or_else(|| format!("Service {name}"))?;
                let hosts = self.workloads.values().filter_map(|w| self.node_of(w).ok());
                let distinct: BTreeSet<String> = hosts.map(|host| joined(&host, port)).collect();
                Ok(distinct.into_iter().take(BOOTSTRAP_MAX).collect())
            }
        }
    }

    fn refusal(&self, nodes: &BTreeSet<String>, forbidden: bool) -> Option<Refusal> {
        let (kind, reason) = match self.external.node_address {
            _ if forbidden => (
                self.external.node_address,
                "the operator has no right to read nodes: give it list on nodes, or say InternalIP"
                    .to_owned(),
            ),
            kind if !nodes.is_empty() => (kind, format!("nodes without it: {}", first_ten(nodes))),
            _ => return None,
        };
        let value = match kind {
            Some(NodeAddressType::ExternalIP) => "ExternalIP",
            Some(NodeAddressType::InternalIP) => "InternalIP",
            None => "",
        };
        let field = "spec.listeners.external.nodeAddress".to_owned();
        Some(Refusal { field, value: value.to_owned(), reason })
    }
}

fn first_ten(names: &BTreeSet<String>) -> String {
    let ten: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
    match names.len().saturating_sub(10) {
        0 => ten.join(", "),
        more => format!("{} and {more} more", ten.join(", ")),
    }
}

/// The port of every node that leads to a Service.
fn node_port(service: &Service) -> Option<u16> {
    let port = service.spec.as_ref()?.ports.as_ref()?.first()?.node_port?;
    u16::try_from(port).ok().filter(|port| *port > 0)
}

/// Where the load balancer of a Service is.
fn ingress(service: &Service) -> Option<String> {
    let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
    let first = balancer.ingress.as_ref()?.first()?;
    let hostname = first.hostname.clone().filter(|name| !name.is_empty());
    hostname.or_else(|| first.ip.clone().filter(|ip| !ip.is_empty()))
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests;
