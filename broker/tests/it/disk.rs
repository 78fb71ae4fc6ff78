//! Files of the operating system behave as the core expects of a disk, and as its own disk in
//! memory does.

use std::path::Path;
use std::time::{Duration, Instant};

use chronik_broker::storage::os_disk::OsDisk;
use chronik_core::log::disk::{Disk, DiskError};
use chronik_core::log::mem_disk::MemDisk;

fn check(disk: &impl Disk) {
    assert!(disk.list("").unwrap().is_empty());
    assert!(disk.list("no/such").unwrap().is_empty());
    assert!(matches!(disk.open("a/b/file", false), Err(DiskError::Io { .. })));

    let file = disk.open("a/b/file", true).unwrap();
    let again = disk.open("a/b/file", true).unwrap();
    assert_ne!(file, again, "handles are never shared");
    assert_eq!(disk.len(file).unwrap(), 0);
    disk.write_at(file, 0, &[b"one", b"", b"two"]).unwrap();
    disk.write_at(file, 8, &[b"x"]).unwrap();
    assert_eq!(disk.len(again).unwrap(), 9);
    assert_eq!(disk.read_at(again, 0, 9).unwrap(), &b"onetwo\0\0x"[..]);
    assert!(disk.read_at(file, 5, 5).is_err(), "the file ends before");
    assert!(disk.read_at(file, 0, 1 << 40).is_err(), "nothing is reserved for a length that lies");
    assert_eq!(disk.read_at(file, 9, 0).unwrap(), &b""[..]);

    let many: Vec<Vec<u8>> = (0..3000u32).map(|i| i.to_be_bytes().to_vec()).collect();
    let parts: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    disk.write_at(file, 100, &parts).unwrap();
    assert_eq!(disk.read_at(file, 100, 12_000).unwrap(), many.concat());

    disk.set_len(file, 3).unwrap();
    disk.set_len(file, 5).unwrap();
    assert_eq!(disk.read_at(file, 0, 5).unwrap(), &b"one\0\0"[..]);
    disk.allocate(file, 4096).unwrap();
    assert_eq!(disk.len(file).unwrap(), 4096);
    assert_eq!(disk.read_at(file, 0, 6).unwrap(), &b"one\0\0\0"[..]);
    disk.allocate(file, 10).unwrap();
    assert_eq!(disk.len(file).unwrap(), 4096, "it never shortens");

    let other = disk.open("a/c", true).unwrap();
    disk.write_at(other, 0, &[b"other"]).unwrap();
    assert_eq!(disk.list("a").unwrap(), ["b", "c"]);
    disk.rename("a/c", "a/b/file").unwrap();
    assert_eq!(disk.list("a").unwrap(), ["b"]);
    let renamed = disk.open("a/b/file", false).unwrap();
    assert_eq!(disk.read_at(renamed, 0, 5).unwrap(), &b"other"[..]);
    assert!(disk.rename("no", "where").is_err());

    disk.close(file);
    assert!(disk.read_at(file, 0, 1).is_err(), "the handle is closed");
    disk.remove("a/b/file").unwrap();
    disk.remove("a/b/file").unwrap();
    assert_eq!(
        disk.read_at(renamed, 0, 5).unwrap(),
        &b"other"[..],
        "open files outlive their name"
    );
    disk.remove("a/b").unwrap();
    disk.remove("a").unwrap();
    assert!(disk.list("").unwrap().is_empty());
    assert!(disk.free_bytes() > 0);
}

#[test]
fn memory_behaves_as_a_disk() {
    check(&MemDisk::new());
}

#[test]
fn files_behave_as_a_disk_however_few_may_be_open() {
    let directory = tempfile::tempdir().unwrap();
    check(&OsDisk::new(directory.path(), 0));
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(directory.path(), 64);
    check(&disk);
    let mut dirs = disk.take_unsynced_dirs();
    dirs.sort();
    assert_eq!(dirs, [directory.path().to_path_buf(), directory.path().join("a")]);
    assert!(disk.take_unsynced_dirs().is_empty());
}

/// Files under `directory` that this process has open, as the system sees it.
fn descriptors(directory: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    targets.filter(|target| target.starts_with(directory)).count()
}

