//! Where clients outside the platform find brokers. What the platform sees is told to the cluster when
//! it differs from what it was told before; what the platform does not know now (a pod without a
//! node, a load balancer without an address) stays as it is.

use crate::desired::Desired;
use crate::outcome::Plan;
use crate::step::Step;
use crate::view::View;

/// Tells the cluster of addresses that changed, or takes all back that it was told.
pub(crate) fn plan(desired: &Desired, view: &View<'_>, plan: &mut Plan) {
    for (id, member) in &view.meta.brokers {
        let address = match (desired.platform_addresses, view.observed.advertised.get(id)) {
            (false, _) => None,
            (true, None) => continue,
            (true, Some(address)) => Some(address.clone()),
        };
        if address != member.advertised {
            let (to, broker, directory) = (view.leader, *id, member.directory.clone());
            plan.steps.push(Step::SetAdvertised { to, broker, directory, address });
        }
    }
}
