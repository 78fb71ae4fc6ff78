//! The terms of a log's entries, kept in memory: where each one begins. It answers raft's questions
//! for a term without reading rows, and OffsetForLeaderEpoch's for the end of one.

use crate::ids::{Index, Term};

/// Where each term begins, from the entry before the first one on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    starts: Vec<(Term, Index)>,
}

impl Terms {
    /// A log that starts after the entry at `index`, which has `term`.
    #[must_use]
    pub fn after(index: Index, term: Term) -> Terms {
        Terms { starts: vec![(term, index)] }
    }

    /// From what [`Terms::starts`] gave.
    #[must_use]
    pub fn from_starts(starts: Vec<(Term, Index)>) -> Terms {
        Terms { starts }
    }

    /// The terms and the index at which each begins.
    #[must_use]
    pub fn starts(&self) -> &[(Term, Index)] {
        &self.starts
    }

    /// The entry at `index`, the next one, has `term`.
    pub fn push(&mut self, index: Index, term: Term) {
        if self.starts.last().is_none_or(|(last, _)| *last != term) {
            self.starts.push((term, index));
        }
    }

    /// Forgets the entries from `index` on.
    pub fn truncate(&mut self, index: Index) {
        while self.starts.len() > 1 && self.starts.last().is_some_and(|(_, at)| *at >= index) {
            self.starts.pop();
        }
    }

    /// Forgets the entries below `index`, which becomes the entry before the first one.
    pub fn drop_before(&mut self, index: Index) {
        let keep = self.starts.partition_point(|(_, at)| *at <= index).saturating_sub(1);
        self.starts.drain(..keep);
        if let Some(first) = self.starts.first_mut() {
            first.1 = first.1.max(index);
        }
    }

    /// The term of the entry at `index`, which must be within the log or right before it.
    #[must_use]
    pub fn term(&self, index: Index) -> Term {
        let after = self.starts.partition_point(|(_, at)| *at <= index);
        after.checked_sub(1).and_then(|i| self.starts.get(i)).map_or(0, |(term, _)| *term)
    }

    /// The largest term up to `term` that has entries at or above `first`, and its last entry, if
    /// the log ends with `last`.
    #[must_use]
    pub fn end_of(&self, term: Term, first: Index, last: Index) -> Option<(Term, Index)> {
        let after = self.starts.partition_point(|(t, at)| *t <= term && *at <= last);
        let (found, _) = *self.starts.get(after.checked_sub(1)?)?;
        let end = self.starts.get(after).map_or(last, |(_, next)| (next - 1).min(last));
        (end >= first).then_some((found, end))
    }

    /// How many terms there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }
}
