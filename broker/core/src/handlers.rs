//! Kafka's APIs, one file each: what a request means and what it is answered. How requests are read
//! and answers written is `wire`'s; Produce and Fetch are `partition`'s; what groups do is
//! `coordinator`'s; what the cluster's metadata allows is `meta`'s.
//!
//! An answer may come later: from the closure that waits for a change of the metadata, or from the
//! coordinator. Requests with several parts gather them ([`gather`]) and are answered once.

mod alter_configs;
mod altering;
mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
mod find_coordinator;
mod gather;
pub(crate) mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod operations;
mod placing;
mod refusal;
mod sync_group;
mod topic_orders;
mod view;

use std::sync::Arc;

use kafka_protocol::messages as m;
use kafka_protocol::protocol::StrBytes;

pub(crate) use groups::Groups;
pub(crate) use init_producer_id::ProducerIds;
pub(crate) use topic_orders::order as order_topic;

use crate::core::Core;
use crate::core::input::Token;
use crate::ids::BrokerId;
use crate::log::disk::Disk;
use crate::meta::Listener;
use crate::wire::{Request, RequestBody, RequestHeader, ResponseBody, ResponseHeader};

/// A request without its body: what it takes to answer it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    token: Token,
    header: RequestHeader,
    host: Arc<str>,
    listener: Listener,
}

impl Call {
    fn version(&self) -> i16 {
        self.header.version
    }

    /// Sends the answer.
    fn answer<D: Disk>(&self, core: &mut Core<D>, body: impl Into<ResponseBody>) {
        core.reply(self.token, Some(self.header.respond(body)));
    }
}

/// Serves a request: at once, or when what it waits for has happened.
pub(crate) fn handle<D: Disk>(
    core: &mut Core<D>,
    token: Token,
    host: &Arc<str>,
    listener: Listener,
    request: Request,
) {
    let Request { header, body } = request;
    core.counters.count_request(header.api.name());
    let answer_header = ResponseHeader {
        api: header.api,
        version: header.version,
        correlation_id: header.correlation_id,
    };
    let call = &Call { token, header, host: Arc::clone(host), listener };
    match body {
        RequestBody::Produce(r) => {
            crate::partition::produce::produce(core, token, listener, answer_header, r);
        }
        RequestBody::Fetch(r) => {
            crate::partition::fetch::fetch(core, token, listener, answer_header, r);
        }
        RequestBody::ListOffsets(r) => list_offsets::handle(core, call, &r),
        RequestBody::Metadata(r) => metadata::handle(core, call, r),
        RequestBody::OffsetCommit(r) => offset_commit::handle(core, call, r),
        RequestBody::OffsetFetch(r) => offset_fetch::handle(core, call, &r),
        RequestBody::FindCoordinator(r) => find_coordinator::handle(core, call, &r),
        RequestBody::JoinGroup(r) => join_group::handle(core, call, r),
        RequestBody::Heartbeat(r) => heartbeat::handle(core, call, r),
        RequestBody::LeaveGroup(r) => leave_group::handle(core, call, r),
        RequestBody::SyncGroup(r) => sync_group::handle(core, call, r),
        RequestBody::DescribeGroups(r) => describe_groups::handle(core, call, &r),
        RequestBody::ListGroups(r) => list_groups::handle(core, call, &r),
        RequestBody::ApiVersions(_) => api_versions::handle(core, call),
        RequestBody::CreateTopics(r) => create_topics::handle(core, call, &r),
        RequestBody::DeleteTopics(r) => delete_topics::handle(core, call, &r),
        RequestBody::DeleteRecords(r) => delete_records::handle(core, call, &r),
        RequestBody::InitProducerId(r) => init_producer_id::handle(core, call, &r),
        RequestBody::OffsetForLeaderEpoch(r) => offset_for_leader_epoch::handle(core, call, &r),
        RequestBody::DescribeConfigs(r) => describe_configs::handle(core, call, &r),
        RequestBody::AlterConfigs(r) => alter_configs::handle(core, call, &r),
        RequestBody::DescribeLogDirs(r) => describe_log_dirs::handle(core, call, &r),
        RequestBody::CreatePartitions(r) => create_partitions::handle(core, call, &r),
        RequestBody::DeleteGroups(r) => delete_groups::handle(core, call, &r),
        RequestBody::ElectLeaders(r) => elect_leaders::handle(core, call, &r),
        RequestBody::IncrementalAlterConfigs(r) => {
            incremental_alter_configs::handle(core, call, &r);
        }
        RequestBody::OffsetDelete(r) => offset_delete::handle(core, call, r),
        RequestBody::DescribeQuorum(r) => describe_quorum::handle(core, call, &r),
        RequestBody::DescribeCluster(r) => describe_cluster::handle(core, call, &r),
        RequestBody::DescribeTopicPartitions(r) => {
            describe_topic_partitions::handle(core, call, &r);
        }
    }
}

/// Text of our own for an answer.
fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// A broker's id on the wire. Ids have 20 bits, so all of them fit.
fn wire_id(broker: BrokerId) -> m::BrokerId {
    m::BrokerId(i32::try_from(broker.0).unwrap_or(i32::MAX))
}

/// A broker's id from the wire; none for a negative one.
fn broker_id(wire: m::BrokerId) -> Option<BrokerId> {
    u32::try_from(wire.0).ok().map(BrokerId)
}
