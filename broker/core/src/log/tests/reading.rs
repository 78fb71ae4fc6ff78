//! Reading by offset, time, term, and as raft does.
