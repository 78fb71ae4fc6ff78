//! At most one log line a second for something that others can cause at will.

use crate::ids::Micros;

const EVERY: Micros = Micros::from_millis(1_000);

/// When such a line was last written, and what has been left out since.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    last: Option<Micros>,
    left_out: u64,
}

impl LogLimit {
    /// Whether to write a line now; then, how many were left out since the last.
    pub(super) fn admit(&mut self, now: Micros) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < EVERY) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_says_how_many_there_were() {
        let mut limit = LogLimit::default();
        let lines: Vec<Option<u64>> = [0, 1, 999, 1_000, 1_500, 2_100, 9_000]
            .map(|ms| limit.admit(Micros::from_millis(ms)))
            .to_vec();
        assert_eq!(lines, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }
}
