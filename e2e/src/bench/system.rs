//! What a measured system can do.

use anyhow::Result;

/// One process of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its broker id.
    pub id: i32,
    /// Its process.
    pub pid: u32,
}

/// A cluster of three brokers on this machine.
pub trait System {
    /// How the table names it.
    fn name(&self) -> &'static str;
    /// Starts all nodes and returns at once; data of an earlier start is kept.
    fn start(&mut self) -> Result<()>;
    /// `host:port,...`
    fn bootstrap(&self) -> String;
    /// The broker processes that run.
    fn nodes(&self) -> Vec<Node>;
    /// kill -9 of one broker.
    fn kill(&mut self, id: i32) -> Result<()>;
    /// Stops everything cleanly.
    fn stop(&mut self) -> Result<()>;
}
