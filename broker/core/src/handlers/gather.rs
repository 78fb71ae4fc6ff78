//! Answers with several parts, each of which comes when it comes.

use std::cell::RefCell;
use std::rc::Rc;

use crate::core::Core;
use crate::log::disk::Disk;

type Then<D, T> = Box<dyn FnOnce(&mut Core<D>, Vec<T>)>;

/// Collects `T`s by position and hands them on, in order, when the last one is in.
pub(super) struct Gather<D: Disk, T>(Rc<RefCell<Parts<D, T>>>);

struct Parts<D: Disk, T> {
    parts: Vec<Option<T>>,
    missing: usize,
    then: Option<Then<D, T>>,
}

impl<D: Disk, T> Clone for Gather<D, T> {
    fn clone(&self) -> Gather<D, T> {
        Gather(Rc::clone(&self.0))
    }
}

impl<D: Disk, T> Gather<D, T> {
    /// Waits for `count` parts; with none to wait for, `then` is called here.
    pub(super) fn new(
        core: &mut Core<D>,
        count: usize,
        then: impl FnOnce(&mut Core<D>, Vec<T>) + 'static,
    ) -> Gather<D, T> {
        let mut then: Option<Then<D, T>> = Some(Box::new(then));
        if count == 0
            && let Some(then) = then.take()
        {
            then(core, Vec::new());
        }
        let parts = (0..count).map(|_| None).collect();
        Gather(Rc::new(RefCell::new(Parts { parts, missing: count, then })))
    }

    /// The part at `position` is known. Only the first word on it counts.
    pub(super) fn put(&self, core: &mut Core<D>, position: usize, part: T) {
        let mut gathered = self.0.borrow_mut();
        match gathered.parts.get_mut(position) {
            Some(slot @ None) => *slot = Some(part),
            Some(Some(_)) | None => return,
        }
        gathered.missing -= 1;
        if gathered.missing > 0 {
            return;
        }
        let parts = std::mem::take(&mut gathered.parts).into_iter().flatten().collect();
        let then = gathered.then.take();
        drop(gathered);
        if let Some(then) = then {
            then(core, parts);
        }
    }
}
