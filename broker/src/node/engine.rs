//! What the shell needs of the core, so that tests can put something simpler in its place.

use chronik_core::admin::NodeState;
use chronik_core::core::input::{Hello, Input};
use chronik_core::core::output::Output;
use chronik_core::ids::{Micros, Now};

/// A core, or what a test puts in its place.
pub trait Engine: 'static {
    /// Takes one input; cheap, collects work.
    fn step(&mut self, now: Now, input: Input);
    /// Does the work collected since the last call.
    fn flush(&mut self, now: Now);
    /// What is to be carried out, in this order.
    fn outputs(&mut self) -> std::vec::Drain<'_, Output>;
    /// When it wants to be looked at next, if before the next tick.
    fn next_deadline(&self) -> Option<Micros>;
    /// What to say when dialling a peer.
    fn hello(&self) -> Hello;
    /// Counters and gauges.
    fn inspect(&self) -> Inspection;
}

/// A node as metrics and readiness show it.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Its life.
    pub state: NodeState,
    /// Whether its own replicas are up: the node is a member and none is offline.
    pub ready: bool,
    /// Names and values of gauges, by metric name without prefix.
    pub gauges: Vec<(&'static str, u64)>,
    /// Names and values of counters, by metric name without prefix and `_total`.
    pub counters: Vec<(&'static str, u64)>,
}
