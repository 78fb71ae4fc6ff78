//! A disk in memory that forgets like a real one: what was not synced survives a killed process,
//! and not, or in part, a loss of power. For tests and the simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::log::disk::{Disk, DiskError, FileId};
use crate::log::wal::SyncJob;

/// Writes reach the medium in pieces of this length.
const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemDisk {
    inner: Arc<Mutex<Inner>>,
}

impl fmt::Debug for MemDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemDisk").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Inner {
    /// Names as a process sees them; directories have no inode.
    names: BTreeMap<String, Option<u64>>,
    /// Names as the medium has them.
    durable: BTreeMap<String, Option<u64>>,
    /// Changes of names that are not synced, in their order.
    ops: Vec<Op>,
    inodes: BTreeMap<u64, Inode>,
    handles: BTreeMap<FileId, u64>,
    /// How many inodes there may be before those that nothing leads to are looked for.
    forget_above: usize,
    next: u64,
    capacity: Option<u64>,
    fail_syncs: u32,
    fail_writes: u32,
    writes_left: Option<u32>,
}

#[derive(Clone)]
enum Op {
    Set(String, Option<u64>),
    Unset(String),
    Rename(String, String),
}

#[derive(Default)]
struct Inode {
    data: Vec<u8>,
    durable: Vec<u8>,
    /// Ranges that differ, and lengths.
    writes: Vec<(usize, usize)>,
}

