//! What the platform sees of brokers and the cluster has to be told: where they stand, and where clients
//! outside the platform find them. It is told when it differs from what was told before; what the
//! platform does not know now (a pod without a node, a load balancer without an address) stays as it is.

use std::collections::BTreeMap;

use crate::desired::Desired;
use crate::observed::{BrokerId, Member};
use crate::outcome::Plan;
use crate::step::Step;
use crate::view::View;

/// Tells the cluster of racks and addresses that changed, or takes all back that it was told.
pub(crate) fn plan(desired: &Desired, view: &View<'_>, plan: &mut Plan) {
    let (to, seen) = (view.leader, view.observed);
    let racks = changes(view, desired.platform_racks, &seen.racks, |m| &m.told_rack);
    plan.steps.extend(racks.map(|(broker, directory, rack)| Step::SetRack {
        to,
        broker,
        directory,
        rack,
    }));
    let addresses = changes(view, desired.platform_addresses, &seen.advertised, |m| &m.advertised);
    plan.steps.extend(addresses.map(|(broker, directory, address)| Step::SetAdvertised {
        to,
        broker,
        directory,
        address,
    }));
}

/// Brokers of which the cluster is to be told something else, with their directories; `None` if it is
/// `wanted` no more. `before` is what it was told last.
fn changes<'v>(
    view: &'v View<'_>,
    wanted: bool,
    seen: &'v BTreeMap<BrokerId, String>,
    before: impl Fn(&Member) -> &Option<String> + 'v,
) -> impl Iterator<Item = (BrokerId, String, Option<String>)> + 'v {
    view.meta.brokers.iter().filter_map(move |(id, member)| {
        let now = if wanted { Some(seen.get(id)?.clone()) } else { None };
        (now != *before(member)).then(|| (*id, member.directory.clone(), now))
    })
}
