//! Replicas that catch up get no more from a broker than the cluster's rate: after a second's worth,
//! or a single message, nothing until what was sent is paid for.
//!
//! A broker looks at the rate, and counts what it may send, at each of its ticks. This counts the
//! same at every moment, and allows for one second more than a broker may have saved, so that it
//! never asks for more than the rule does.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_core::core::Core;
use chronik_core::ids::{BrokerId, Index};
use chronik_core::log::mem_disk::MemDisk;
use chronik_core::meta::ClusterConfig;
use raft::eraftpb::{ConfState, Message, MessageType};

use super::Violation;
use crate::coverage::Coverage;

const SECOND: u64 = 1_000_000;

/// What each broker may send.
#[derive(Debug, Default)]
pub(crate) struct CatchUpRates(BTreeMap<BrokerId, Sender>);

#[derive(Debug)]
struct Sender {
    /// The image that the rate is from.
    image: Index,
    rate: Option<u64>,
    /// Since when this rate holds, and its process speaks: until then what it sends may have been
    /// made under another one. None before it has spoken.
    since: Option<u64>,
    /// What it may send, in millionths of bytes, and when that was; below zero it owes.
    left: Option<(i128, u64)>,
}

impl CatchUpRates {
    /// A process ended: its budget went with it.
    pub(super) fn forget(&mut self, node: BrokerId) {
        self.0.remove(&node);
    }

    /// The rate as a broker's image has it.
    pub(super) fn learn(&mut self, node: BrokerId, core: &Core<MemDisk>, now: u64) {
        let (image, state) = core.image();
        if self.0.get(&node).is_some_and(|sender| sender.image == image) {
            return;
        }
        let rate = ClusterConfig::of(state).catch_up_bytes_per_second;
        let new = Sender { image, rate, since: None, left: None };
        let sender = self.0.entry(node).or_insert(new);
        sender.image = image;
        if sender.rate != rate {
            let since = sender.since.map(|_| now);
            *sender = Sender { image, rate, since, left: None };
        }
    }

    /// A broker lets something go: what it had to keep back until its first sync is gone by now.
    pub(super) fn speaks(&mut self, node: BrokerId, now: u64) {
        if let Some(sender) = self.0.get_mut(&node) {
            sender.since.get_or_insert(now);
        }
    }

    /// A broker sends so many bytes to a replica that catches up.
    pub(super) fn check(
        &mut self,
        node: BrokerId,
        now: u64,
        bytes: u64,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        let Some(sender) = self.0.get_mut(&node) else { return Ok(()) };
        let (Some(rate), Some(since)) = (sender.rate, sender.since) else { return Ok(()) };
        if now < since + SECOND {
            return Ok(());
        }
        let most = i128::from(rate) * i128::from(2 * SECOND);
        let (left, at) = sender.left.unwrap_or((most, now));
        let left = most.min(left + i128::from(rate) * i128::from(now - at));
        // What leaves at one moment was allowed in some other order.
        if left <= 0 && now > at {
            let owed = -left / i128::from(SECOND);
            let what = format!(
                "{node:?} sends {bytes} bytes to a replica that catches up, at {rate} bytes a second, \
                 and owes {owed}"
            );
            return Violation::new("catching up keeps to its rate", what);
        }
        let left = left - i128::from(bytes) * i128::from(SECOND);
        if left <= 0 {
            coverage.count("catching up at its rate");
        }
        sender.left = Some((left, now));
        Ok(())
    }
}

/// The bytes of records in a message to a replica that catches up; none if it is no such message.
pub(super) fn bytes_of(
    message: &Message,
    payloads: &[Bytes],
    conf: Option<&ConfState>,
) -> Option<u64> {
    let appends = message.get_msg_type() == MessageType::MsgAppend && !message.entries.is_empty();
    let learns = conf.is_some_and(|conf| conf.learners.contains(&message.to));
    (appends && learns).then(|| payloads.iter().map(|payload| payload.len() as u64).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: BrokerId = BrokerId(1);

    /// What becomes of sends at these times, at 1000 bytes a second since time 0.
    fn check(sends: &[(u64, u64)]) -> Vec<bool> {
        let sender = Sender { image: 1, rate: Some(1_000), since: Some(0), left: None };
        let mut rates = CatchUpRates([(NODE, sender)].into());
        let sent = sends
            .iter()
            .map(|(at, bytes)| rates.check(NODE, *at, *bytes, &mut Coverage::default()).is_ok());
        sent.collect()
    }

    #[test]
    fn what_is_too_much_is_owed() {
        let sends = [(SECOND, 1_999), (SECOND, 500), (SECOND, 1), (SECOND + 1, 1)];
        assert_eq!(check(&sends), [true, true, true, false]);
        let paid = [(SECOND, 5_000), (4 * SECOND, 1), (4 * SECOND + 1_000, 1)];
        assert_eq!(check(&paid), [true, false, true]);
    }

    #[test]
    fn nothing_is_saved_for_long_and_the_first_second_is_nobodys() {
        assert_eq!(
            check(&[(0, 1 << 20), (60 * SECOND, 2_001), (60 * SECOND + 1, 1)]),
            [true, true, false]
        );
    }
}
