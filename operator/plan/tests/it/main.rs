//! The plan against a model of a cluster, and rule by rule.

mod model;
mod model_steps;
mod properties;
mod rules;
mod scenarios;
