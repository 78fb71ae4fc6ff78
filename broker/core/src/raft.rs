//! Many Raft groups on one node.
//!
//! ```text
//!   frame from a peer -> envelope -> Group::step --+
//!   proposal of the leader -> Group::propose ------+-> raft::RawNode
//!   100 ms -> Group::tick -------------------------+        |
//!                                                           v  Ready
//!   Outbox (frames to peers) <- messages <- Group::drive (ready.rs) -> entries, hard state -> log
//!                                                  ^                -> committed entries -> owner
//!                                                  |
//!                              Group::persisted <- a sync of the write-ahead log
//! ```
//!
//! What `raft` 0.7.0 does that this code answers, each seen in an experiment of its own: a proposal
//! at a follower is forwarded (we ask for the role first); a refused membership change becomes an
//! empty entry (its waiter checks what was applied); a snapshot must carry the current membership
//! (it does, with the index that made it); the election timeout is drawn from the thread's
//! randomness (we overwrite it); a lost snapshot message leaves the peer waiting for ever (we report
//! it failed); entries can be batched to an append with another index (`appends`). What a group's entries mean is its owner's: `meta`, `coordinator`, `partition`.

mod appends;
pub mod envelope;
pub mod group;
mod heartbeat;
mod leadership;
pub mod membership;
mod mistakes;
pub mod outbox;
pub mod ready;
mod snapshots;
mod synced_conf;
mod throttle;
mod timeouts;

#[cfg(test)]
mod tests;

pub(crate) use timeouts::ELECTION_TICK_MAX;
