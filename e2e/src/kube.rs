//! The same promises on a real Kubernetes: the chart installed, clusters made and broken with
//! `kubectl` as a user would, a producer and a checking consumer throughout.
//!
//! ```text
//!   provider   what only the machine below can do: power nodes off, cut them off, stop the API
//!   kubectl    everything else, as a user does it
//!   release    the chart, installed and upgraded with helm
//!   cluster    one `ChronikCluster` and its brokers
//!   certificates  the operator's own, without which brokers answer nobody
//!   client     a producer and a checking consumer, here and in a pod
//!   world      all of these together
//!   scenarios  what is done to them, one file a subject
//!   runner     which scenarios run, what they found, what was kept when one failed
//! ```
//!
//! It runs where pods can be reached (`e2e/provider exec`), and knows no kind of cluster by name.

pub mod certificates;
pub mod client;
pub mod cluster;
pub mod kubectl;
pub mod provider;
pub mod release;
pub mod runner;
pub mod scenarios;
pub mod world;
