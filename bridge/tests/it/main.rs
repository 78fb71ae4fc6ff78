//! The bridge from outside: pinned bytes, round trips, garbage, and who depends on what.

mod dependencies;
mod garbage;
mod golden;
mod round_trip;
mod strategies;