impl MemDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> MemDisk {
        MemDisk::default()
    }

    /// Carries out a sync. An error is one that a process must not survive.
    pub fn sync(&self, job: &SyncJob) -> Result<(), DiskError> {
        self.sync_files(&job.files, &job.dirs)
    }

    /// Carries out a sync of files, then directories.
    pub fn sync_files(&self, files: &[FileId], dirs: &[String]) -> Result<(), DiskError> {
        let mut inner = self.lock();
        if inner.fail_syncs > 0 {
            inner.fail_syncs -= 1;
            return Err(failed("syncing", "a file", "input/output error"));
        }
        for file in files {
            // A handle that was closed meanwhile is still synced by whoever held it.
            if let Some(inode) = inner.handles.get(file).copied() {
                inner.inodes.entry(inode).or_default().sync();
            }
        }
        for dir in dirs {
            let (done, rest) =
                std::mem::take(&mut inner.ops).into_iter().partition(|op| op.parent() == dir);
            inner.ops = rest;
            let done: Vec<Op> = done;
            done.iter().for_each(|op| op.apply(&mut inner.durable));
        }
        if inner.inodes.len() > inner.forget_above {
            inner.forget_unnamed();
        }
        Ok(())
    }

    /// The process is killed: handles are gone, what was written is there.
    pub fn kill(&self) {
        self.lock().handles.clear();
    }

    /// Power is lost: of what was not synced, each sector and each change of names, asked for in
    /// their order, survives if `survives` says so; after the first lost change of names, none does.
    pub fn crash(&self, mut survives: impl FnMut() -> bool) {
        let mut inner = self.lock();
        inner.handles.clear();
        let ops = std::mem::take(&mut inner.ops);
        for op in ops {
            if !survives() {
                break;
            }
            op.apply(&mut inner.durable);
        }
        let durable = inner.durable.clone();
        // What lies in a directory that was lost is lost.
        let reachable = |path: &String| {
            path.match_indices('/')
                .all(|(at, _)| durable.contains_key(path.get(..at).unwrap_or("")))
        };
        inner.names =
            durable.iter().filter(|(p, _)| reachable(p)).map(|(p, i)| (p.clone(), *i)).collect();
        inner.durable = inner.names.clone();
        for inode in inner.inodes.values_mut() {
            inode.tear(&mut survives);
        }
    }

    /// From now on at most this many bytes fit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// The next `count` syncs fail.
    pub fn fail_syncs(&self, count: u32) {
        self.lock().fail_syncs = count;
    }

    /// The next `count` writes fail.
    pub fn fail_writes(&self, count: u32) {
        self.lock().fail_writes = count;
    }

    /// After so many writes all others fail, until this is taken back: the process ends there.
    pub fn fail_writes_after(&self, count: Option<u32>) {
        self.lock().writes_left = count;
    }

    /// Flips one bit, on the medium too. Whether there is such a byte.
    pub fn flip(&self, path: &str, byte: usize) -> bool {
        let mut inner = self.lock();
        let Some(Some(inode)) = inner.names.get(path).copied() else { return false };
        let inode = inner.inodes.entry(inode).or_default();
        for data in [&mut inode.data, &mut inode.durable] {
            if let Some(byte) = data.get_mut(byte) {
                *byte ^= 1;
            }
        }
        byte < inode.data.len()
    }

    /// The paths of all files.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let inner = self.lock();
        inner.names.iter().filter(|(_, inode)| inode.is_some()).map(|(p, _)| p.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Op {
    fn parent(&self) -> &str {
        let (Op::Set(path, _) | Op::Unset(path) | Op::Rename(path, _)) = self;
        path.rsplit_once('/').map_or("", |(dir, _)| dir)
    }

    fn apply(&self, names: &mut BTreeMap<String, Option<u64>>) {
        match self {
            Op::Set(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Op::Unset(path) => {
                names.remove(path);
            }
            Op::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

impl Inode {
    fn write(&mut self, pos: usize, part: &[u8]) {
        let end = pos + part.len();
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        if let Some(target) = self.data.get_mut(pos..end) {
            target.copy_from_slice(part);
        }
        self.writes.push((pos, end));
    }

    /// What was written is on the medium; elsewhere the two are the same already.
    fn sync(&mut self) {
        self.durable.resize(self.data.len(), 0);
        for (from, to) in std::mem::take(&mut self.writes) {
            let to = to.min(self.data.len());
            if let (Some(old), Some(new)) =
                (self.durable.get_mut(from..to), self.data.get(from..to))
            {
                old.copy_from_slice(new);
            }
        }
    }

    fn tear(&mut self, survives: &mut impl FnMut() -> bool) {
        for (from, to) in std::mem::take(&mut self.writes) {
            let mut at = from;
            while at < to {
                let end = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(to);
                if let Some(new) = self.data.get(at..end)
                    && survives()
                {
                    if self.durable.len() < end {
                        self.durable.resize(end, 0);
                    }
                    if let Some(old) = self.durable.get_mut(at..end) {
                        old.copy_from_slice(new);
                    }
                }
                at = end;
            }
        }
        self.data.clone_from(&self.durable);
    }
}

impl Inner {
    fn change(&mut self, op: Op) {
        op.apply(&mut self.names);
        self.ops.push(op);
    }

    /// Drops what no name, on the medium or off it, and no handle leads to any more.
    fn forget_unnamed(&mut self) {
        let Inner { names, durable, ops, inodes, handles, forget_above, .. } = self;
        let made = ops.iter().filter_map(|op| match op {
            Op::Set(_, inode) => *inode,
            Op::Unset(_) | Op::Rename(..) => None,
        });
        let named = names.values().chain(durable.values()).flatten().copied();
        let live: BTreeSet<u64> = named.chain(handles.values().copied()).chain(made).collect();
        inodes.retain(|inode, _| live.contains(inode));
        *forget_above = 2 * inodes.len() + 64;
    }

    fn inode(&mut self, file: FileId) -> Result<&mut Inode, DiskError> {
        let inode = self.handles.get(&file).copied();
        inode
            .and_then(|inode| self.inodes.get_mut(&inode))
            .ok_or_else(|| failed("using", &format!("handle {}", file.0), "it is closed"))
    }

    fn write_left(&mut self, path: &str) -> Result<(), DiskError> {
        match &mut self.writes_left {
            Some(0) => Err(failed("writing", path, "input/output error")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        let inodes = self.names.values().flatten().filter_map(|inode| self.inodes.get(inode));
        inodes.map(|inode| inode.data.len() as u64).sum()
    }

    fn grow(&mut self, file: FileId, end: u64) -> Result<(), DiskError> {
        self.write_left(&format!("handle {}", file.0))?;
        if self.fail_writes > 0 {
            self.fail_writes -= 1;
            return Err(failed("writing", &format!("handle {}", file.0), "input/output error"));
        }
        let more = end.saturating_sub(self.inode(file)?.data.len() as u64);
        match self.capacity {
            Some(capacity) if more > 0 && self.used() + more > capacity => {
                Err(DiskError::Full { path: format!("handle {}", file.0) })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Disk for MemDisk {
    fn open(&self, path: &str, create: bool) -> Result<FileId, DiskError> {
        let mut inner = self.lock();
        let inode = match inner.names.get(path) {
            Some(Some(inode)) => *inode,
            Some(None) => return Err(failed("opening", path, "it is a directory")),
            None if !create => return Err(failed("opening", path, "no such file")),
            None => {
                for (at, _) in path.match_indices('/') {
                    let dir = path.get(..at).unwrap_or_default().to_owned();
                    if !inner.names.contains_key(&dir) {
                        inner.change(Op::Set(dir, None));
                    }
                }
                inner.next += 1;
                let inode = inner.next;
                inner.inodes.insert(inode, Inode::default());
                inner.change(Op::Set(path.to_owned(), Some(inode)));
                inode
            }
        };
        inner.next += 1;
        let file = FileId(inner.next);
        inner.handles.insert(file, inode);
        Ok(file)
    }

    fn close(&self, file: FileId) {
        self.lock().handles.remove(&file);
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.lock().inode(file)?.data.len() as u64)
    }

    fn write_at(&self, file: FileId, pos: u64, parts: &[&[u8]]) -> Result<(), DiskError> {
        let mut inner = self.lock();
        let total: u64 = parts.iter().map(|part| part.len() as u64).sum();
        inner.grow(file, pos + total)?;
        let mut at = usize::try_from(pos).unwrap_or(usize::MAX);
        let inode = inner.inode(file)?;
        for part in parts {
            inode.write(at, part);
            at += part.len();
        }
        Ok(())
    }

    fn read_at(&self, file: FileId, pos: u64, len: usize) -> Result<Bytes, DiskError> {
        let mut inner = self.lock();
        let inode = inner.inode(file)?;
        let from = usize::try_from(pos).unwrap_or(usize::MAX);
        let found = inode.data.get(from..from.saturating_add(len)).map(Bytes::copy_from_slice);
        found
            .ok_or_else(|| failed("reading", &format!("handle {}", file.0), "the file ends before"))
    }

    fn set_len(&self, file: FileId, len: u64) -> Result<(), DiskError> {
        let mut inner = self.lock();
        inner.grow(file, len)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let inode = inner.inode(file)?;
        // Taken as durable at once: cutting is done only to what nothing names.
        inode.data.resize(len, 0);
        inode.durable.truncate(len);
        for (from, to) in &mut inode.writes {
            (*from, *to) = ((*from).min(len), (*to).min(len));
        }
        inode.writes.push((len, len));
        Ok(())
    }

    fn allocate(&self, file: FileId, len: u64) -> Result<(), DiskError> {
        let mut inner = self.lock();
        inner.grow(file, len)?;
        let inode = inner.inode(file)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX).max(inode.data.len());
        inode.data.resize(len, 0);
        let durable = inode.durable.len().max(len);
        inode.durable.resize(durable, 0);
        Ok(())
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        let inner = self.lock();
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let names = inner.names.keys().filter_map(|path| path.strip_prefix(&prefix));
        Ok(names
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .map(str::to_owned)
            .collect())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut inner = self.lock();
        if !matches!(inner.names.get(from), Some(Some(_))) {
            return Err(failed("renaming", from, "no such file"));
        }
        inner.write_left(from)?;
        inner.change(Op::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        let mut inner = self.lock();
        let prefix = format!("{path}/");
        if inner.names.keys().any(|name| name.starts_with(&prefix)) {
            return Err(failed("removing", path, "directory not empty"));
        }
        if inner.names.contains_key(path) {
            inner.write_left(path)?;
            inner.change(Op::Unset(path.to_owned()));
        }
        Ok(())
    }

    fn free_bytes(&self) -> u64 {
        let inner = self.lock();
        inner.capacity.map_or(1 << 40, |capacity| capacity.saturating_sub(inner.used()))
    }
}

fn failed(attempt: &'static str, path: &str, reason: &str) -> DiskError {
    DiskError::Io { attempt, path: path.to_owned(), reason: reason.to_owned() }
}
