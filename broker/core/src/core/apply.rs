//! Committed entries, given to what they mean: the cluster's image, a coordinator, a partition.
//! And what a replica's new commit index or new role means to those who wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use raft::eraftpb::ConfState;

use super::replica::Offline;
use super::{Core, Machine, Replica, with_causes};
use crate::codec::CodecError;
use crate::coordinator::Coordinator;
use crate::ids::{Index, PartitionId, PeerId, Term};
use crate::log::LogError;
use crate::log::disk::Disk;
use crate::log::entry::Descriptor;
use crate::log::image::Image;
use crate::meta::command::{Command, ConfReport};
use crate::meta::configs::TopicConfig;
use crate::meta::{Proposal, State};
use crate::mutant::{self, Mutant};
use crate::partition::producers::{InFlight, Producers};
use crate::partition::{Partition, produce};
use crate::raft::ready::{Committed, Driven};
use crate::wire::records::{self, Record, RecordsError};

/// The topic whose partitions are the coordinators of consumer groups.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Committed data that the software cannot make sense of: the replica goes offline.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    #[error("reading the entry")]
    Log(#[from] LogError),
    #[error("the entry's batch")]
    Batch(#[from] RecordsError),
    #[error("decoding what the entry says")]
    Codec(#[from] CodecError),
}

impl<D: Disk> Core<D> {
    pub(super) fn apply(&mut self, id: PartitionId, driven: Driven) {
        let Driven { installed, committed, appended: _ } = driven;
        if installed.is_some() && self.replicas.get(&id).is_some_and(|r| r.leading.is_some()) {
            // Those who wait for the state that is about to go would never be answered.
            self.lose_leadership(id);
        }
        if let Some(image) = installed
            && let Err(error) = self.install(id, &image)
        {
            return self.take_offline(id, format!("snapshot: {}", with_causes(&error)));
        }
        for entry in committed {
            if let Err(error) = self.apply_one(id, &entry) {
                let why = format!("entry {}: {}", entry.index, with_causes(&error));
                return self.take_offline(id, why);
            }
        }
    }

    /// A leader's snapshot: its state takes the place of this replica's.
    fn install(&mut self, id: PartitionId, image: &Image) -> Result<(), ApplyError> {
        if id == PartitionId::META {
            self.restore_meta(image.index, image.state.clone())?;
            self.reconcile_all();
            self.retry_placed(image.index);
            return Ok(());
        }
        let machine = self.machine_from(id, image.state.clone())?;
        if let Some(replica) = self.replicas.get_mut(&id) {
            replica.machine = machine;
        }
        Ok(())
    }

    /// The image as of `index`, from a checkpoint or a leader's snapshot.
    pub(super) fn restore_meta(&mut self, index: u64, state: Bytes) -> Result<(), CodecError> {
        self.meta = if state.is_empty() { State::new() } else { State::decode(state)? };
        self.meta_applied = index;
        Ok(())
    }

    fn apply_one(&mut self, id: PartitionId, entry: &Committed) -> Result<(), ApplyError> {
        let Some(replica) = self.replicas.get_mut(&id) else { return Ok(()) };
        match (&entry.what, &mut replica.machine) {
            (Descriptor::Batch(_), Machine::Meta) => {
                for record in records_of(replica.group.log().payload(entry.index)?)? {
                    self.apply_command(entry, record)?;
                }
            }
            (Descriptor::Batch(_), Machine::Groups(coordinator)) => {
                let mut effects = Vec::new();
                for record in records_of(replica.group.log().payload(entry.index)?)? {
                    let value = record.value.unwrap_or_default();
                    effects.extend(coordinator.apply(self.now, entry.index, value)?);
                }
                self.carry_out(id, effects);
            }
            (Descriptor::Batch(info), Machine::Records(partition)) => {
                produce::applied(partition, entry.index, info);
            }
            (Descriptor::LogStart(start), _) => self.move_log_start(id, *start)?,
            (Descriptor::Noop | Descriptor::ConfChange, Machine::Meta) => {
                self.meta_applied = self.meta_applied.max(entry.index);
            }
            (
                Descriptor::Noop | Descriptor::ConfChange,
                Machine::Groups(_) | Machine::Records(_),
            ) => {}
        }
        if let Some(change) = &entry.change {
            self.report_due = true;
            if id == PartitionId::META {
                // Its membership is exact at every index, so that a removal is never judged by an
                // older one.
                self.meta.apply_meta_change(entry.index, change);
            }
        }
        if id == PartitionId::META {
            self.retry_placed(entry.index);
        }
        self.decide_changes(id, entry);
        self.decide_log_starts(id, entry);
        self.checkpoint_machine(id, entry)
    }

    fn apply_command(&mut self, entry: &Committed, record: Record) -> Result<(), ApplyError> {
        let proposal = record.key.map(Proposal::decode).transpose()?;
        let command = Command::decode(record.value.unwrap_or_default())?;
        if let Some(proposal) = proposal.filter(|proposal| !self.meta.admit(proposal)) {
            self.meta_applied = entry.index;
            self.proposal_repeated(&proposal);
            return Ok(());
        }
        let deleted = match &command {
            Command::DeleteTopic { id } => self.meta.topic(*id).map(|topic| topic.name.clone()),
            _ => None,
        };
        let result = self.meta.apply(entry.index, &command);
        self.meta_applied = entry.index;
        let outcome = match result {
            Ok(applied) => {
                for id in &applied.touched {
                    self.reconcile(*id);
                }
                if applied.brokers_changed {
                    self.show_peers();
                    self.reconcile_all();
                }
                if !applied.configs_changed.is_empty() {
                    self.configure();
                }
                if let Some(name) = deleted {
                    crate::handlers::groups::topics_deleted(self, &BTreeSet::from([name]));
                }
                Ok(applied.outcome)
            }
            Err(refusal) => Err(refusal),
        };
        if let Some(proposal) = proposal {
            self.proposal_decided(&proposal, outcome);
        }
        Ok(())
    }

    /// Lets the log know what was applied, and gives it the machine's state where a segment begins.
    fn checkpoint_machine(&mut self, id: PartitionId, entry: &Committed) -> Result<(), ApplyError> {
        let Some(replica) = self.replicas.get_mut(&id) else { return Ok(()) };
        let log = replica.group.log_mut();
        log.applied(entry.index);
        if !log.wants_roll() {
            return Ok(());
        }
        let state = replica.machine.encode().unwrap_or_else(|| self.meta.encode());
        log.roll(state);
        match &replica.machine {
            // The state replaces the commands that made it.
            Machine::Meta | Machine::Groups(_) => log.drop_before(entry.index + 1),
            Machine::Records(_) => {}
        }
        Ok(())
    }

    pub(crate) fn is_offsets_topic(&self, id: PartitionId) -> bool {
        self.meta.topic(id.topic).is_some_and(|topic| topic.internal && topic.name == OFFSETS_TOPIC)
    }

    /// A replica's owner, as of the newest checkpoint of its log.
    pub(super) fn machine_from(
        &self,
        id: PartitionId,
        state: Bytes,
    ) -> Result<Machine, CodecError> {
        if self.is_offsets_topic(id) {
            let seed = self.coordinator_seed(id);
            let mut coordinator = Coordinator::new(self.group_config(), seed);
            if !state.is_empty() {
                coordinator.restore(state)?;
            }
            return Ok(Machine::Groups(Box::new(coordinator)));
        }
        let producers =
            if state.is_empty() { Producers::default() } else { Producers::decode(state)? };
        let topic =
            self.meta.topic(id.topic).ok_or(CodecError::Unknown { what: "topic", value: 0 })?;
        Ok(Machine::Records(Box::new(Partition {
            producers,
            in_flight: InFlight::default(),
            config: Arc::new(TopicConfig::on(&self.meta, topic, self.me())),
        })))
    }

    /// What the drive of a group means to those who wait: new commits, a leadership won or lost.
    pub(super) fn after_drive(&mut self, id: PartitionId) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        let leads = replica.group.leads().then(|| replica.group.term());
        let lost = replica.leading.is_some() && replica.leading != leads;
        let won = replica.leading != leads && replica.group.leads_and_knows();
        let committed = replica.group.committed();
        let advanced = committed > replica.seen_commit;
        replica.seen_commit = replica.seen_commit.max(committed);
        let last = replica.group.last_index();
        if mutant::is(Mutant::AnswerOnAppend) {
            self.settle_appends(id, last);
        } else if advanced {
            self.settle_appends(id, committed);
        }
        if lost {
            self.lose_leadership(id);
        }
        if won {
            self.win_leadership(id, leads);
        }
        if advanced || lost {
            self.wake_fetches(id);
        }
    }

    fn win_leadership(&mut self, id: PartitionId, leading: Option<Term>) {
        self.report_due = true;
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        replica.leading = leading;
        replica.received.clear();
        let term = replica.group.term();
        tracing::info!(group = %id, term, "leads");
        match &mut replica.machine {
            Machine::Meta => self.lead_meta(),
            Machine::Groups(coordinator) => coordinator.lead(self.now, term),
            Machine::Records(partition) => partition.in_flight.clear(),
        }
    }

    fn lose_leadership(&mut self, id: PartitionId) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        if replica.leading.take().is_some() {
            tracing::info!(group = %id, term = replica.group.term(), "leads no more");
        }
        let now = self.now.mono;
        let effects = match &mut replica.machine {
            Machine::Meta => Vec::new(),
            Machine::Groups(coordinator) => coordinator.step_down(),
            Machine::Records(partition) => {
                // They are about to be told that this is not the leader.
                partition.in_flight.oldest().for_each(|it| self.refused.refuse(id, &it, now));
                partition.in_flight.clear();
                Vec::new()
            }
        };
        self.carry_out(id, effects);
        self.fail_appends(id);
        self.fail_changes(id);
        self.fail_log_starts(id);
    }

    /// A replica that cannot go on is named, and the node goes on without it; but not without its
    /// image of the cluster, which nobody could bring up to date while this process lives.
    pub(super) fn take_offline(&mut self, id: PartitionId, reason: String) {
        tracing::error!(group = %id, %reason, "replica taken offline");
        if id == PartitionId::META {
            self.fatal(format!(
                "this broker's replica of __meta cannot go on ({reason}); start the broker again, \
                 and it is read back from the disk"
            ));
        }
        self.damaged.remove(&id);
        if let Some(replica) = self.evict(id) {
            let peer = replica.group.peer();
            let log = Some(replica.group.into_log());
            self.offline.insert(id, Offline { peer, reason, log });
        }
    }

    /// Takes a replica out of service: whoever waits for it is answered.
    pub(super) fn evict(&mut self, id: PartitionId) -> Option<Replica<D>> {
        self.lose_leadership(id);
        self.dirty.remove(&id);
        let replica = self.replicas.remove(&id)?;
        self.uncommitted = self.uncommitted.saturating_sub(replica.uncommitted);
        for fetch in &replica.fetches {
            self.try_fetch_again(*fetch);
        }
        Some(replica)
    }
}

/// A membership as the cluster's image keeps it.
pub(super) fn conf_report(conf_index: Index, conf: &ConfState) -> ConfReport {
    let peers = |ids: &[u64]| ids.iter().map(|id| PeerId(*id)).collect();
    ConfReport {
        conf_index,
        voters: peers(&conf.voters),
        outgoing: peers(&conf.voters_outgoing),
        learners: peers(&conf.learners),
        learners_next: peers(&conf.learners_next),
    }
}

/// The records in a batch of a group that keeps no records of users.
fn records_of(payload: Option<Bytes>) -> Result<Vec<Record>, RecordsError> {
    payload.map_or_else(|| Ok(Vec::new()), |batch| records::read(&batch)?.collect())
}
