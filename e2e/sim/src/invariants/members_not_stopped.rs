//! The operator ends a broker for good, or empties its disk, only once the cluster has forgotten it.

use std::collections::BTreeMap;

use chronik_core::core::Core;
use chronik_core::ids::{BrokerId, Index, Uuid};
use chronik_core::log::mem_disk::MemDisk;

use super::Violation;

const NAME: &str = "no member is stopped for good";

/// Who is a member, by the newest image that any broker ever had.
#[derive(Debug, Default)]
pub(super) struct Members {
    at: Index,
    /// The directory of each, and the entry that registered it.
    members: BTreeMap<BrokerId, (Uuid, Index)>,
    /// Where the cluster was when the operator began to look.
    looked_at: Index,
}

impl Members {
    pub(super) fn learn(&mut self, core: &Core<MemDisk>) {
        let (index, image) = core.image();
        if index > self.at {
            self.at = index;
            let member = |broker: &chronik_core::meta::Broker| {
                (broker.id(), (broker.registration.directory, broker.meta_peer.0 >> 20))
            };
            self.members = image.brokers().map(member).collect();
        }
    }

    /// The operator begins to look: what happens from now on it cannot know.
    pub(super) fn looked(&mut self) {
        self.looked_at = self.at;
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.members.keys().copied()
    }

    /// `node` is about to end for good.
    pub(super) fn ends(&self, node: BrokerId) -> Result<(), Violation> {
        match self.members.get(&node) {
            Some((_, since)) if *since <= self.looked_at => {
                let what = format!("{node:?} is ended for good, a member since {since} of __meta");
                Violation::new(NAME, what)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// `node` is about to empty its disk.
    pub(super) fn wipes(&self, node: BrokerId, directory: Uuid) -> Result<(), Violation> {
        match self.members.get(&node) {
            Some((known, since)) if *known == directory => {
                let what = format!("{node:?} wipes its disk, a member since {since} of __meta");
                Violation::new(NAME, what)
            }
            Some(_) | None => Ok(()),
        }
    }
}
