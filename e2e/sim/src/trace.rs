//! What happened: the last events in words, and all of them in one number. Two runs of one seed
//! must come to the same number.

use std::collections::VecDeque;

/// Events that a failure shows.
const SHOWN: usize = 50;

/// A hash and some more bytes, eight at a time: runs are made of gigabytes of frames. Good enough to
/// tell things apart, and the same on every machine.
pub(crate) fn absorb(hash: u64, bytes: &[u8]) -> u64 {
    let step =
        |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(hash, |hash, word| step(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    step(hash, u64::from_le_bytes(last) ^ bytes.len() as u64)
}

/// A record of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    steps: u64,
    last: VecDeque<(u64, String)>,
    echo: bool,
}

impl Trace {
    /// Nothing happened yet. With `echo`, everything is printed as it happens.
    #[must_use]
    pub(crate) fn new(echo: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, steps: 0, last: VecDeque::new(), echo }
    }

    /// Something happened.
    pub(crate) fn note(&mut self, now: u64, what: &str) {
        self.steps += 1;
        self.absorb(&now.to_le_bytes());
        self.absorb(what.as_bytes());
        if self.echo {
            #[allow(clippy::print_stdout, reason = "a person asked to see every event")]
            {
                println!("{}", line(now, what));
            }
        }
        let full = self.last.len() == SHOWN;
        let mut text =
            if full { self.last.pop_front().unwrap_or_default().1 } else { String::new() };
        text.clear();
        text.push_str(what);
        self.last.push_back((now, text));
    }

    /// Bytes that must be the same in every run of the seed.
    pub(crate) fn absorb(&mut self, bytes: &[u8]) {
        self.hash = absorb(self.hash, bytes);
    }

    /// All that happened, in one number.
    #[must_use]
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// How much happened.
    #[must_use]
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// The last events.
    #[must_use]
    pub(crate) fn last(&self) -> Vec<String> {
        self.last.iter().map(|(at, what)| line(*at, what)).collect()
    }
}

/// An event, for people.
fn line(at: u64, what: &str) -> String {
    format!("{:>10}.{:03} ms  {what}", at / 1000, at % 1000)
}
