//! A clean stop: hand every leadership over while still serving, then say so.

use super::Core;
use super::output::Output;
use super::peer_message::PeerMessage;
use crate::ids::Micros;
use crate::log::disk::Disk;

/// Where a stop is.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    since: Option<Micros>,
    drained: bool,
}

/// Leaderships that nobody takes within this time go with the process.
const DRAIN_MAX: Micros = Micros::from_millis(9_000);

impl<D: Disk> Core<D> {
    pub(super) fn shut_down(&mut self) {
        if self.shutdown.since.is_none() {
            tracing::info!("shutting down: handing leaderships over");
            self.shutdown.since = Some(self.now.mono);
            // Nobody is to hand leaderships back meanwhile.
            self.say_to_all(&PeerMessage::Leaving);
            self.tick_shutdown();
        }
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.shutdown.since.is_some()
    }

    pub(super) fn tick_shutdown(&mut self) {
        let Some(since) = self.shutdown.since else { return };
        if self.shutdown.drained {
            return self.answer_waiting_fetches();
        }
        let late = self.now.mono.since(since) >= DRAIN_MAX;
        // Nobody to take one is no reason to wait.
        if self.hand_over_all() == 0 || late {
            self.shutdown.drained = true;
            // Consumers that wait for records need not wait for this process to go, nor it for them.
            self.answer_waiting_fetches();
            self.outputs.push(Output::Drained);
        }
    }

    /// Hands over every leadership that another voter can take; how many are on their way.
    pub(super) fn hand_over_all(&mut self) -> usize {
        let mut left = 0;
        for (id, replica) in &mut self.replicas {
            if replica.group.leads() && !replica.group.is_sole_voter() {
                if replica.group.transfer_leadership(None) {
                    left += 1;
                }
                self.dirty.insert(*id);
            }
        }
        left
    }
}
