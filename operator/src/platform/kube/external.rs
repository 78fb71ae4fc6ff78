//! The listener for clients outside Kubernetes' network: its Services are made and removed here, and
//! where they lead is seen. How they are rendered is in [`services`], how addresses are read in
//! [`addresses`]; the plan has the cluster told of them.

pub mod addresses;
pub mod services;

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::{Refusal, Wait};
use k8s_openapi::api::core::v1::{Node, Service};
use kube::ResourceExt as _;

use super::Kube;
use super::error::KubeError;
use super::inputs::Port;
use super::names::LISTENER_LABEL;
use super::objects::Objects;
use super::policy::is_refusal;
use crate::api::external::{ExternalKind, ExternalListener, NodeAddressType};
use crate::platform::Tended;
use crate::reconcile::describe;
use addresses::{Around, Seen};

/// What is there for clients outside, from one look.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Where they find brokers.
    pub seen: Seen,
    services: BTreeMap<String, Service>,
}

impl Outside {
    /// Where clients start; empty while that is not known.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.seen.bootstrap.join(",")
    }
}

impl Kube {
    /// Looks at the Services, and where they lead.
    pub(super) async fn see_outside(&mut self, nodes: Option<&[Node]>) -> Result<(), KubeError> {
        let (label, value) = LISTENER_LABEL;
        let selector = format!("{},{label}={value}", self.inputs.names.selector());
        let services = self.objects.list::<Service>(&selector).await?;
        let services: BTreeMap<String, Service> =
            services.into_iter().map(|service| (service.name_any(), service)).collect();
        let mut seen = Seen::default();
        if let Some(external) = &self.inputs.external {
            seen = addresses::read(&Around {
                external,
                names: &self.inputs.names,
                port: self.inputs.port(Port::External),
                brokers: &self.brokers(),
                workloads: &self.seen,
                services: &services,
                nodes,
            });
        }
        self.outside = Outside { seen, services };
        Ok(())
    }

    /// Makes sure that there is a Service for each broker and one to start at, and no other.
    pub(super) async fn tend_outside(&self, tended: &mut Tended) -> Result<(), KubeError> {
        let inputs = &self.inputs;
        let wanted = inputs.external.as_ref().map(|external| {
            let brokers = self.brokers();
            let each = brokers.iter().map(|id| services::broker(inputs, external, *id));
            [services::bootstrap(inputs, external)].into_iter().chain(each).collect::<Vec<_>>()
        });
        let wanted = wanted.unwrap_or_default();
        tend(&self.objects, &inputs.names.uid, &self.outside.services, &wanted, tended).await?;
        let Seen { waiting, refused, .. } = &self.outside.seen;
        tended.refused.extend(refused.iter().cloned());
        tended.waiting.extend(waiting.iter().map(|of| Wait::Address { of: of.clone() }));
        Ok(())
    }
}

/// Whether nodes have to be looked at to know where brokers are found.
pub(super) fn reads_nodes(external: &ExternalListener) -> bool {
    external.kind == ExternalKind::NodePort
        && external.node_address != Some(NodeAddressType::InternalIP)
}

/// Has exactly these Services be there. What the API server does not take (a node port that is in use,
/// say) is told, and keeps nothing else from being done.
pub async fn tend(
    objects: &Objects,
    owner: &str,
    live: &BTreeMap<String, Service>,
    wanted: &[Service],
    tended: &mut Tended,
) -> Result<(), KubeError> {
    for service in wanted {
        let name = service.name_any();
        match objects.ensure_over(live.get(&name), service).await {
            Ok(true) => tended.done.push(format!("apply Service {name}")),
            Ok(false) => {}
            Err(error) if is_refusal(&error) => tended.refused.push(Refusal {
                field: "spec.listeners.external".into(),
                value: name,
                reason: describe(&error),
            }),
            Err(other) => return Err(other),
        }
    }
    let wanted: BTreeSet<String> = wanted.iter().map(|service| service.name_any()).collect();
    for (name, service) in live.iter().filter(|(name, _)| !wanted.contains(*name)) {
        let mut owners = service.owner_references().iter();
        let is_ours = owners.any(|reference| reference.uid == owner);
        if is_ours && service.metadata.deletion_timestamp.is_none() {
            objects.delete::<Service>(&service.metadata).await?;
            tended.done.push(format!("delete Service {name}"));
        }
    }
    Ok(())
}
