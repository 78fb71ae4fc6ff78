//! One value that clients write and read: what a reader may be shown. A write that was acknowledged
//! before the read began is not overwritten by what was acknowledged before that write began; a
//! write without an answer may take effect at any time, or never.

use chronik_core::ids::BrokerId;

use crate::event::Life;

/// Who answered: a broker, in one run of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Via {
    pub(crate) broker: BrokerId,
    pub(crate) life: Life,
}

/// A value with all its writes.
#[derive(Debug)]
pub(super) struct Register<V> {
    writes: Vec<Write<V>>,
}

#[derive(Debug)]
struct Write<V> {
    value: V,
    sent: u64,
    acked: Option<(u64, Via)>,
}

impl<V> Default for Register<V> {
    fn default() -> Register<V> {
        Register { writes: Vec::new() }
    }
}

impl<V: PartialEq + std::fmt::Debug> Register<V> {
    /// A client is about to write; no two writes are of equal values.
    pub(super) fn write(&mut self, value: V, now: u64) {
        self.writes.push(Write { value, sent: now, acked: None });
    }

    /// The write of `value` was acknowledged.
    pub(super) fn acked(&mut self, value: &V, now: u64, via: Via) {
        if let Some(write) = self.writes.iter_mut().rev().find(|write| write.value == *value) {
            write.acked = Some((now, via));
        }
    }

    /// Whether a read that began at `sent` may show `seen`, or what was there in the beginning.
    /// With `via`, only what that process itself has acknowledged must be seen: others may know more.
    pub(super) fn may_show(
        &self,
        seen: Option<&V>,
        sent: u64,
        via: Option<Via>,
    ) -> Result<(), String> {
        let shown = match seen {
            None => None,
            Some(seen) => match self.writes.iter().rev().find(|write| write.value == *seen) {
                Some(write) => Some(write),
                None => return Err(format!("{seen:?} was read, which nobody has written")),
            },
        };
        // What was acknowledged before a later write began cannot follow it.
        let over = |write: &Write<V>| match shown {
            None => true,
            Some(shown) => shown.acked.is_some_and(|(at, _)| at < write.sent),
        };
        let newer = self.writes.iter().rev().find(|write| {
            let known = write.acked.filter(|(at, by)| *at < sent && via.is_none_or(|v| v == *by));
            known.is_some() && over(write)
        });
        match newer {
            None => Ok(()),
            Some(newer) => Err(format!(
                "{shown:?} was read by a request of {sent}, although {newer:?} was acknowledged"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Via = Via { broker: BrokerId(1), life: 1 };
    const TWO: Via = Via { broker: BrokerId(2), life: 1 };

    /// `a` is acknowledged by one, then `b` by two, and nobody knows of `c`.
    fn written() -> Register<&'static str> {
        let mut register = Register::default();
        register.write("a", 10);
        register.acked(&"a", 20, ONE);
        register.write("c", 25);
        register.write("b", 30);
        register.acked(&"b", 40, TWO);
        register
    }

    #[test]
    fn what_was_acknowledged_is_seen_by_all_who_ask_later() {
        let register = written();
        assert!(register.may_show(Some(&"b"), 50, None).is_ok());
        assert!(register.may_show(Some(&"a"), 50, None).is_err(), "b came after it");
        assert!(register.may_show(None, 50, None).is_err());
        assert!(register.may_show(Some(&"x"), 50, None).is_err(), "nobody wrote it");
    }

    #[test]
    fn who_asked_before_the_acknowledgement_may_see_either() {
        let register = written();
        assert!(register.may_show(Some(&"a"), 35, None).is_ok());
        assert!(register.may_show(Some(&"b"), 35, None).is_ok());
        assert!(register.may_show(None, 15, None).is_ok());
        assert!(register.may_show(None, 35, None).is_err());
    }

    #[test]
    fn what_nobody_knows_of_may_come_at_any_time() {
        assert!(written().may_show(Some(&"c"), 1_000, None).is_ok());
    }

    #[test]
    fn another_process_may_not_know_yet() {
        let register = written();
        assert!(register.may_show(Some(&"a"), 50, Some(ONE)).is_ok());
        assert!(register.may_show(Some(&"a"), 50, Some(TWO)).is_err());
        let restarted = Via { life: 2, ..TWO };
        assert!(register.may_show(Some(&"a"), 50, Some(restarted)).is_ok());
    }
}
