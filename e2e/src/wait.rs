//! Waiting without sleeps for luck: a deadline that moves as long as there is progress.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What one look at the world found.
#[derive(Debug)]
pub enum Look<T> {
    /// It has happened.
    Done(T),
    /// Not yet; the text says where it stands. A new text is progress.
    At(String),
}

/// Looks until it is done. Fails with the last text once nothing has changed for `stall`.
pub fn until<T>(what: &str, stall: Duration, look: impl FnMut() -> Result<Look<T>>) -> Result<T> {
    until_every(Duration::from_millis(50), what, stall, look)
}

/// As [`until`], with `pace` between looks, for looks that cost something.
pub fn until_every<T>(
    pace: Duration,
    what: &str,
    stall: Duration,
    mut look: impl FnMut() -> Result<Look<T>>,
) -> Result<T> {
    let mut changed = Instant::now();
    let mut last = String::new();
    loop {
        match look()? {
            Look::Done(value) => return Ok(value),
            Look::At(text) if text == last => {}
            Look::At(text) => {
                last = text;
                changed = Instant::now();
            }
        }
        if changed.elapsed() > stall {
            bail!("waited for {what}, and nothing has moved for {stall:?}: {last}");
        }
        std::thread::sleep(pace);
    }
}

/// Looks until the answer is yes, with a plain deadline.
pub fn until_true(what: &str, limit: Duration, mut look: impl FnMut() -> bool) -> Result<()> {
    until(what, limit, || Ok(if look() { Look::Done(()) } else { Look::At("not yet".into()) }))
}

/// The text of a [`Look::At`] for something that prints itself.
pub fn at<T>(state: impl Debug) -> Result<Look<T>> {
    Ok(Look::At(format!("{state:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_moves_the_deadline_and_a_stall_ends_it() {
        let mut count = 0;
        let stall = Duration::from_millis(150);
        let error = until::<()>("six", stall, || {
            count = 5.min(count + 1);
            at(count)
        })
        .unwrap_err();
        assert!(error.to_string().ends_with(": 5"), "{error}");
        let mut count = 0;
        let six = until("six", stall, || {
            count += 1;
            if count == 6 { Ok(Look::Done(count)) } else { at(count) }
        });
        assert_eq!(six.unwrap(), 6);
    }
}
