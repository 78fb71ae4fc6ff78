//! How many bytes of answers wait in memory for clients that are slow to take them, over all
//! connections. Who has to go when it is too many is [`super::listener`]'s.

use std::cell::Cell;

/// The bytes of all connections together. On one thread.
#[derive(Debug, Default)]
pub struct Held {
    bytes: Cell<usize>,
}

impl Held {
    /// How many there are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    pub(super) fn take(&self, bytes: usize) {
        let left = self.bytes.get().checked_sub(bytes);
        self.bytes.set(left.expect("what a connection takes back, it has added before"));
    }
}
