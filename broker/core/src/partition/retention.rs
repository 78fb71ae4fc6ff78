//! Retention: only the leader looks at time and size; what it decides is an entry of the log, so
//! that all replicas forget the same records. DeleteRecords goes the same way.

use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::{Micros, Offset, PartitionId};
use crate::log::LogError;
use crate::log::disk::Disk;
use crate::log::group_log::GroupLog;
use crate::meta::configs::TopicConfig;

impl<D: Disk> Core<D> {
    /// Looks at every partition led here, and proposes a later start where records are too old or
    /// too many.
    pub(crate) fn expire_records(&mut self) {
        let now = self.now.wall_ms;
        let mut due = Vec::new();
        for (id, replica) in &self.replicas {
            let crate::core::Machine::Records(partition) = &replica.machine else { continue };
            if replica.leading.is_some()
                && let Some(start) = expired(replica.group.log(), &partition.config, now)
            {
                due.push((*id, start));
            }
        }
        for (id, start) in due {
            tracing::info!(group = %id, start, "records expire");
            self.propose_log_start(id, start, Micros(u64::MAX), |_, _| {});
        }
    }

    /// Proposes that a partition starts at `offset`; `then` is called when that is decided, or at
    /// the deadline.
    pub(crate) fn propose_log_start(
        &mut self,
        id: PartitionId,
        offset: Offset,
        deadline: Micros,
        then: impl FnOnce(&mut Core<D>, Result<(), KafkaError>) + 'static,
    ) {
        let Some(replica) = self.replicas.get_mut(&id) else {
            return then(self, Err(KafkaError::NotLeaderOrFollower));
        };
        match replica.group.propose_log_start(offset) {
            Ok(at) => {
                self.mark_dirty(id);
                self.await_log_start(id, at, deadline, Box::new(then));
            }
            Err(_) => then(self, Err(KafkaError::NotLeaderOrFollower)),
        }
    }

    /// An entry says that the log starts later.
    pub(crate) fn move_log_start(
        &mut self,
        id: PartitionId,
        start: Offset,
    ) -> Result<(), LogError> {
        let Core { replicas, wal, .. } = self;
        let Some(replica) = replicas.get_mut(&id) else { return Ok(()) };
        let state = replica.machine.encode();
        let log = replica.group.log_mut();
        let applied_end = log.offset_after(log.applied_index())?;
        if start >= applied_end {
            // All records go: the segment that is being written ends here.
            if let Some(state) = state {
                log.roll(state);
            }
        }
        log.set_start(wal, start);
        Ok(())
    }
}

/// Where the log should start, if later than it does: whole segments whose newest record is too
/// old, or that lie beyond the size that is to be kept.
fn expired<D: Disk>(log: &GroupLog<D>, config: &TopicConfig, now: i64) -> Option<Offset> {
    let mut start = log.log_start();
    let mut bytes = log.size_bytes();
    for segment in log.segments() {
        let age = now.saturating_sub(segment.max_timestamp);
        // Records without a time have no age, but they have a size.
        let too_old = segment.max_timestamp >= 0
            && config.retention_ms.is_some_and(|kept| u64::try_from(age).is_ok_and(|a| a > kept));
        let too_many =
            config.retention_bytes.is_some_and(|kept| bytes.saturating_sub(segment.bytes) >= kept);
        if segment.bytes == 0 || !(too_old || too_many) {
            break;
        }
        bytes = bytes.saturating_sub(segment.bytes);
        start = start.max(segment.end_offset);
    }
    (start > log.log_start()).then_some(start)
}
