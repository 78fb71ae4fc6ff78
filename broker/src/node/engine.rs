//! What the shell needs of the core, so that tests can put something simpler in its place.

use chronik_core::admin::NodeState;
use chronik_core::core::input::{Hello, Input};
use chronik_core::core::output::Output;
use chronik_core::ids::{BrokerId, Micros, Now, Uuid};

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
    /// Whether this node can tell clients about the cluster.
    fn serves_clients(&self) -> bool;
    /// The directory that the cluster knows a broker by; none if it knows no such broker.
    fn registered(&self, broker: BrokerId) -> Option<Uuid>;
    /// What to say when dialling a peer.
    fn hello(&self) -> Hello;
    /// Counters and gauges.
    fn inspect(&self) -> Inspection;
}

/// A node as metrics and readiness show it. Names are metric names without prefix and suffix.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Its life.
    pub state: NodeState,
    /// Whether the node is a member and all its own replicas are up.
    pub ready: bool,
    /// Its replicas, by role.
    pub roles: Vec<(&'static str, u64)>,
    /// What goes up and down, each with a sentence.
    pub gauges: Vec<(&'static str, &'static str, u64)>,
    /// What only grows, each with a sentence.
    pub counters: Vec<(&'static str, &'static str, u64)>,
}
