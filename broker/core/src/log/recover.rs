//! From files back to a shard's log: the checkpoint, then the write-ahead log on top of it.
//!
//! A bad place above all that was known to be synced is a torn tail and is cut. A bad place below
//! it is damage: the groups that it names do not start, or none does if it cannot be named.

mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raft::eraftpb::HardState;

use crate::codec::{CodecError, Reader};
use crate::ids::{PartitionId, PeerId, Uuid};
use crate::log::disk::{Disk, DiskError};
use crate::log::group_log::{Birth, GroupLog};
use crate::log::record::Record;
use crate::log::segment::GROUPS;
use crate::log::wal::{DIR, Wal};
use crate::log::{Limits, LogError, checkpoint};

/// A shard's log after a start.
#[derive(Debug)]
pub struct Recovered<D: Disk> {
    /// The write-ahead log. Its first [`Wal::write`] gives a job, pushed to or not: what was
    /// replayed must be synced before anything is said on the strength of it.
    pub wal: Wal<D>,
    /// All sound replicas.
    pub groups: BTreeMap<PartitionId, GroupLog<D>>,
    /// Replicas that must not start, and why. They are named at every start until
    /// [`Wal::destroy_corrupt`].
    pub corrupt: Vec<(PartitionId, PeerId, String)>,
    /// Damage of which it cannot be said whose records it took: replicas may be missing here that
    /// were on this disk, with votes that they gave. Nothing may be made anew under their names.
    pub unnamed: Option<String>,
    /// What a person may want to know.
    pub notes: Vec<String>,
    /// The last life of each replica that was destroyed here.
    pub tombstones: BTreeMap<PartitionId, PeerId>,
}

/// The shard cannot start at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Nothing is known without it.
    #[error(
        "the checkpoint wal/checkpoint is damaged; wipe this broker's data directory, so that it joins again as a new incarnation"
    )]
    Checkpoint(#[source] CodecError),
}

/// Reads a shard's log back. An empty directory is an empty log.
pub fn open<D: Disk>(disk: D, limits: Limits) -> Result<Recovered<D>, OpenError> {
    let limits = Arc::new(limits);
    let mut replay = Replay {
        wal: Wal::new(disk, limits.clone()),
        groups: BTreeMap::new(),
        suspects: BTreeMap::new(),
        short: BTreeMap::new(),
        all_suspect: None,
        known: BTreeSet::new(),
        notes: Vec::new(),
    };
    let names = replay.wal.disk.list(DIR)?;
    if names.iter().any(|name| name == "checkpoint") {
        replay.load(&limits)?;
    }
    scan::replay(&mut replay, &names)?;
    replay.finish()
}

/// What was found so far.
#[derive(Debug)]
struct Replay<D: Disk> {
    wal: Wal<D>,
    groups: BTreeMap<PartitionId, GroupLog<D>>,
    /// Groups with damage, until they are made anew.
    suspects: BTreeMap<PartitionId, String>,
    /// Groups whose segments are not all there. They may be gone rightly: an image that a leader
    /// sent, which the write-ahead log has yet to tell, replaced them and let their files go.
    short: BTreeMap<PartitionId, String>,
    all_suspect: Option<String>,
    /// Directories and file stems that the checkpoint names.
    known: BTreeSet<(String, String)>,
    notes: Vec<String>,
}

impl<D: Disk> Replay<D> {
    fn load(&mut self, limits: &Arc<Limits>) -> Result<(), OpenError> {
        let disk = self.wal.disk.clone();
        let file = disk.open(checkpoint::PATH, false)?;
        let len = usize::try_from(disk.len(file)?).unwrap_or(usize::MAX);
        let bytes = disk.read_at(file, 0, len)?;
        disk.close(file);
        let loaded = checkpoint::decode(&bytes).map_err(OpenError::Checkpoint)?;
        let wal = &mut self.wal;
        (wal.floor, wal.next_seq, wal.node) = (loaded.floor, loaded.floor, loaded.node);
        wal.tombstones = loaded.tombstones.into_iter().collect();
        let corrupt = loaded.corrupt.into_iter();
        wal.corrupt = corrupt.map(|(id, peer, reason)| (id, (peer, reason))).collect();
        let mut r = Reader::new(loaded.groups);
        for _ in 0..loaded.count {
            let (shared, limits) = (self.wal.shared.clone(), limits.clone());
            let group = GroupLog::get_image(&mut r, disk.clone(), shared, limits)
                .map_err(OpenError::Checkpoint)?;
            let (dir, stems) = group.file_stems();
            self.known.extend(stems.into_iter().map(|stem| (dir.clone(), stem)));
            match group.cut() {
                Ok(()) => {}
                Err(LogError::Disk(error)) => return Err(error.into()),
                Err(error) => {
                    self.short.insert(group.id(), error.to_string());
                }
            }
            self.groups.insert(group.id(), group);
        }
        r.end().map_err(OpenError::Checkpoint)
    }

