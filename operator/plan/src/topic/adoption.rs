//! Whether an existing topic is a `ChronikTopic`'s to look after, and with which words it is not.

use super::{TopicSeen, TopicWanted, is_made_for};
use crate::outcome::Refusal;

/// Why this topic is left alone, if it is.
pub(super) fn refusal(wanted: &TopicWanted, seen: &TopicSeen) -> Option<Refusal> {
    if seen.is_internal {
        let reason = "the topic is the cluster's own".to_owned();
        return Some(super::refusal("spec.topicName", &wanted.name, reason));
    }
    if wanted.adopt || is_made_for(&seen.id, &wanted.owner) {
        return None;
    }
    let differences = differences(wanted, seen);
    let differs = if differences.is_empty() {
        "it is as this one asks for".to_owned()
    } else {
        format!("it differs: {}", differences.join(", "))
    };
    let reason = format!(
        "the topic exists and was not made by this ChronikTopic; set spec.adopt to take it over; {differs}"
    );
    Some(super::refusal("spec.topicName", &wanted.name, reason))
}

/// What is otherwise than it is asked for.
fn differences(wanted: &TopicWanted, seen: &TopicSeen) -> Vec<String> {
    let mut found = Vec::new();
    let counts = [
        ("partitions", seen.partitions, wanted.partitions),
        ("replicas", seen.replicas, wanted.replicas),
    ];
    for (what, is, asked) in counts {
        if let Some(asked) = asked.filter(|asked| *asked != is) {
            found.push(format!("{is} {what}, not {asked}"));
        }
    }
    for (name, asked) in &wanted.configs {
        match seen.configs.get(name) {
            Some(is) if is.trim() == asked.trim() => {}
            Some(is) => found.push(format!("{name} {is}, not {asked}")),
            None => found.push(format!("{name} not set, not {asked}")),
        }
    }
    found
}
