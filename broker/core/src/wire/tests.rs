//! Tests of the whole wire: every API, every version, and bytes from strangers.

mod batches;
mod generator;
mod hostile;
mod produce_fetch;
mod requests;
mod responses;
