//! Where a log starts: what a snapshot carries beside raft's own metadata. The conf state is the
//! current applied one, whatever the index; `conf_index` says which change made it, so that a
//! replica that starts here does not apply older changes on top.

use bytes::Bytes;
use raft::eraftpb::{ConfState, Snapshot, SnapshotMetadata};

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Index, Offset, Term};
use crate::log::LogError;

const VERSION: u8 = 1;

/// The state of a group as of `index`, with which an empty log can start.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Image {
    /// The last entry that the state includes.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// The log start offset.
    pub start: Offset,
    /// The offset of the next batch.
    pub next: Offset,
    /// The members.
    pub conf: ConfState,
    /// The index of the change that made them the members.
    pub conf_index: Index,
    /// The owner's state.
    pub state: Bytes,
}

impl Image {
    /// As raft carries it.
    #[must_use]
    pub fn to_raft(&self) -> Snapshot {
        let mut w = Writer::new();
        w.u8(VERSION).i64(self.start).i64(self.next).u64(self.conf_index).bytes(&self.state);
        Snapshot {
            data: w.finish().to_vec(),
            metadata: Some(SnapshotMetadata {
                conf_state: Some(self.conf.clone()),
                index: self.index,
                term: self.term,
            }),
        }
    }

    /// The image in a snapshot that raft delivered.
    pub fn from_raft(snapshot: &Snapshot) -> Result<Image, LogError> {
        let meta = snapshot.metadata.as_ref().ok_or(LogError::NoMetadata)?;
        let mut r = Reader::new(Bytes::copy_from_slice(&snapshot.data));
        version(&mut r)?;
        let image = Image {
            index: meta.index,
            term: meta.term,
            start: r.i64("log start")?,
            next: r.i64("next offset")?,
            conf: meta.conf_state.clone().ok_or(LogError::NoMetadata)?,
            conf_index: r.u64("conf index")?,
            state: r.bytes("state")?,
        };
        r.end()?;
        Ok(image)
    }

    pub(super) fn put(&self, w: &mut Writer) {
        w.u8(VERSION).u64(self.index).u64(self.term).i64(self.start).i64(self.next);
        put_conf(w, &self.conf);
        w.u64(self.conf_index).bytes(&self.state);
    }

    pub(super) fn get(r: &mut Reader) -> Result<Image, CodecError> {
        version(r)?;
        Ok(Image {
            index: r.u64("image index")?,
            term: r.u64("image term")?,
            start: r.i64("log start")?,
            next: r.i64("next offset")?,
            conf: get_conf(r)?,
            conf_index: r.u64("conf index")?,
            state: r.bytes("state")?,
        })
    }
}

fn version(r: &mut Reader) -> Result<(), CodecError> {
    match r.u8("image version")? {
        VERSION => Ok(()),
        other => Err(CodecError::Unknown { what: "image version", value: other.into() }),
    }
}

pub(super) fn put_conf(w: &mut Writer, conf: &ConfState) {
    for ids in [&conf.voters, &conf.learners, &conf.voters_outgoing, &conf.learners_next] {
        w.list(ids.iter(), |w, id| {
            w.u64(*id);
        });
    }
    w.bool(conf.auto_leave);
}

pub(super) fn get_conf(r: &mut Reader) -> Result<ConfState, CodecError> {
    Ok(ConfState {
        voters: r.list("voters", |r| r.u64("voter"))?,
        learners: r.list("learners", |r| r.u64("learner"))?,
        voters_outgoing: r.list("outgoing voters", |r| r.u64("outgoing voter"))?,
        learners_next: r.list("next learners", |r| r.u64("next learner"))?,
        auto_leave: r.bool("auto leave")?,
    })
}
