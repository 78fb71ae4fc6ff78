//! Reading the write-ahead log's files: which of them belong together, where they end, and
//! whether what cannot be read is a torn tail or damage.
//!
//! Each batch says where the one before it ended, so the newest file with a sound first batch leads
//! back to all others. Files that are not on that way were cut off by an earlier recovery.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{OpenError, Replay};
use crate::log::disk::{Disk, FileId};
use crate::log::record::{BATCH_BYTES, BatchHead, Found, read_record};
use crate::log::wal::{DIR, WalFile, file_name, position, seq_of};

/// One file, as far as it could be understood.
#[derive(Debug)]
struct Scanned {
    file: FileId,
    len: u64,
    /// The heads of all sound batches, by their place.
    heads: BTreeMap<u64, BatchHead>,
    /// Whether the file begins with one.
    begins: Option<BatchHead>,
}

pub(super) fn replay<D: Disk>(replay: &mut Replay<D>, names: &[String]) -> Result<(), OpenError> {
    let floor = replay.wal.floor;
    let mut scanned = BTreeMap::new();
    for name in names {
        let Some(seq) = name.strip_suffix(".wal").and_then(|seq| seq.parse::<u64>().ok()) else {
            continue;
        };
        replay.wal.next_seq = replay.wal.next_seq.max(seq + 1);
        if seq < floor {
            // From before the checkpoint, which may not be synced yet. It is not used again: what
            // it was last used for may be a sequence number that was lost and is given out anew.
            replay.wal.garbage.push((0, vec![file_name(seq)]));
            continue;
        }
        let disk = &replay.wal.disk;
        let file = disk.open(&format!("{DIR}/{name}"), false)?;
        let bytes = read(disk, file)?;
        scanned.insert(seq, scan(seq, file, &bytes));
    }
    let synced = scanned.values().flat_map(|s| s.heads.values()).map(|h| h.synced).max();
    let synced = synced.unwrap_or(0);
    let chain = chain(&scanned, floor, synced, replay);
    for (i, seq) in chain.iter().enumerate() {
        let Some(found) = scanned.get(seq) else { continue };
        // Where the next file says that this one ends.
        let next = chain.get(i + 1).and_then(|next| scanned.get(next)).and_then(|s| s.begins);
        let limit = next.map_or(position(*seq, found.len), |head| head.prev_end);
        let bytes = read(&replay.wal.disk, found.file)?;
        let end = replay_file(replay, *seq, &bytes, found, limit, next.is_some(), synced)?;
        let (file, len) = (found.file, found.len);
        replay.wal.files.insert(*seq, WalFile { file, len, end: end.position });
        replay.wal.dirty.push(file);
        replay.wal.end = end.position;
        replay.wal.content_end = end.position;
        if end.torn {
            break;
        }
    }
    if !names.is_empty() {
        // A process that was killed may not have synced the names that it made: neither those of its
        // files nor that of the directory itself.
        replay.wal.dirs.extend(["", DIR].map(str::to_owned));
    }
    remove_rest(replay, scanned);
    Ok(())
}

/// The files to replay, in their order.
fn chain<D: Disk>(
    scanned: &BTreeMap<u64, Scanned>,
    floor: u64,
    synced: u64,
    replay: &mut Replay<D>,
) -> Vec<u64> {
    let mut candidates: Vec<u64> =
        scanned.iter().filter(|(_, s)| s.begins.is_some()).map(|(seq, _)| *seq).collect();
    while let Some(newest) = candidates.pop() {
        let mut chain = vec![newest];
        let mut at = newest;
        let broken = loop {
            let Some(head) = scanned.get(&at).and_then(|s| s.begins) else { break Some(at) };
            let before = seq_of(head.prev_end);
            if before < floor || head.prev_end == 0 {
                break None;
            }
            if before >= at {
                break Some(at);
            }
            at = before;
            chain.push(at);
        };
        chain.reverse();
        match broken {
            None => return chain,
            // Nothing of this file was known to be synced: it was being begun when power went.
            Some(bad) if synced <= position(bad, 0) => {}
            Some(bad) => {
                let why = format!("the write-ahead log's file {bad:020}.wal is damaged or missing");
                replay.all_suspect = Some(why);
                chain.retain(|seq| scanned.contains_key(seq));
                return chain;
            }
        }
    }
    Vec::new()
}

