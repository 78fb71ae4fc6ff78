//! Committed offsets: by members, from outside, fetched and deleted.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use super::*;

pub(super) fn commit(member: &str, generation: i32, offsets: &[(i32, i64)]) -> OffsetCommitRequest {
    let partitions = offsets.iter().map(|(partition, offset)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(5)
            .with_committed_metadata(Some(text("mark")))
    });
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(partitions.collect());
    OffsetCommitRequest::default()
        .with_group_id(group_id())
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![topic])
}

impl World {
    /// Asks and applies: the error of the first partition.
    pub(super) fn commit(&mut self, version: i16, request: OffsetCommitRequest) -> i16 {
        let token = self.ask(version, GroupRequest::Commit(request));
        self.apply();
        let GroupResponse::Commit(response) = self.reply(token) else { panic!("no commit") };
        response.topics[0].partitions[0].error_code
    }

    /// The offset of `t`-`partition`, -1 for none.
    pub(super) fn committed(&self, partition: i32) -> i64 {
        let topics = vec![
            OffsetFetchRequestTopics::default()
                .with_name(TopicName(text("t")))
                .with_partition_indexes(vec![partition]),
        ];
        let request =
            OffsetFetchRequestGroup::default().with_group_id(group_id()).with_topics(Some(topics));
        let response = self.coordinator.fetch(&request);
        response.topics[0].partitions[0].committed_offset
    }

    fn delete_offset(&mut self, topic: &str) -> (i16, Option<i16>) {
        let partitions = vec![OffsetDeleteRequestPartition::default().with_partition_index(0)];
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(TopicName(text(topic)))
            .with_partitions(partitions);
        let request =
            OffsetDeleteRequest::default().with_group_id(group_id()).with_topics(vec![topic]);
        let token = self.ask(0, GroupRequest::OffsetDelete(request));
        self.apply();
        let GroupResponse::OffsetDelete(response) = self.reply(token) else { panic!("no answer") };
        let partition = response.topics.first().map(|t| t.partitions[0].error_code);
        (response.error_code, partition)
    }
}

#[test]
fn members_commit_in_their_generation() {
    let mut w = World::new();
    let (generation, ids) = w.stable(1);
    for version in 2..=9 {
        let offset = i64::from(version) * 10;
        assert_eq!(w.commit(version, commit(&ids[0], generation, &[(0, offset)])), 0);
        assert_eq!(w.committed(0), offset);
    }
    let illegal = ResponseError::IllegalGeneration.code();
    assert_eq!(w.commit(9, commit(&ids[0], generation - 1, &[(0, 1)])), illegal);
    let unknown = ResponseError::UnknownMemberId.code();
    assert_eq!(w.commit(9, commit("nobody", generation, &[(0, 1)])), unknown);
    assert_eq!(w.commit(9, commit("", -1, &[(0, 1)])), unknown, "others keep out");
    assert_eq!(w.committed(0), 90);
}

#[test]
fn a_commit_is_visible_when_it_is_applied() {
    let mut w = World::new();
    let (generation, ids) = w.stable(1);
    let token = w.ask(9, GroupRequest::Commit(commit(&ids[0], generation, &[(0, 1), (1, 2)])));
    assert!(w.waits(token));
    assert_eq!(w.committed(0), -1);
    w.apply();
    w.reply(token);
    assert_eq!((w.committed(0), w.committed(1)), (1, 2));
    // Lost with the leader: the client is told, and the old offset stands.
    let token = w.ask(9, GroupRequest::Commit(commit(&ids[0], generation, &[(0, 7)])));
    w.fail_over();
    let GroupResponse::Commit(response) = w.reply(token) else { panic!("no commit") };
    let error = response.topics[0].partitions[0].error_code;
    assert_eq!(error, ResponseError::NotCoordinator.code());
    assert_eq!(w.committed(0), 1);
}

#[test]
fn commits_during_a_rebalance() {
    let mut w = World::new();
    let (generation, ids) = w.stable(1);
    let (_, waiting) = w.join_new();
    assert_eq!(w.commit(9, commit(&ids[0], generation, &[(0, 3)])), 0, "before it joins");
    let token = w.join(&ids[0]);
    let in_progress = ResponseError::RebalanceInProgress.code();
    let late = w.ask(9, GroupRequest::Commit(commit(&ids[0], generation, &[(0, 4)])));
    let GroupResponse::Commit(response) = w.reply(late) else { panic!("no commit") };
    assert_eq!(response.topics[0].partitions[0].error_code, in_progress);
    w.apply();
    w.reply(token);
    w.reply(waiting);
    assert_eq!(w.commit(9, commit(&ids[0], generation + 1, &[(0, 4)])), in_progress);
    assert_eq!(w.committed(0), 3);
}