    fn apply(&mut self, record: Record) -> Result<(), OpenError> {
        let done = match record {
            Record::Node(bytes) => {
                self.wal.node = Some(bytes);
                Ok(())
            }
            Record::Create { id, peer, image } => {
                self.absolve(id);
                let (disk, shared) = (self.wal.disk.clone(), self.wal.shared.clone());
                let birth = Birth { peer, image };
                let group = GroupLog::born(disk, shared, self.wal.limits.clone(), id, birth);
                self.groups.insert(id, group);
                Ok(())
            }
            Record::Destroy { id, peer } => {
                self.absolve(id);
                self.wal.corrupt.remove(&id);
                self.groups.remove(&id);
                self.wal.bury(id, peer);
                Ok(())
            }
            Record::Corrupt { id, peer, reason } => {
                self.absolve(id);
                self.groups.remove(&id);
                self.wal.corrupt.insert(id, (peer, reason));
                Ok(())
            }
            Record::Install { id, image } => {
                if !self.suspects.contains_key(&id) {
                    self.short.remove(&id);
                }
                self.with(id, |group| {
                    group.replay_install(image);
                    Ok(())
                })
            }
            // Its votes and members still count; entries do not, until its log restarts.
            Record::Entry { id, .. } if self.short.contains_key(&id) => Ok(()),
            Record::Entry { id, row, bytes } => {
                self.with(id, |group| group.replay_entry(row, bytes))
            }
            Record::HardState { id, term, vote, commit, .. } => {
                self.with(id, |group| group.replay_hard_state(HardState { term, vote, commit }))
            }
            Record::Conf { id, conf, conf_index } => self.with(id, |group| {
                group.replay_conf(conf, conf_index);
                Ok(())
            }),
            Record::Start { id, offset } => self.with(id, |group| {
                group.replay_start(offset);
                Ok(())
            }),
        };
        match done {
            Err(LogError::Disk(error)) => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Applies to a group unless it is damaged or unknown, and makes it a suspect if it does not fit.
    fn with(
        &mut self,
        id: PartitionId,
        apply: impl FnOnce(&mut GroupLog<D>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        if self.suspects.contains_key(&id) {
            return Ok(());
        }
        let Some(group) = self.groups.get_mut(&id) else { return Ok(()) };
        let done = apply(group);
        if let Err(error) = &done {
            self.suspects.insert(id, error.to_string());
        }
        done
    }

    /// What was wrong with a replica ends with that life of it.
    fn absolve(&mut self, id: PartitionId) {
        self.suspects.remove(&id);
        self.short.remove(&id);
    }

    /// A record is damaged below what was synced.
    fn damaged(&mut self, id: PartitionId, place: String) {
        if id.topic == Uuid::nil() {
            self.notes.push(format!("the node's own record is damaged: {place}"));
        }
        self.suspects.entry(id).or_insert(place);
    }

    fn finish(mut self) -> Result<Recovered<D>, OpenError> {
        // Damage that took the very record which says what there is, and under which name.
        let known = |id| self.groups.contains_key(id) || self.wal.corrupt.contains_key(id);
        if let Some((_, place)) = self.suspects.iter().find(|(id, _)| !known(id)) {
            self.all_suspect.get_or_insert(place.clone());
        }
        if let Some(reason) = &self.all_suspect {
            self.notes.push(format!(
                "no replica starts, as it cannot be said whose entries are lost: {reason}"
            ));
        }
        let ids: Vec<PartitionId> = self.groups.keys().copied().collect();
        for id in ids {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            let found = self.suspects.remove(&id).or_else(|| self.short.remove(&id));
            let mut reason = found.or_else(|| self.all_suspect.clone());
            if reason.is_none() {
                reason = group.recovered().err().map(|error| error.to_string());
            }
            if let Some(reason) = reason {
                let peer = group.peer();
                self.groups.remove(&id);
                self.wal.condemn(id, peer, reason);
            }
        }
        self.wal.sync_wanted = true;
        self.remove_orphans()?;
        let corrupt = self.wal.corrupt.iter();
        Ok(Recovered {
            corrupt: corrupt.map(|(id, (peer, why))| (*id, *peer, why.clone())).collect(),
            unnamed: self.all_suspect,
            tombstones: self.wal.tombstones.clone(),
            wal: self.wal,
            groups: self.groups,
            notes: self.notes,
        })
    }

    /// Files that nothing names go: at once if the checkpoint does not name them either, for
    /// files of the same names may soon be made; else when what dropped them is synced. A damaged
    /// replica's are kept for whoever may want to look at them.
    fn remove_orphans(&mut self) -> Result<(), OpenError> {
        let mut owned: BTreeMap<String, Option<Vec<String>>> = BTreeMap::new();
        for group in self.groups.values() {
            let (dir, stems) = group.file_stems();
            owned.insert(dir, Some(stems));
        }
        for (id, (peer, _)) in &self.wal.corrupt {
            let place = super::segment::Place { disk: &self.wal.disk, id: *id, peer: *peer };
            owned.insert(place.dir_name(), None);
        }
        let mut orphans = Vec::new();
        for dir in self.wal.disk.list(GROUPS)? {
            let owner = owned.get(&dir);
            if owner == Some(&None) {
                continue;
            }
            let stems = owner.and_then(Option::as_ref);
            for name in self.wal.disk.list(&format!("{GROUPS}/{dir}"))? {
                let stem = name.split('.').next().unwrap_or_default();
                if stems.is_some_and(|stems| stems.iter().any(|s| s == stem)) {
                    continue;
                }
                let path = format!("{GROUPS}/{dir}/{name}");
                if self.known.contains(&(dir.clone(), stem.to_owned())) {
                    orphans.push(path);
                } else {
                    self.wal.disk.remove(&path)?;
                }
            }
            if stems.is_none() {
                orphans.push(format!("{GROUPS}/{dir}"));
            }
        }
        if !orphans.is_empty() {
            self.notes.push(format!("{} files of dropped segments are removed", orphans.len()));
            self.wal.remove_when_synced(orphans);
        }
        Ok(())
    }
}
