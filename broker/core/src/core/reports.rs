//! Leaders tell the cluster who they are and what their group's membership is: all groups of a
//! node in one command, and only what the image does not have yet.

use super::Core;
use super::apply::conf_report;
use crate::ids::PartitionId;
use crate::log::disk::Disk;
use crate::meta::command::{Command, GroupReport};

const ROWS_MAX: usize = 2000;

impl<D: Disk> Core<D> {
    pub(super) fn report(&mut self) {
        if self.reporting || self.meta.cluster_id().is_none() {
            return;
        }
        self.report_due = false;
        let ids = self.replicas.iter().filter(|(_, replica)| replica.leading.is_some());
        let rows: Vec<GroupReport> =
            ids.filter_map(|(id, _)| self.row(*id)).take(ROWS_MAX).collect();
        if rows.is_empty() {
            return;
        }
        self.reporting = true;
        self.propose_meta(&Command::Report { from: self.me(), rows }, |core, _| {
            // What was not taken shows again: the image still lacks it.
            core.reporting = false;
        });
    }

    /// Reports at the end of a round in which a leadership was won or a membership changed, unless an
    /// earlier report is still under way. Whether it did.
    pub(super) fn report_soon(&mut self) -> bool {
        let due = self.report_due;
        if due {
            self.report();
        }
        due && !self.report_due
    }

    fn row(&self, id: PartitionId) -> Option<GroupReport> {
        let group = &self.replicas.get(&id)?.group;
        let known = self.meta.partition(id);
        let (me, term) = (group.peer(), group.term());
        let leader_known =
            known.is_some_and(|known| known.leader_term >= term && known.leader == Some(me));
        let (conf, conf_index) = group.synced_conf();
        let conf_known = known.is_some_and(|known| known.conf_index >= conf_index);
        (!leader_known || !conf_known).then(|| GroupReport {
            id,
            leader: Some((me, term)),
            conf: Some(conf_report(conf_index, conf)),
        })
    }
}
