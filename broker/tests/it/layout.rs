//! The data directory: lock, identity, format, emptying.

use std::fs;

use chronik_broker::storage::layout::DataDir;

#[test]
fn identity_is_made_once_and_the_lock_is_exclusive() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("deep/data");
    let first = DataDir::open(&path).unwrap();
    let id = first.id();
    assert!(first.shard().is_dir());
    let refused = DataDir::open(&path).unwrap_err().to_string();
    let expected = format!(
        "data directory {} is in use by process {}; stop that broker or choose another --data-dir",
        path.display(),
        std::process::id()
    );
    assert_eq!(refused, expected);
    drop(first);
    assert_eq!(DataDir::open(&path).unwrap().id(), id);
}

#[test]
fn wiping_gives_a_new_identity_even_if_it_was_interrupted() {
    let root = tempfile::tempdir().unwrap();
    let data = DataDir::open(root.path()).unwrap();
    let first = data.id();
    fs::create_dir_all(data.shard().join("groups/g")).unwrap();
    fs::write(data.shard().join("groups/g/file"), "x").unwrap();
    data.wipe().unwrap();
    let data = DataDir::open(root.path()).unwrap();
    let second = data.id();
    assert_ne!(second, first);
    assert_eq!(fs::read_dir(data.shard()).unwrap().count(), 0);
    // A crash came after the mark was set and half was removed.
    fs::write(data.shard().join("left"), "x").unwrap();
    fs::remove_file(root.path().join("directory.id")).unwrap();
    fs::write(root.path().join("wiping"), "").unwrap();
    drop(data);
    let data = DataDir::open(root.path()).unwrap();
    assert_ne!(data.id(), second);
    assert_eq!(fs::read_dir(data.shard()).unwrap().count(), 0);
}

#[test]
fn a_directory_that_is_not_ours_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let data = DataDir::open(root.path()).unwrap();
    fs::write(data.shard().join("wal"), "x").unwrap();
    drop(data);
    fs::remove_file(root.path().join("directory.id")).unwrap();
    let lost = DataDir::open(root.path()).unwrap_err().to_string();
    assert!(lost.contains("holds data, and its file directory.id is missing"), "{lost}");
    fs::write(root.path().join("directory.id"), "nonsense").unwrap();
    let damaged = DataDir::open(root.path()).unwrap_err().to_string();
    assert!(damaged.contains("directory.id is damaged"), "{damaged}");
    fs::write(root.path().join("format"), "chronik-data 2\n").unwrap();
    let newer = DataDir::open(root.path()).unwrap_err().to_string();
    assert!(newer.contains("has format \"chronik-data 2\", this broker knows"), "{newer}");
}
