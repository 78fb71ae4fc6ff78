//! Whether an object is already what was rendered. The API server adds defaults and others add
//! fields of their own, so the question is whether everything rendered is in it, not whether they
//! are equal. Fields that were rendered once and are not any more are told by a hash (see
//! [`stamp`]), which is an annotation of the object.

use serde_json::Value;

use super::quantity;

/// The annotation with the hash of what was rendered.
pub const RENDERED: &str = "chronik.io/rendered";

/// Whether everything that `rendered` says is so in `live`.
#[must_use]
pub fn is_within(rendered: &Value, live: &Value) -> bool {
    compare(rendered, live, false)
}

fn compare(rendered: &Value, live: &Value, amounts: bool) -> bool {
    match (rendered, live) {
        (Value::Object(rendered), Value::Object(live)) => rendered.iter().all(|(key, value)| {
            let amounts = amounts || key == "requests" || key == "limits";
            live.get(key).map_or_else(|| is_empty(value), |live| compare(value, live, amounts))
        }),
        (Value::Array(rendered), Value::Array(live)) => rendered
            .iter()
            .all(|value| live.iter().any(|candidate| compare(value, candidate, amounts))),
        (Value::String(_) | Value::Number(_), Value::String(_) | Value::Number(_)) => {
            rendered == live || (amounts && amount(rendered) == amount(live))
        }
        (rendered, live) => rendered == live,
    }
}

fn amount(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => quantity::parse(text),
        value => quantity::parse(&value.to_string()),
    }
}

/// The API server does not keep what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A hash that is the same in every build of the operator (FNV-1a): it is kept in the cluster.
#[must_use]
pub fn hash(value: &Value) -> String {
    let bytes = value.to_string();
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Writes down in the object what was rendered.
pub fn stamp(object: &mut Value) {
    let hash = hash(object);
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations =
            meta.entry("annotations").or_insert_with(|| Value::Object(Default::default()));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(RENDERED.into(), Value::String(hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_and_fields_of_others_are_no_difference() {
        let rendered = json!({"spec": {"ports": [{"name": "a", "port": 1}], "selector": {}}});
        let live = json!({"spec": {"ports": [{"name": "b", "port": 2}, {"name": "a", "port": 1, "protocol": "TCP"}], "type": "ClusterIP"}});
        assert!(is_within(&rendered, &live));
    }

    #[test]
    fn a_changed_or_missing_field_is_one() {
        let rendered = json!({"spec": {"replicas": 1, "paused": false}});
        assert!(!is_within(&rendered, &json!({"spec": {"replicas": 2, "paused": false}})));
        assert!(!is_within(&rendered, &json!({"spec": {"replicas": 1}})));
        assert!(!is_within(&json!(["a"]), &json!(["b"])));
    }

    #[test]
    fn amounts_are_compared_by_value_where_amounts_stand() {
        let of = |text: &str| json!({"resources": {"requests": {"memory": text}}});
        assert!(is_within(&of("1024Mi"), &of("1Gi")));
        assert!(!is_within(&of("1024Mi"), &of("2Gi")));
        assert!(is_within(&json!({"limits": {"cpu": 1}}), &json!({"limits": {"cpu": "1"}})));
        assert!(!is_within(&json!({"name": "1024Mi"}), &json!({"name": "1Gi"})));
    }

    #[test]
    fn the_stamp_tells_renderings_apart_and_stays_the_same_over_time() {
        let mut one = json!({"metadata": {"name": "x"}});
        let mut other = json!({"metadata": {"name": "x", "labels": {"a": "b"}}});
        stamp(&mut one);
        stamp(&mut other);
        let of = |object: &Value| object["metadata"]["annotations"][RENDERED].clone();
        assert_ne!(of(&one), of(&other));
        assert_eq!(hash(&json!({"a": 1})), "9c3e82dd6fcae8b1");
    }
}
