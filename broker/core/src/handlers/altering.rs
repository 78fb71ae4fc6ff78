//! What both ways of altering configs share: each resource of a request is a command of its own, made
//! by the API from what the resource asks for, and carried out or only tried.

use std::collections::BTreeSet;

use kafka_protocol::protocol::StrBytes;

use super::gather::Gather;
use super::placing::try_out;
use super::refusal::Failure;
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::BrokerId;
use crate::log::disk::Disk;
use crate::meta::{Command, ConfigResource, State};

pub(super) const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// One resource of a request.
pub(super) struct Wish {
    pub(super) kind: i8,
    pub(super) name: StrBytes,
    /// The command that it comes to.
    pub(super) planned: Result<Command, Failure>,
}

/// What became of it: Kafka's error, 0 for none.
pub(super) struct Altered {
    pub(super) kind: i8,
    pub(super) name: StrBytes,
    pub(super) error: i16,
    pub(super) message: Option<StrBytes>,
}

/// Carries all wishes of a request out, or only tries them; `then` is called when all are decided.
pub(super) fn alter_all<D: Disk>(
    core: &mut Core<D>,
    wishes: Vec<Wish>,
    validate_only: bool,
    then: impl FnOnce(&mut Core<D>, Vec<Altered>) + 'static,
) {
    let twice = named_twice(wishes.iter().map(|wish| (wish.kind, wish.name.to_string())));
    let gather = Gather::new(core, wishes.len(), then);
    for (position, Wish { kind, name, planned }) in wishes.into_iter().enumerate() {
        let planned = if twice.contains(&(kind, name.to_string())) {
            Err(Failure::new(KafkaError::InvalidRequest, "the request names the resource twice"))
        } else {
            planned
        };
        let gather = gather.clone();
        alter(core, planned, validate_only, move |core, done| {
            let (error, message) = match done {
                Ok(()) => (0, None),
                Err(failure) => (failure.code(), failure.text()),
            };
            gather.put(core, position, Altered { kind, name, error, message });
        });
    }
}

/// The resource of this type and name.
pub(super) fn resource(state: &State, kind: i8, name: &str) -> Result<ConfigResource, Failure> {
    match kind {
        TOPIC if state.topic_by_name(name).is_some() => Ok(ConfigResource::Topic(name.to_owned())),
        TOPIC => {
            let message = format!("there is no topic {name:?}");
            Err(Failure::new(KafkaError::UnknownTopicOrPartition, message))
        }
        BROKER if name.is_empty() => Ok(ConfigResource::Broker(None)),
        BROKER => {
            let id = name.parse().ok().map(BrokerId).filter(|id| state.broker(*id).is_some());
            let message = format!("there is no broker {name:?}");
            let unknown = Failure::new(KafkaError::InvalidRequest, message);
            id.map(|id| ConfigResource::Broker(Some(id))).ok_or(unknown)
        }
        other => {
            let message = format!("resources of type {other} have no configs here");
            Err(Failure::new(KafkaError::InvalidRequest, message))
        }
    }
}

/// Carries a planned change out, or only tries it.
fn alter<D: Disk>(
    core: &mut Core<D>,
    planned: Result<Command, Failure>,
    validate_only: bool,
    then: impl FnOnce(&mut Core<D>, Result<(), Failure>) + 'static,
) {
    match planned {
        Err(failure) => then(core, Err(failure)),
        Ok(command) if validate_only => {
            let tried = try_out(&core.meta, &command).map(|_| ());
            then(core, tried);
        }
        Ok(command) => core.propose_meta(&command, move |core, outcome| {
            then(core, outcome.map(|_| ()).map_err(|error| Failure::from(&error)));
        }),
    }
}

/// Resources that come more than once.
fn named_twice(named: impl Iterator<Item = (i8, String)>) -> BTreeSet<(i8, String)> {
    let mut seen = BTreeSet::new();
    named.filter(|one| !seen.insert(one.clone())).collect::<Vec<_>>().into_iter().collect()
}

pub(super) fn no_value(name: &str) -> Failure {
    Failure::new(KafkaError::InvalidRequest, format!("config {name} has no value"))
}

pub(super) fn given_twice(name: &str) -> Failure {
    Failure::new(KafkaError::InvalidRequest, format!("config {name} is given twice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_is_found() {
        let named = [(2, "a"), (2, "b"), (4, "a"), (2, "a")];
        let twice = named_twice(named.into_iter().map(|(kind, name)| (kind, name.to_owned())));
        assert_eq!(twice, BTreeSet::from([(2, "a".to_owned())]));
    }
}
