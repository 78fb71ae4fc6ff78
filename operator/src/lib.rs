//! Reconciles a `ChronikCluster`: IO at both ends, the pure `chronik-plan` in the middle.
//!
//! Reading order: a [`manifest`] is an [`api`] object; [`validate`] makes it what is wanted;
//! [`observe`] asks the [`platform`] and the brokers ([`admin`]); [`reconcile`] carries the plan out;
//! [`status`] and [`table`] tell people. No decision about membership is taken here.

pub mod admin;
pub mod api;
pub mod cli;
pub mod controller;
pub mod fence;
pub mod manifest;
pub mod observe;
pub mod platform;
pub mod reconcile;
pub mod run;
pub mod side_effects;
pub mod status;
pub mod table;
pub mod validate;
