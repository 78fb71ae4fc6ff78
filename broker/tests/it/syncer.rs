//! Syncing: answered in order, and a failure ends it.

use std::sync::mpsc;

use chronik_broker::net::listener::Limits;
use chronik_broker::node::Ending;
use chronik_broker::storage::os_disk::OsDisk;
use chronik_broker::storage::syncer::{Job, Syncer};
use chronik_core::core::input::{Input, Ticket};
use chronik_core::core::output::{Output, SyncClass};
use chronik_core::log::disk::{Disk, FileId};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::fake_core::{World, on_one_thread};

#[test]
fn a_sync_that_fails_is_told_and_is_the_last() {
    let (done, finished) = mpsc::channel();
    let (failed, failure) = mpsc::channel();
    let syncer = Syncer::start(
        SyncClass::Wal,
        move |job| done.send(job.ticket).unwrap(),
        move |reason| failed.send(reason).unwrap(),
    )
    .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(directory.path(), 8);
    let good = disk.open("f", true).unwrap();
    let gone = directory.path().join("removed");
    let job = |ticket, file, dirs| {
        let files = vec![disk.to_sync(file).unwrap()];
        Job { ticket: Ticket(ticket), files, dirs }
    };
    syncer.sync(job(1, good, vec![gone, directory.path().to_path_buf()]));
    // A pipe cannot be synced.
    let (pipe, mode) = (directory.path().join("pipe"), Mode::RWXU);
    mknodat(CWD, &pipe, FileType::Fifo, mode, 0).unwrap();
    let bad = disk.open("pipe", false).unwrap();
    syncer.sync(job(2, bad, vec![]));
    syncer.sync(job(3, good, vec![]));
    syncer.finish();
    assert_eq!(finished.iter().collect::<Vec<_>>(), [Ticket(1)]);
    assert!(failure.recv().unwrap().starts_with("the Wal class: syncing pipe: "));
}

#[test]
fn the_node_hears_of_its_syncs_and_dies_of_one_that_cannot_be() {
    on_one_thread(async {
        let world = World::start(1, Limits::default()).await;
        let file = world.disk.open("dir/wal", true).unwrap();
        let sync = |ticket, class, file| Output::Sync {
            ticket: Ticket(ticket),
            class,
            files: vec![file],
            dirs: vec!["dir".into(), String::new()],
        };
        world.put_out([sync(1, SyncClass::Wal, file)]).await;
        assert!(matches!(world.script.next().await, Input::Synced(Ticket(1))));
        world.put_out([sync(1, SyncClass::Background, file)]).await;
        assert!(matches!(world.script.next().await, Input::Synced(Ticket(1))));
        world.put_out([sync(2, SyncClass::Wal, FileId(99))]).await;
        let reason = "a sync names file 99, which is not open".into();
        assert_eq!(world.running.await.unwrap(), Ending::Fatal(reason));
    });
}
