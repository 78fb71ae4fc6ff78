//! Tests of the whole wire: every API, every version, and bytes from strangers.
