//! Where brokers stand. What the platform sees is told to the cluster when it differs from what it
//! was told before; what the platform does not know now (a pod without a node) stays as it is.

use crate::desired::Desired;
use crate::outcome::Plan;
use crate::step::Step;
use crate::view::View;

/// Tells the cluster of racks that changed, or takes all back that it was told.
pub(crate) fn plan(desired: &Desired, view: &View<'_>, plan: &mut Plan) {
    for (id, member) in &view.meta.brokers {
        let rack = match (desired.platform_racks, view.observed.racks.get(id)) {
            (false, _) => None,
            (true, None) => continue,
            (true, Some(rack)) => Some(rack.clone()),
        };
        if rack != member.told_rack {
            let (to, broker, directory) = (view.leader, *id, member.directory.clone());
            plan.steps.push(Step::SetRack { to, broker, directory, rack });
        }
    }
}
