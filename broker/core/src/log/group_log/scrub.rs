//! Reading what is in segments for nothing but its checksums, a little at a time. Who does it how
//! often, and what becomes of a damaged replica, is the owner's.

use super::GroupLog;
use crate::ids::Index;
use crate::log::LogError;
use crate::log::disk::Disk;
use crate::log::row::ROW_BYTES;

/// Rows that are read at once.
const ROWS_AT_ONCE: u64 = 64;

/// How far a check came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scrubbed {
    /// The entry to go on with; none if all that is in segments is checked.
    pub next: Option<Index>,
    /// What was read.
    pub bytes: u64,
}

impl<D: Disk> GroupLog<D> {
    /// Checks the entries in segments from `from` on, with their rows and the states that segments
    /// begin with, until at least `bytes_max` are read. An error says what is damaged, and where.
    pub fn scrub(&self, from: Index, bytes_max: u64) -> Result<Scrubbed, LogError> {
        let mut index = from.max(self.first());
        let mut bytes = 0;
        while index <= self.flushed {
            let (segment, place) = (self.cold(index)?, self.place());
            if index == segment.base_index {
                bytes += segment.state(&place)?.len() as u64;
            }
            for row in segment.rows(&place, index, ROWS_AT_ONCE)? {
                bytes += (ROW_BYTES + segment.payload(&place, &row)?.len()) as u64;
                index = row.index + 1;
                if bytes >= bytes_max {
                    return Ok(Scrubbed { next: Some(index), bytes });
                }
            }
        }
        Ok(Scrubbed { next: None, bytes })
    }
}
