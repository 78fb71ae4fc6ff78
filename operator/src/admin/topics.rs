//! What is asked of and ordered from brokers about one topic. What there is, only the leader of
//! `__meta` knows; it is looked for among the brokers, by the hint that each of the others gives.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::BrokerId;
use chronik_plan::topic::{TopicSeen, TopicStep, TopicWanted};
use tonic::Code;
use tonic::transport::Channel;

use super::grpc::RPC_DEADLINE;
use super::proto::admin_client::AdminClient;
use super::proto::{self, DescribeTopicRequest};

/// The key of the answer's metadata that names the leader.
const LEADER_METADATA: &str = "chronik-leader";

/// The brokers of a cluster.
pub type Clients = BTreeMap<BrokerId, AdminClient<Channel>>;

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It would not be carried out the next time either; in the broker's words.
    #[error("{0}")]
    Refused(String),
    /// It was not decided, or the view that it came from is out of date.
    #[error("{0}")]
    Later(String),
}

/// The topic of this name, and a client of the broker that knew. The error says why nobody does.
pub async fn describe(
    brokers: &Clients,
    name: &str,
) -> Result<(Option<TopicSeen>, AdminClient<Channel>), String> {
    let mut asked = BTreeSet::new();
    let mut hint = None;
    let mut why = "no broker has an address yet".to_owned();
    loop {
        let next = hint.take().or_else(|| brokers.keys().find(|id| !asked.contains(*id)).copied());
        let Some((id, client)) = next.and_then(|id| brokers.get_key_value(&id)) else {
            return Err(why);
        };
        asked.insert(*id);
        let mut client = client.clone();
        let call = client.describe_topic(DescribeTopicRequest { name: name.to_owned() });
        let status = match tokio::time::timeout(RPC_DEADLINE, call).await {
            Ok(Ok(topic)) => return Ok((Some(seen(topic.into_inner())), client)),
            Ok(Err(status)) if status.code() == Code::NotFound => return Ok((None, client)),
            Ok(Err(status)) => status,
            Err(_) => tonic::Status::deadline_exceeded("no answer within 5 s"),
        };
        let leader = status.metadata().get(LEADER_METADATA).and_then(|id| id.to_str().ok());
        hint = leader
            .and_then(|id| id.parse().ok())
            .filter(|id| !asked.contains(id) && brokers.contains_key(id));
        why = format!("broker {id}: {}", words(&status));
    }
}

/// Carries out a step that is a call to a broker. What it says of the topic afterwards is answered;
/// nothing, if there is none any more.
pub async fn perform(
    mut client: AdminClient<Channel>,
    wanted: &TopicWanted,
    step: &TopicStep,
) -> Result<Option<TopicSeen>, TopicError> {
    let name = wanted.name.clone();
    let answer = match step {
        TopicStep::Create { partitions, replicas, configs } => {
            let request = proto::CreateTopicRequest {
                name,
                owner: wanted.owner.clone(),
                partitions: *partitions,
                replicas: *replicas,
                configs: configs.clone().into_iter().collect(),
            };
            client.create_topic(request).await.map(|topic| Some(topic.into_inner()))
        }
        TopicStep::Grow { id, from: _, to } => {
            let request = proto::AlterTopicRequest {
                name,
                id: id.clone(),
                partitions: Some(*to),
                ..proto::AlterTopicRequest::default()
            };
            client.alter_topic(request).await.map(|topic| Some(topic.into_inner()))
        }
        TopicStep::Configure { id, changes } => {
            client.alter_topic(configured(name, id, changes)).await.map(|t| Some(t.into_inner()))
        }
        TopicStep::Delete { id } => {
            let request = proto::DeleteTopicRequest { name, id: id.clone() };
            client.delete_topic(request).await.map(|_| None)
        }
        TopicStep::Hold | TopicStep::Release | TopicStep::Claim(_) => {
            return Err(TopicError::Later(format!("{step} is not a call to a broker")));
        }
    };
    answer.map(|topic| topic.map(seen)).map_err(|status| error(&status))
}

fn configured(
    name: String,
    id: &str,
    changes: &BTreeMap<String, Option<String>>,
) -> proto::AlterTopicRequest {
    let mut request =
        proto::AlterTopicRequest { name, id: id.to_owned(), ..proto::AlterTopicRequest::default() };
    for (name, value) in changes {
        match value {
            Some(value) => drop(request.set.insert(name.clone(), value.clone())),
            None => request.unset.push(name.clone()),
        }
    }
    request
}

fn seen(topic: proto::Topic) -> TopicSeen {
    let proto::Topic { name: _, id, partitions, replicas, configs, internal } = topic;
    let configs = configs.into_iter().collect();
    TopicSeen { id, partitions, replicas, configs, is_internal: internal }
}

fn error(status: &tonic::Status) -> TopicError {
    match status.code() {
        Code::FailedPrecondition | Code::InvalidArgument => TopicError::Refused(words(status)),
        _ => TopicError::Later(words(status)),
    }
}

/// A call that never reached a broker says more by its code than by its message, which may change
/// from try to try.
fn words(status: &tonic::Status) -> String {
    match status.code() {
        Code::Unavailable if status.metadata().get(LEADER_METADATA).is_none() => {
            "no broker is known to lead the cluster now".to_owned()
        }
        Code::Unknown | Code::Internal | Code::Cancelled => "the call failed".to_owned(),
        Code::Unimplemented => "this version of the broker knows no such call".to_owned(),
        _ => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_what_may_work_later() {
        let refused = error(&tonic::Status::invalid_argument("flush.ms cannot be \"soon\""));
        assert_eq!(refused, TopicError::Refused("flush.ms cannot be \"soon\"".into()));
        for later in [Code::Aborted, Code::NotFound, Code::DeadlineExceeded, Code::Unimplemented] {
            let later = error(&tonic::Status::new(later, "x"));
            assert!(matches!(later, TopicError::Later(_)), "{later:?}");
        }
    }

    #[test]
    fn changes_become_what_is_set_and_what_is_unset() {
        let changes =
            BTreeMap::from([("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), None)]);
        let request = configured("t".into(), "id", &changes);
        assert_eq!((request.partitions, request.unset), (None, vec!["b".to_owned()]));
        assert_eq!(request.set.into_iter().collect::<Vec<_>>(), [("a".into(), "1".into())]);
    }
}
