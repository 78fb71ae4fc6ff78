//! What the log promises, on a disk that forgets.
