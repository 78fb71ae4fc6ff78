//! The plan against a model of a cluster, and rule by rule.

#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

mod advertised;
mod model;
mod model_rolls;
mod model_steps;
mod moves;
mod properties;
mod racks;
mod replacements;
mod rolls;
mod rules;
mod scenarios;
mod throttle;
mod topics;
