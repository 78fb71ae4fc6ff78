//! The life of a cluster.