#[test]
fn few_of_many_files_are_open_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(directory.path(), 10);
    let name = |n: usize| format!("groups/{}/{n}.log", n % 7);
    let files: Vec<_> = (0..300).map(|n| disk.open(&name(n), true).unwrap()).collect();
    assert_eq!(descriptors(directory.path()), 10);
    for (n, file) in files.iter().enumerate() {
        disk.write_at(*file, 0, &[&n.to_be_bytes()]).unwrap();
    }
    assert_eq!((descriptors(directory.path()), disk.open_files()), (10, 10));
    let to_sync: Vec<_> = files.iter().map(|file| disk.to_sync(*file).unwrap()).collect();
    for file in to_sync {
        file.sync().unwrap();
    }
    assert_eq!((descriptors(directory.path()), disk.open_files()), (10, 10));
    for (n, file) in files.iter().enumerate() {
        assert_eq!(disk.read_at(*file, 0, 8).unwrap(), &n.to_be_bytes()[..]);
    }
    // A file that was closed for being idle outlives its name like any other, and follows a new one.
    disk.rename(&name(0), "elsewhere").unwrap();
    disk.remove(&name(1)).unwrap();
    disk.rename(&name(2), &name(3)).unwrap();
    for (n, file) in files.iter().enumerate().take(4) {
        assert_eq!(disk.read_at(*file, 0, 8).unwrap(), &n.to_be_bytes()[..], "{n}");
    }
    for file in files {
        disk.close(file);
    }
    assert_eq!(disk.open_files(), 0);
    closed(directory.path());
}

/// Removed files are closed by another thread.
fn closed(directory: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while descriptors(directory) > 0 {
        assert!(Instant::now() < deadline, "{} are still open", descriptors(directory));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn files_with_unsynced_writes_are_the_last_to_be_closed() {
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(directory.path(), 4);
    let is_open = |name: &str| descriptors(&directory.path().join(name)) == 1;
    let written = disk.open("written", true).unwrap();
    disk.write_at(written, 0, &[b"x"]).unwrap();
    let others: Vec<_> = (0..9).map(|n| disk.open(&n.to_string(), true).unwrap()).collect();
    assert!(is_open("written") && is_open("8") && !is_open("0"));
    disk.to_sync(written).unwrap().sync().unwrap();
    for other in others {
        disk.len(other).unwrap();
    }
    assert!(!is_open("written"));
}

#[test]
fn a_file_that_is_closed_before_its_sync_is_synced_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(directory.path(), 1);
    let file = disk.open("f", true).unwrap();
    let (first, second) = (disk.to_sync(file).unwrap(), disk.to_sync(file).unwrap());
    disk.close(file);
    assert!(disk.read_at(file, 0, 0).is_err() && disk.to_sync(file).is_none());
    disk.open("another", true).unwrap();
    first.sync().unwrap();
    disk.remove("f").unwrap();
    drop(first);
    second.sync().unwrap();
    drop(second);
    assert_eq!(disk.open_files(), 0, "nothing of it is kept");
    closed(directory.path());
}

#[test]
fn a_handle_keeps_its_file_open() {
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(directory.path(), 64);
    let file = disk.open("f", true).unwrap();
    disk.write_at(file, 0, &[b"abc"]).unwrap();
    let held = disk.file(file).unwrap();
    disk.close(file);
    disk.remove("f").unwrap();
    assert!(disk.file(file).is_err());
    let mut buf = [0; 3];
    std::os::unix::fs::FileExt::read_exact_at(&*held, &mut buf, 0).unwrap();
    assert_eq!(&buf, b"abc");
}

#[test]
fn a_file_with_many_unsynced_bytes_is_named_once() {
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(directory.path(), 100);
    let (many, few) = (disk.open("many", true).unwrap(), disk.open("few", true).unwrap());
    let half = vec![0; 128 << 10];
    disk.write_at(few, 0, &[&half]).unwrap();
    disk.write_at(many, 0, &[&half]).unwrap();
    assert!(disk.take_behind().is_empty());

    disk.write_at(many, 0, &[&half]).unwrap();
    let behind = disk.take_behind();
    assert_eq!(behind.len(), 1, "one of the two files has 256 KiB");
    disk.write_at(many, 0, &[&half, &half]).unwrap();
    assert!(disk.take_behind().is_empty(), "it is about to be synced");
    behind[0].sync().unwrap();
    drop(behind);
    disk.write_at(many, 0, &[&half]).unwrap();
    assert!(disk.take_behind().is_empty(), "128 KiB since the sync began");

    disk.to_sync(few).unwrap().sync().unwrap();
    disk.write_at(few, 0, &[&half]).unwrap();
    assert!(disk.take_behind().is_empty(), "a sync of anybody counts");
    disk.write_at(few, 0, &[&half]).unwrap();
    disk.close(few);
    assert!(disk.take_behind().is_empty(), "it is closed");
}