#[test]
fn simple_groups_have_offsets_only() {
    let mut w = World::new();
    let illegal = ResponseError::IllegalGeneration.code();
    assert_eq!(w.commit(8, commit("m", 1, &[(0, 1)])), illegal);
    let not_found = ResponseError::GroupIdNotFound.code();
    assert_eq!(w.commit(9, commit("m", 1, &[(0, 1)])), not_found);
    assert_eq!(w.commit(9, commit("", -1, &[(0, 1)])), 0);
    assert_eq!(w.commit(9, commit("", -1, &[(0, 0)])), 0, "back, by a later commit");
    assert_eq!((w.committed(0), w.state().as_str()), (0, "Empty"));
    assert_eq!(w.commit(9, commit("m", 1, &[(0, 1)])), ResponseError::UnknownMemberId.code());
}

#[test]
fn metadata_has_a_limit_and_comes_back_as_it_was() {
    let mut w = World::with(GroupConfig { offset_metadata_bytes_max: 4, ..config() });
    let mut request = commit("", -1, &[(0, 1), (1, 2)]);
    request.topics[0].partitions[0].committed_metadata = Some(text("mark!"));
    let too_large = ResponseError::OffsetMetadataTooLarge.code();
    assert_eq!(w.commit(9, request), too_large);
    assert_eq!((w.committed(0), w.committed(1)), (-1, 2));
    let all = OffsetFetchRequestGroup::default().with_group_id(group_id()).with_topics(None);
    let response = w.coordinator.fetch(&all);
    assert_eq!((response.topics.len(), response.topics[0].partitions.len()), (1, 1));
    let partition = &response.topics[0].partitions[0];
    assert_eq!(partition.metadata.as_deref(), Some("mark"));
    assert_eq!((partition.partition_index, partition.committed_leader_epoch), (1, 5));
}

#[test]
fn old_fetches() {
    let mut w = World::new();
    assert_eq!(w.commit(9, commit("", -1, &[(0, 11)])), 0);
    let topic = OffsetFetchRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partition_indexes(vec![0, 1]);
    let request =
        OffsetFetchRequest::default().with_group_id(group_id()).with_topics(Some(vec![topic]));
    let ask = |w: &World, version: i16| -> OffsetFetchResponse {
        let group = w.coordinator.fetch(&single_group(&request));
        let response = single_response(version, &request, group);
        response.encode(&mut BytesMut::new(), version).unwrap();
        response
    };
    for version in 1..=7 {
        let response = ask(&w, version);
        let partitions = &response.topics[0].partitions;
        assert_eq!((partitions[0].committed_offset, partitions[1].committed_offset), (11, -1));
        assert_eq!(partitions[1].metadata.as_deref(), Some(""));
    }
    w.coordinator.step_down();
    assert_eq!(ask(&w, 1).topics[0].partitions[1].error_code, 16);
    assert_eq!((ask(&w, 2).error_code, ask(&w, 2).topics.len()), (16, 0));
}

#[test]
fn offsets_are_deleted_where_nobody_reads() {
    let mut w = World::new();
    assert_eq!(w.delete_offset("t"), (ResponseError::GroupIdNotFound.code(), None));
    assert_eq!(w.commit(9, commit("", -1, &[(0, 1)])), 0);
    // A member that subscribes to "t", as consumers write it.
    let metadata = b"\x00\x00\x00\x00\x00\x01\x00\x01t\xff\xff\xff\xff";
    let request = join_request("").with_protocols(vec![protocol("range", metadata)]);
    let token = w.ask(3, GroupRequest::Join(request));
    let subscribed = ResponseError::GroupSubscribedToTopic.code();
    assert_eq!(w.delete_offset("t"), (0, Some(subscribed)));
    assert_eq!(w.delete_offset("other"), (0, Some(0)));
    w.wait(3_000);
    let id = w.join_reply(token).member_id;
    w.leave(&id, None);
    w.apply();
    assert_eq!(w.delete_offset("t"), (0, Some(0)));
    assert_eq!(w.committed(0), -1);
    // A group of another kind has to be empty.
    let request = join_request("").with_protocol_type(text("connect"));
    w.ask(3, GroupRequest::Join(request));
    assert_eq!(w.delete_offset("t"), (ResponseError::NonEmptyGroup.code(), None));
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut w = World::new();
    assert_eq!(w.commit(9, commit("", -1, &[(0, 1), (1, 2)])), 0);
    let gone = BTreeSet::from(["other".to_owned()]);
    assert_eq!(w.coordinator.topics_deleted(w.now(), &gone), []);
    let effects = w.coordinator.topics_deleted(w.now(), &BTreeSet::from(["t".to_owned()]));
    w.carry_out(effects);
    w.apply();
    assert_eq!(w.committed(0), -1);
    assert_eq!(w.state(), "Dead", "nothing is left of it");
}
