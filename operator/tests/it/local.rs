//! The local platform with a stand-in for the broker: a script that only waits.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chronik_operator::platform::local::{Local, LocalError};
use chronik_operator::platform::{Outcome, Platform as _};
use chronik_operator::validate::Wanted;
use chronik_plan::{Process, Step, VolumePolicy};

fn wanted() -> Wanted {
    Wanted {
        name: "demo".into(),
        brokers: 2,
        when_scaled: VolumePolicy::Retain,
        port: 31800,
        external_port: None,
        settings: vec![("--segment-bytes", 1 << 20)],
        racks: vec!["a".into(), "b".into()],
        rack_label: None,
        paused: false,
        rolling: chronik_plan::Rolling::default(),
        catch_up_rate: None,
    }
}

fn broker(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("broker.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const WAITS: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";

async fn until(local: &mut Local, expected: &BTreeMap<u32, Process>) {
    let began = Instant::now();
    while local.observe().await.unwrap() != *expected {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", local.observe().await);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn brokers_outlive_the_operator_and_are_adopted_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let binary = broker(dir.path(), WAITS);
    let mut first = Local::open(dir.path(), &binary, &wanted()).unwrap();
    let id = first.cluster_id().unwrap();
    assert_eq!(first.execute(&Step::Start(1)).await.unwrap(), Outcome::Done);
    let one = BTreeMap::from([(1, Process { running: true, volume: true, ..Process::default() })]);
    until(&mut first, &one).await;
    assert!(matches!(first.execute(&Step::Start(1)).await.unwrap(), Outcome::Later(_)));
    assert!(matches!(Local::open(dir.path(), &binary, &wanted()), Err(LocalError::Locked(_))));
    let looking = &mut Local::look(dir.path(), &wanted()).unwrap();
    assert_eq!(looking.observe().await.unwrap(), one);
    assert!(looking.execute(&Step::Stop(1)).await.is_err());
    let pid = |root: &Path| std::fs::read_to_string(root.join("broker-1.pid")).unwrap();
    let before = pid(first.root());
    drop(first);

    // The next operator is told another port; the broker that runs keeps its own.
    let moved = Wanted { port: 31900, ..wanted() };
    let mut next = Local::open(dir.path(), &binary, &moved).unwrap();
    assert_eq!(next.cluster_id().unwrap(), id);
    assert_eq!(next.observe().await.unwrap(), one);
    assert_eq!(next.addresses(1).kafka, "127.0.0.1:31800");
    assert_eq!(next.addresses(2).peer, "127.0.0.1:31911");
    assert!(matches!(next.execute(&Step::Start(1)).await.unwrap(), Outcome::Later(_)));
    assert_eq!(pid(next.root()), before);
    assert!(next.execute(&Step::DeleteVolume(1)).await.is_err(), "it runs");
    next.shutdown().await.unwrap();
    assert_eq!(
        next.observe().await.unwrap(),
        BTreeMap::from([(1, Process { running: false, volume: true, ..Process::default() })])
    );
    next.execute(&Step::DeleteVolume(1)).await.unwrap();
    assert_eq!(next.observe().await.unwrap(), BTreeMap::new());
}

#[tokio::test]
async fn a_broker_that_keeps_ending_is_started_ever_more_rarely_and_its_last_words_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let binary = broker(dir.path(), "echo the disk is upside down; exit 1");
    let mut local = Local::open(dir.path(), &binary, &wanted()).unwrap();
    let began = Instant::now();
    let words = loop {
        assert!(began.elapsed() < Duration::from_secs(10));
        if let Outcome::Later(why) = local.execute(&Step::Start(2)).await.unwrap()
            && why.contains("ended soon after its start")
        {
            break why;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(words.contains("the disk is upside down"), "{words}");
}

#[test]
fn an_id_once_given_stays_and_birth_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut local = Local::open(dir.path(), Path::new("/none"), &wanted()).unwrap();
    let id = local.cluster_id().unwrap();
    assert!(!local.formed());
    local.set_formed("the-one-found").unwrap();
    assert!(local.formed());
    assert_ne!(id, "the-one-found");
    assert_eq!(local.cluster_id().unwrap(), "the-one-found");
}
