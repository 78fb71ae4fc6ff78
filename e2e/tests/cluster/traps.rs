//! The special cases of Kafka's protocol where brokers have gone wrong, over a raw socket.

mod answers;
mod frames;
pub(crate) mod offsets;
mod produce;
pub(crate) mod reads;
mod versions;

use crate::scenario;

#[test]
fn traps_of_the_protocol() {
    scenario::run(
        "traps",
        &[
            ("an unknown version of ApiVersions gets a v0 answer", versions::unknown_api_versions),
            ("advertised ranges are Kafka's", versions::advertised_ranges),
            ("every version of Metadata", versions::every_metadata),
            ("every version of Produce and Fetch", versions::every_produce_and_fetch),
            ("every version of ListOffsets", versions::every_list_offsets),
            ("answers leave in the order of their requests", answers::in_order),
            ("acks=0 gets no answer", answers::none_for_acks_0),
            ("produce to a follower names the leader", answers::leader_hint),
            ("unknown topics are made if the client wants it", answers::auto_create),
            ("an unknown topic id has an error of its own", answers::unknown_topic_id),
            ("a fetch in the middle of a batch returns the batch", reads::middle_of_a_batch),
            ("a first batch beyond the limits is returned", reads::first_batch_beyond_limits),
            ("no preferred replica is -1", reads::no_preferred_replica),
            ("a long poll ends when a record comes", reads::long_poll),
            ("offsets out of range", reads::out_of_range),
            ("all special timestamps", offsets::special_timestamps),
            ("offsets by time", offsets::by_time),
            ("the metadata of a committed offset comes back", offsets::commit_metadata),
            ("the end of an epoch", offsets::end_of_epoch),
            ("a repeated batch is answered with its first offset", produce::duplicates),
            ("a skipped sequence number is refused", produce::out_of_order),
            ("a batch above max.message.bytes is refused", produce::too_large),
            ("damaged batches are refused and not appended", produce::damaged),
            ("frames that make no sense end the connection", frames::nonsense),
            ("counts that lie do not hurt", frames::lying_counts),
        ],
    );
}