#[derive(Debug)]
struct End {
    position: u64,
    torn: bool,
}

fn replay_file<D: Disk>(
    replay: &mut Replay<D>,
    seq: u64,
    bytes: &[u8],
    found: &Scanned,
    limit: u64,
    more_follows: bool,
    synced: u64,
) -> Result<End, OpenError> {
    let mut at = position(seq, 0);
    while at < limit {
        let Some(head) = found.heads.get(&at) else {
            let torn = at >= synced;
            if torn || !damaged_here(replay, seq, at) {
                if more_follows || !is_blank(bytes, at) {
                    replay.notes.push(format!(
                        "the write-ahead log was cut at byte {} of {seq:020}.wal: its last write was not finished",
                        at & u64::from(u32::MAX)
                    ));
                }
                return Ok(End { position: at, torn: true });
            }
            // Later batches may still name groups.
            match found.heads.range(at..).next() {
                Some((next, _)) => at = *next,
                None => return Ok(End { position: limit, torn: false }),
            }
            continue;
        };
        let end = (at + BATCH_BYTES as u64 + u64::from(head.len)).min(limit);
        let mut place = at + BATCH_BYTES as u64;
        while place < end {
            let rest = bytes.get((place & u64::from(u32::MAX)) as usize..).unwrap_or_default();
            match read_record(rest, place) {
                Found::Record(record, len) => {
                    replay.apply(record)?;
                    place += len as u64;
                }
                _ if place >= synced => {
                    replay.notes.push(format!(
                        "the write-ahead log was cut at byte {} of {seq:020}.wal: its last write was not finished",
                        place & u64::from(u32::MAX)
                    ));
                    return Ok(End { position: place, torn: true });
                }
                Found::Damaged(id, len) => {
                    let byte = place & u64::from(u32::MAX);
                    replay.damaged(id, format!("{seq:020}.wal is damaged at byte {byte}"));
                    place += len as u64;
                }
                Found::Nothing => {
                    damaged_here(replay, seq, place);
                    break;
                }
            }
        }
        at = (at + BATCH_BYTES as u64 + u64::from(head.len)).next_multiple_of(8);
    }
    Ok(End { position: limit, torn: false })
}

/// Damage that names nobody concerns everybody.
fn damaged_here<D: Disk>(replay: &mut Replay<D>, seq: u64, at: u64) -> bool {
    let byte = at & u64::from(u32::MAX);
    let why = format!("{seq:020}.wal is damaged at byte {byte}, below what was synced");
    replay.all_suspect.get_or_insert(why);
    true
}

fn is_blank(bytes: &[u8], at: u64) -> bool {
    let from = (at & u64::from(u32::MAX)) as usize;
    bytes.get(from..).unwrap_or_default().iter().take(BATCH_BYTES).all(|b| *b == 0)
}

fn scan(seq: u64, file: FileId, bytes: &Bytes) -> Scanned {
    let mut heads = BTreeMap::new();
    let mut at = 0;
    while at + BATCH_BYTES <= bytes.len() {
        let place = position(seq, at as u64);
        match bytes.get(at..).and_then(|rest| BatchHead::decode(rest, place)) {
            Some(head) => {
                heads.insert(place, head);
                at = (at + BATCH_BYTES).saturating_add(head.len as usize).next_multiple_of(8);
            }
            None => at += 8,
        }
    }
    let begins = heads.get(&position(seq, 0)).copied();
    Scanned { file, len: bytes.len() as u64, heads, begins }
}

/// Files that do not belong to the log any more go, once it has grown beyond them.
fn remove_rest<D: Disk>(replay: &mut Replay<D>, scanned: BTreeMap<u64, Scanned>) {
    let wal = &mut replay.wal;
    for (seq, found) in scanned {
        if !wal.files.contains_key(&seq) {
            wal.disk.close(found.file);
            wal.garbage.push((wal.end + 1, vec![file_name(seq)]));
        }
    }
}

fn read<D: Disk>(disk: &D, file: FileId) -> Result<Bytes, OpenError> {
    let len = usize::try_from(disk.len(file)?).unwrap_or(usize::MAX);
    Ok(disk.read_at(file, 0, len)?)
}
