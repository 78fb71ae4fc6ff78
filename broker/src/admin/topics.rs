//! Orders about topics from the proto's types, and topics to them.

use std::collections::BTreeMap;

use chronik_core::admin::topic::{TopicDescription, TopicOrder};
use chronik_core::ids::Uuid;
use tonic::Status;

use crate::proto::admin as proto;

/// A topic's id, or its owner's, from the wire.
pub(super) fn id(id: &str) -> Result<Uuid, Status> {
    Uuid::try_parse(id).map_err(|e| Status::invalid_argument(format!("id {id:?} is no uuid: {e}")))
}

pub(super) fn create(request: proto::CreateTopicRequest) -> Result<TopicOrder, Status> {
    let proto::CreateTopicRequest { name, owner, partitions, replicas, configs } = request;
    let (owner, configs) = (id(&owner)?, configs.into_iter().collect());
    Ok(TopicOrder::Create { name, owner, partitions, replicas, configs })
}

pub(super) fn alter(request: proto::AlterTopicRequest) -> Result<TopicOrder, Status> {
    let proto::AlterTopicRequest { name, id: topic, partitions, set, unset } = request;
    if let Some(both) = unset.iter().find(|name| set.contains_key(*name)) {
        return Err(Status::invalid_argument(format!("config {both} is set and unset at once")));
    }
    let set = set.into_iter().map(|(name, value)| (name, Some(value)));
    let configs: BTreeMap<String, Option<String>> =
        set.chain(unset.into_iter().map(|name| (name, None))).collect();
    Ok(TopicOrder::Alter { name, id: id(&topic)?, partitions, configs })
}

pub(super) fn described(topic: TopicDescription) -> proto::Topic {
    let TopicDescription { name, id, partitions, replicas, configs, internal } = topic;
    let configs = configs.into_iter().collect();
    proto::Topic { name, id: id.to_string(), partitions, replicas, configs, internal }
}
