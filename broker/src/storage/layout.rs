//! The data directory: its lock, its identity, its format version, and how it is emptied.
//! What lies in `shard-0` is the core's, see `chronik_core::log`.
//!
//! ```text
//! LOCK          held while a broker runs; has its process id
//! format        version of this layout
//! directory.id  uuid of this directory's life, made once
//! shard-0/      files of the shard's core
//! wiping        exists while the directory is being emptied
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use chronik_core::ids::Uuid;

const LOCK: &str = "LOCK";
const FORMAT: &str = "format";
const FORMAT_TEXT: &str = "chronik-data 1\n";
const DIRECTORY_ID: &str = "directory.id";
const SHARD: &str = "shard-0";
const WIPING: &str = "wiping";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Another process has it.
    #[error(
        "data directory {} is in use{}; stop that broker or choose another --data-dir",
        .path.display(), match .holder { Some(pid) => format!(" by process {pid}"), None => String::new() }
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who holds it, as far as the lock file tells.
        holder: Option<u32>,
    },
    /// It was written by software that we are not.
    #[error(
        "data directory {} has format {found:?}, this broker knows {:?} only",
        .path.display(), FORMAT_TEXT.trim_end()
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// What its format file says.
        found: String,
    },
    /// Its identity is gone or damaged, so whose data this is cannot be told.
    #[error(
        "data directory {} holds data, and its file directory.id {problem}; \
         restore that file, or empty the directory to come back as a new broker",
        .path.display()
    )]
    Identity {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the file.
        problem: String,
    },
    /// The operating system refused.
    #[error("{attempt} {} failed", .path.display())]
    Io {
        /// What was being done, as a gerund.
        attempt: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A data directory that this process alone may use.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    id: Uuid,
    // Held, not read: the lock ends with it.
    _lock: File,
}

impl DataDir {
    /// Locks the directory at `root`; makes it, and its identity, if there is none yet.
    pub fn open(root: &Path) -> Result<DataDir, LayoutError> {
        fs::create_dir_all(root).map_err(io("making", root))?;
        let lock = take_lock(root)?;
        if root.join(WIPING).exists() {
            empty(root)?;
        }
        check_format(root)?;
        let id = identity(root)?;
        let shard = root.join(SHARD);
        if !shard.exists() {
            fs::create_dir(&shard).map_err(io("making", &shard))?;
            sync_dir(root)?;
        }
        Ok(DataDir { root: root.to_path_buf(), id, _lock: lock })
    }

    /// The id of this life of the directory.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Where the shard's files are.
    #[must_use]
    pub fn shard(&self) -> PathBuf {
        self.root.join(SHARD)
    }

    /// Empties the directory; a crash on the way is made good by the next [`DataDir::open`].
    pub fn wipe(self) -> Result<(), LayoutError> {
        write_synced(&self.root, WIPING, "")?;
        empty(&self.root)
    }
}

fn take_lock(root: &Path) -> Result<File, LayoutError> {
    let path = root.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io("opening", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let holder = match file.read_to_string(&mut text) {
                Ok(_) => text.trim().parse().ok(),
                Err(_) => None,
            };
            return Err(LayoutError::InUse { path: root.to_path_buf(), holder });
        }
        Err(TryLockError::Error(source)) => {
            return Err(LayoutError::Io { attempt: "locking", path, source });
        }
    }
    file.set_len(0).map_err(io("writing", &path))?;
    writeln!(file, "{}", std::process::id()).map_err(io("writing", &path))?;
    Ok(file)
}

fn check_format(root: &Path) -> Result<(), LayoutError> {
    let path = root.join(FORMAT);
    match fs::read_to_string(&path) {
        Ok(found) if found == FORMAT_TEXT => Ok(()),
        Ok(found) => Err(LayoutError::Format {
            path: root.to_path_buf(),
            found: found.trim_end().chars().take(64).collect(),
        }),
        Err(e) if e.kind() == ErrorKind::NotFound => write_synced(root, FORMAT, FORMAT_TEXT),
        Err(e) => Err(io("reading", &path)(e)),
    }
}

fn identity(root: &Path) -> Result<Uuid, LayoutError> {
    let path = root.join(DIRECTORY_ID);
    let broken = |problem: String| LayoutError::Identity { path: root.to_path_buf(), problem };
    match fs::read_to_string(&path) {
        Ok(text) => Uuid::try_parse(text.trim()).map_err(|e| broken(format!("is damaged ({e})"))),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let shard = root.join(SHARD);
            let has_data = fs::read_dir(&shard).is_ok_and(|mut entries| entries.next().is_some());
            if has_data {
                return Err(broken("is missing".into()));
            }
            let id = Uuid::new_v4();
            write_synced(root, DIRECTORY_ID, &format!("{id}\n"))?;
            Ok(id)
        }
        Err(e) => Err(io("reading", &path)(e)),
    }
}

/// Removes all but the lock, which is held, and the mark of this work, which goes last.
fn empty(root: &Path) -> Result<(), LayoutError> {
    for entry in fs::read_dir(root).map_err(io("listing", root))? {
        let entry = entry.map_err(io("listing", root))?;
        let name = entry.file_name();
        if name == LOCK || name == WIPING {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type().map_err(io("reading", &path))?;
        let removed =
            if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(io("removing", &path))?;
    }
    sync_dir(root)?;
    let mark = root.join(WIPING);
    fs::remove_file(&mark).map_err(io("removing", &mark))?;
    sync_dir(root)
}

/// Writes a small file so that it is either there in full after a crash, or not at all.
fn write_synced(root: &Path, name: &str, text: &str) -> Result<(), LayoutError> {
    let new = root.join(format!("{name}.new"));
    let path = root.join(name);
    let mut file = File::create(&new).map_err(io("making", &new))?;
    file.write_all(text.as_bytes()).map_err(io("writing", &new))?;
    file.sync_all().map_err(io("syncing", &new))?;
    fs::rename(&new, &path).map_err(io("renaming", &new))?;
    sync_dir(root)
}

fn sync_dir(dir: &Path) -> Result<(), LayoutError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(io("syncing", dir))
}

fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LayoutError + use<> {
    let path = path.to_path_buf();
    move |source| LayoutError::Io { attempt, path, source }
}
