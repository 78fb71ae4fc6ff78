//! What a client is allowed to do, as the bit sets that some answers carry. There is no
//! authorization, so everybody may do everything.

const READ: u32 = 3;
const WRITE: u32 = 4;
const CREATE: u32 = 5;
const DELETE: u32 = 6;
const ALTER: u32 = 7;
const DESCRIBE: u32 = 8;
const CLUSTER_ACTION: u32 = 9;
const DESCRIBE_CONFIGS: u32 = 10;
const ALTER_CONFIGS: u32 = 11;
const IDEMPOTENT_WRITE: u32 = 12;

const fn bits(operations: &[u32]) -> i32 {
    let mut bits = 0;
    let mut at = 0;
    while at < operations.len() {
        bits |= 1 << operations[at];
        at += 1;
    }
    bits
}

/// Nobody asked.
pub(super) const NOT_ASKED: i32 = i32::MIN;
/// On a topic.
pub(super) const TOPIC: i32 =
    bits(&[READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS]);
/// On the cluster.
pub(super) const CLUSTER: i32 = bits(&[
    CREATE,
    ALTER,
    DESCRIBE,
    CLUSTER_ACTION,
    DESCRIBE_CONFIGS,
    ALTER_CONFIGS,
    IDEMPOTENT_WRITE,
]);
/// On a group.
pub(super) const GROUP: i32 = bits(&[READ, DELETE, DESCRIBE]);

#[cfg(test)]
mod tests {
    #[test]
    fn bits_are_those_of_the_protocol() {
        assert_eq!((super::TOPIC, super::CLUSTER, super::GROUP), (3576, 8096, 328));
    }
}
