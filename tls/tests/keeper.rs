//! A directory as Kubernetes mounts a Secret, and what is taken over from it.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::os::unix::fs::symlink;
use std::path::Path;

use chronik_tls::certificate;
use chronik_tls::issue::{self, Pair, Validity};
use chronik_tls::keeper::Keeper;
use chronik_tls::material::{
    AUTHORITIES, CERTIFICATE, KEY, Material, MaterialError, certificates, open_to_all,
};

const YEAR_2100: Validity = Validity { not_before: 1_000_000_000, not_after: 4_102_444_800 };
const NAMES: &[&str] = &[CERTIFICATE, KEY, AUTHORITIES];

fn authority() -> Pair {
    issue::authority("test", YEAR_2100).unwrap()
}

fn broker(authority: &Pair, id: u32) -> Pair {
    let identity = format!("chronik://ns/demo/broker/{id}").parse().unwrap();
    issue::certificate(authority, &identity, YEAR_2100).unwrap()
}

/// Swaps what is mounted at `dir`, as the kubelet does: files in a directory of their own, one link
/// to it that is renamed over the last, and links to the files through it.
fn mount(dir: &Path, version: &str, pair: &Pair, authority: &Pair) {
    let own = dir.join(format!("..{version}"));
    std::fs::create_dir(&own).unwrap();
    for (name, text) in
        [(CERTIFICATE, &pair.certificate), (KEY, &pair.key), (AUTHORITIES, &authority.certificate)]
    {
        std::fs::write(own.join(name), text).unwrap();
        let _ = symlink(Path::new("..data").join(name), dir.join(name));
    }
    symlink(format!("..{version}"), dir.join("..data_tmp")).unwrap();
    std::fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
}

#[test]
fn a_mounted_secret_is_taken_over_when_it_is_swapped() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), authority());
    mount(dir.path(), "1", &broker(&ca, 1), &ca);
    let (mut keeper, current) = Keeper::open(dir.path(), NAMES, Material::from_files).unwrap();
    assert!(!keeper.look(), "nothing is new");
    assert_eq!(current.borrow().identity().to_string(), "chronik://ns/demo/broker/1");
    mount(dir.path(), "2", &broker(&ca, 2), &ca);
    assert!(keeper.look());
    assert_eq!(current.borrow().identity().to_string(), "chronik://ns/demo/broker/2");
}

#[test]
fn what_makes_no_sense_is_not_taken_over() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), authority());
    mount(dir.path(), "1", &broker(&ca, 1), &ca);
    let (mut keeper, current) = Keeper::open(dir.path(), NAMES, Material::from_files).unwrap();
    let (one, two) = (broker(&ca, 1), broker(&ca, 2));
    // The key of another, no PEM at all, an empty file, nothing.
    mount(dir.path(), "2", &Pair { certificate: two.certificate.clone(), ..one.clone() }, &ca);
    assert!(!keeper.look());
    mount(dir.path(), "3", &Pair { certificate: "hello".into(), ..two.clone() }, &ca);
    assert!(!keeper.look());
    mount(dir.path(), "4", &two, &Pair { certificate: String::new(), ..ca.clone() });
    assert!(!keeper.look());
    std::fs::remove_file(dir.path().join("..data")).unwrap();
    assert!(!keeper.look());
    assert_eq!(current.borrow().identity().to_string(), "chronik://ns/demo/broker/1");
    mount(dir.path(), "5", &two, &ca);
    assert!(keeper.look(), "and it is looked at again");
}

#[test]
fn a_key_of_another_certificate_is_refused_by_name() {
    let ca = authority();
    let (one, two) = (broker(&ca, 1), broker(&ca, 2));
    let found = Material::from_pem(
        one.certificate.as_bytes(),
        two.key.as_bytes(),
        ca.certificate.as_bytes(),
    );
    let error = found.unwrap_err();
    assert!(matches!(error, MaterialError::Key(_)), "{error}");
    assert!(error.to_string().starts_with("tls.key is no key of tls.crt"), "{error}");
}

#[test]
fn a_certificate_says_who_until_when_and_by_whom() {
    let (ca, other) = (authority(), authority());
    let der =
        |pair: &Pair| certificates(CERTIFICATE, pair.certificate.as_bytes()).unwrap().remove(0);
    let leaf = der(&broker(&ca, 7));
    let facts = certificate::facts(&leaf).unwrap();
    assert_eq!(facts.identity.unwrap().to_string(), "chronik://ns/demo/broker/7");
    assert_eq!((facts.not_after, facts.is_authority), (YEAR_2100.not_after, false));
    assert!(certificate::is_signed_by(&leaf, &der(&ca)));
    assert!(!certificate::is_signed_by(&leaf, &der(&other)), "of the same name, but another");
    let facts = certificate::facts(&der(&ca)).unwrap();
    assert_eq!((facts.identity, facts.is_authority), (None, true));
}

#[test]
fn a_listener_for_clients_needs_no_authority() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), authority());
    mount(dir.path(), "1", &broker(&ca, 1), &ca);
    let (_, current) = Keeper::open(dir.path(), &[CERTIFICATE, KEY], |files| {
        open_to_all(files.of(CERTIFICATE), files.of(KEY))
    })
    .unwrap();
    assert_eq!(current.borrow().1, YEAR_2100.not_after);
}
