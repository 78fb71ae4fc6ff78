//! Files of the operating system behave as the core expects of a disk, and as its own disk in
//! memory does.

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
fn files_behave_as_a_disk() {
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(directory.path());
    check(&disk);
    let mut dirs = disk.take_unsynced_dirs();
    dirs.sort();
    assert_eq!(dirs, [directory.path().to_path_buf(), directory.path().join("a")]);
    assert!(disk.take_unsynced_dirs().is_empty());
}

#[test]
fn a_handle_keeps_its_file_open() {
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(directory.path());
    let file = disk.open("f", true).unwrap();
    disk.write_at(file, 0, &[b"abc"]).unwrap();
    let held = disk.file(file).unwrap();
    disk.close(file);
    disk.remove("f").unwrap();
    assert!(disk.file(file).is_none());
    let mut buf = [0; 3];
    std::os::unix::fs::FileExt::read_exact_at(&*held, &mut buf, 0).unwrap();
    assert_eq!(&buf, b"abc");
}
