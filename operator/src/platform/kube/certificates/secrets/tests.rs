//! What is written is read again, and what makes no sense is not taken for anything.

use chronik_tls::issue::{self, Validity};

use super::*;

const SPAN: Validity = Validity { not_before: 1_000_000_000, not_after: 4_102_444_800 };

fn names() -> Names {
    Names {
        cluster: "demo".into(),
        namespace: "prod".into(),
        uid: "uid-1".into(),
        domain: "cluster.local".into(),
    }
}

fn authority_pair() -> Pair {
    issue::authority("test", SPAN).unwrap()
}

fn held_by(holder: Holder, signer: &Pair) -> Held {
    let pair = issue::certificate(signer, &identity(&names(), holder), SPAN).unwrap();
    Held { pair, trusted: signer.certificate.clone() }
}

/// As the API server would list it.
fn listed(mut secret: Secret, version: &str) -> Secret {
    secret.metadata.resource_version = Some(version.into());
    secret
}

#[test]
fn what_is_written_is_read_again() {
    let (signing, next) = (authority_pair(), authority_pair());
    let kept = Kept {
        old: authority_pair().certificate,
        signing: Some(signing.clone()),
        next: Some(next),
        rotated_for: Some("today".into()),
    };
    let (one, operator) = (Holder::Broker(1), Holder::Operator);
    let (of_one, of_operator) = (held_by(one, &signing), held_by(operator, &signing));
    let all = vec![
        listed(authority(&names(), &kept), "1"),
        listed(certificate(&names(), one, &of_one), "2"),
        listed(certificate(&names(), operator, &of_operator), "3"),
    ];
    let store = Store::read(&names(), all.clone());
    assert_eq!(store.kept, Some(kept.clone()));
    assert_eq!(store.held, [(operator, of_operator), (one, of_one.clone())].into());
    assert_eq!(store.object("demo-1-tls").unwrap().resource_version.as_deref(), Some("2"));
    let facts = kept.facts();
    assert_eq!(facts.trusted().len(), 3);
    let leaf = of_one.facts(&identity(&names(), one), &facts.trusted()).unwrap();
    assert_eq!(leaf.signer, facts.signing.map(|signer| signer.certificate));
    assert_eq!(leaf.span.until, SPAN.not_after);
    // The same Secrets of an earlier cluster of this name are nobody's, and are written over.
    let successor = Names { uid: "uid-2".into(), ..names() };
    let store = Store::read(&successor, all);
    assert!(store.kept.is_none() && store.held.is_empty());
    assert_eq!(store.object("demo-ca").unwrap().resource_version.as_deref(), Some("1"));
}

#[test]
fn what_makes_no_sense_counts_as_not_there() {
    let (signing, other) = (authority_pair(), authority_pair());
    let trusted = ders(signing.certificate.as_bytes());
    let one = identity(&names(), Holder::Broker(1));
    let sound = held_by(Holder::Broker(1), &signing);
    let two = held_by(Holder::Broker(2), &signing);
    assert!(sound.facts(&one, &trusted).is_some());
    for (what, held) in [
        ("of another broker", two.clone()),
        (
            "the key of another",
            Held {
                pair: Pair { key: two.pair.key.clone(), ..sound.pair.clone() },
                ..sound.clone()
            },
        ),
        (
            "no PEM",
            Held { pair: Pair { certificate: "x".into(), ..sound.pair.clone() }, ..sound.clone() },
        ),
        ("trusting nobody", Held { trusted: String::new(), ..sound.clone() }),
    ] {
        assert_eq!(held.facts(&one, &trusted), None, "{what}");
    }
    let stranger = held_by(Holder::Broker(1), &other);
    assert_eq!(stranger.facts(&one, &trusted).unwrap().signer, None, "of another authority");
    let broken =
        Kept { signing: Some(Pair { key: "gone".into(), ..signing.clone() }), ..Kept::default() };
    let leaf_as_authority = Kept { signing: Some(sound.pair), ..Kept::default() };
    for kept in [broken, leaf_as_authority, Kept::default()] {
        let store = Store::read(&names(), vec![listed(authority(&names(), &kept), "1")]);
        assert_eq!(store.kept, None);
    }
}

#[test]
fn secrets_of_certificates_are_of_the_kind_that_tools_know() {
    let signing = authority_pair();
    let secret = certificate(&names(), Holder::Broker(3), &held_by(Holder::Broker(3), &signing));
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
    assert_eq!(secret.metadata.name.as_deref(), Some("demo-3-tls"));
    let keys: Vec<&str> = secret.data.as_ref().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["ca.crt", "tls.crt", "tls.key"]);
    let owners = secret.metadata.owner_references.unwrap();
    assert_eq!(owners[0].uid, "uid-1", "they go when the cluster does");
}
