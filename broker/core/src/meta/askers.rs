//! Who asked for a command, so that one that is in the log twice takes effect once.
//!
//! A broker that hears nothing of what it asked for asks again, and the first time may have been
//! decided after all. So each command carries who asks, in which run, the how-manyth time, and up to
//! where the asker waits for nothing any more. The state remembers what it has decided above that,
//! which is no more than the asker waits for. What the asker does with that is `core::proposals`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{BrokerId, PeerId};

const V1: u8 = 1;

/// One wish of one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// The asker, by its replica of `__meta`: one life of its directory.
    pub asker: PeerId,
    /// How often that directory was started.
    pub boot: u64,
    /// The asker's number for it; grows within a run.
    pub seq: u64,
    /// All below this the asker knows of, or has given up.
    pub settled: u64,
}

impl Proposal {
    /// Its bytes, beside the command's.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        self.put(w.u8(V1));
        w.finish()
    }

    /// The proposal of these bytes.
    pub fn decode(bytes: Bytes) -> Result<Proposal, CodecError> {
        let mut r = Reader::new(bytes);
        let version = r.u8("proposal version")?;
        if version != V1 {
            return Err(CodecError::Unknown { what: "proposal version", value: version.into() });
        }
        let proposal = Proposal::get(&mut r)?;
        r.end()?;
        Ok(proposal)
    }

    pub(crate) fn put(&self, w: &mut Writer) {
        let Proposal { asker, boot, seq, settled } = self;
        w.u64(asker.0).u64(*boot).u64(*seq).u64(*settled);
    }

    pub(crate) fn get(r: &mut Reader) -> Result<Proposal, CodecError> {
        Ok(Proposal {
            asker: PeerId(r.u64("asker")?),
            boot: r.u64("asker's boot number")?,
            seq: r.u64("proposal number")?,
            settled: r.u64("settled proposals")?,
        })
    }
}

/// What was decided of each broker's newest run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Askers(BTreeMap<BrokerId, Asker>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Asker {
    peer: PeerId,
    boot: u64,
    settled: u64,
    decided: BTreeSet<u64>,
}

impl Askers {
    /// Whether a command is to be applied: it was not before, and its asker still waits for it.
    pub(super) fn admit(&mut self, proposal: &Proposal) -> bool {
        let Proposal { asker: peer, boot, seq, settled } = *proposal;
        let asker = self.0.entry(peer.broker()).or_default();
        if (peer, boot) < (asker.peer, asker.boot) {
            return false;
        }
        if (peer, boot) > (asker.peer, asker.boot) {
            *asker = Asker { peer, boot, ..Asker::default() };
        }
        if settled > asker.settled {
            asker.settled = settled;
            asker.decided = asker.decided.split_off(&settled);
        }
        seq >= asker.settled && asker.decided.insert(seq)
    }

    pub(super) fn remove(&mut self, broker: BrokerId) {
        self.0.remove(&broker);
    }

    pub(super) fn put(&self, w: &mut Writer) {
        w.list(self.0.values(), |w, asker| {
            let Asker { peer, boot, settled, decided } = asker;
            w.u64(peer.0).u64(*boot).u64(*settled);
            w.list(decided.iter(), |w, seq| {
                w.u64(*seq);
            });
        });
    }

    pub(super) fn get(r: &mut Reader) -> Result<Askers, CodecError> {
        let askers = r.list("askers", |r| {
            Ok(Asker {
                peer: PeerId(r.u64("asker")?),
                boot: r.u64("asker's boot number")?,
                settled: r.u64("settled proposals")?,
                decided: r.list("decided", |r| r.u64("proposal number"))?.into_iter().collect(),
            })
        })?;
        Ok(Askers(askers.into_iter().map(|asker| (asker.peer.broker(), asker)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(life: u64, boot: u64, seq: u64, settled: u64) -> Proposal {
        Proposal { asker: PeerId::new(life, BrokerId(7)), boot, seq, settled }
    }

    #[test]
    fn a_proposal_is_admitted_once_and_not_after_its_asker_gave_it_up() {
        let mut askers = Askers::default();
        let steps = [
            (of(1, 1, 0, 0), true, "the first"),
            (of(1, 1, 2, 0), true, "later ones may come first"),
            (of(1, 1, 1, 0), true, "and earlier ones after them"),
            (of(1, 1, 2, 0), false, "the same again"),
            (of(1, 1, 9, 5), true, "all below 5 is settled"),
            (of(1, 1, 4, 0), false, "given up before it came"),
            (of(1, 1, 9, 5), false, "remembered while it is not settled"),
            (of(1, 2, 0, 0), true, "a new run begins anew"),
            (of(1, 1, 10, 0), false, "the run before has ended"),
            (of(2, 1, 0, 0), true, "a new directory begins anew"),
            (of(1, 3, 0, 0), false, "the directory before is lost"),
        ];
        for (proposal, admitted, why) in steps {
            assert_eq!(askers.admit(&proposal), admitted, "{why}");
        }
        let other = Proposal { asker: PeerId::new(1, BrokerId(8)), ..of(1, 1, 0, 0) };
        assert!(askers.admit(&other), "brokers do not know of each other");
    }

    #[test]
    fn what_is_settled_takes_no_room() {
        let mut askers = Askers::default();
        for seq in 0..100 {
            assert!(askers.admit(&of(1, 1, seq, seq)));
        }
        let mut w = Writer::new();
        askers.put(&mut w);
        assert_eq!(w.len(), 4 + 3 * 8 + 4 + 8);
    }

    #[test]
    fn bytes_are_pinned_and_read_back() {
        let proposal = of(1, 2, 3, 1);
        let bytes = proposal.encode();
        let pinned = [[1].as_slice(), &[0, 0, 0, 0, 0, 0x10, 0, 7], &[0, 0, 0, 0, 0, 0, 0, 2]];
        let rest = [[0, 0, 0, 0, 0, 0, 0, 3], [0, 0, 0, 0, 0, 0, 0, 1]];
        assert_eq!(bytes[..], [pinned.concat(), rest.concat()].concat()[..]);
        assert_eq!(Proposal::decode(bytes.clone()), Ok(proposal));
        for cut in 0..bytes.len() {
            assert!(Proposal::decode(bytes.slice(..cut)).is_err());
        }
    }
}
