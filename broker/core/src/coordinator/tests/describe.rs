//! What operators see: states, members, filters.

use kafka_protocol::messages::{DescribeGroupsResponse, ListGroupsRequest, ListGroupsResponse};

use super::*;

fn listed(w: &World, states: &[&str], types: &[&str]) -> Vec<String> {
    let texts = |all: &[&str]| all.iter().map(|t| text(t)).collect();
    let request = ListGroupsRequest::default()
        .with_states_filter(texts(states))
        .with_types_filter(texts(types));
    let groups = w.coordinator.list(&request);
    for version in 0..=5 {
        let response = ListGroupsResponse::default().with_groups(groups.clone());
        response.encode(&mut BytesMut::new(), version).unwrap();
    }
    groups
        .iter()
        .map(|g| format!("{} {} {}", &*g.group_id, &*g.group_state, &*g.group_type))
        .collect()
}

#[test]
fn a_group_that_does_not_exist() {
    let w = World::new();
    for version in 0..=6 {
        let group = w.coordinator.describe(version, &group_id());
        let expected = if version < 6 { 0 } else { ResponseError::GroupIdNotFound.code() };
        assert_eq!((group.error_code, &*group.group_state), (expected, "Dead"));
        assert_eq!(group.error_message.is_some(), version >= 6);
        let response = DescribeGroupsResponse::default().with_groups(vec![group]);
        response.encode(&mut BytesMut::new(), version).unwrap();
    }
}

#[test]
fn only_a_stable_group_shows_protocol_and_assignments() {
    let mut w = World::new();
    let (_, ids) = w.stable(2);
    for version in 0..=6 {
        let group = w.coordinator.describe(version, &group_id());
        assert_eq!((&*group.protocol_type, &*group.protocol_data), ("consumer", "range"));
        assert_eq!(group.members.len(), 2);
        for member in &group.members {
            assert_eq!((&*member.client_id, &*member.client_host), ("client", "/10.0.0.1"));
            assert_eq!(&member.member_assignment[..], member.member_id.as_bytes());
            assert_eq!(&member.member_metadata[..], b"m");
        }
        let response = DescribeGroupsResponse::default().with_groups(vec![group]);
        response.encode(&mut BytesMut::new(), version).unwrap();
    }
    let token = w.join(&ids[0]);
    assert!(w.waits(token));
    let group = w.coordinator.describe(5, &group_id());
    assert_eq!((&*group.group_state, &*group.protocol_data), ("PreparingRebalance", ""));
    assert!(group.members.iter().all(|m| m.member_metadata.is_empty()));
    assert!(group.members.iter().all(|m| m.member_assignment.is_empty()));
}

#[test]
fn filters() {
    let mut w = World::new();
    assert_eq!(listed(&w, &[], &[]), Vec::<String>::new());
    let (_, joining) = w.join_new();
    assert_eq!(listed(&w, &[], &[]), ["group PreparingRebalance classic"]);
    w.wait(3_000);
    w.reply(joining);
    assert_eq!(listed(&w, &["completingrebalance"], &["Classic"]).len(), 1);
    assert_eq!(listed(&w, &["Stable", "Empty"], &[]).len(), 0);
    assert_eq!(listed(&w, &[], &["consumer"]).len(), 0);
}
