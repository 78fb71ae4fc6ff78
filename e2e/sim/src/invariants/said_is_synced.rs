//! A replica says that it has an entry only after that entry was synced there.

use chronik_core::ids::{PartitionId, PeerId};
use raft::eraftpb::Message;

use super::Violation;
use super::synced_on_quorum::Synced;

pub(super) fn check(
    synced: &Synced,
    group: PartitionId,
    message: &Message,
) -> Result<(), Violation> {
    let key = (group, PeerId(message.from));
    if message.reject || synced.has(&key, message.index) {
        return Ok(());
    }
    let what = format!(
        "{} said in {group} that it has entry {}, synced are {}",
        PeerId(message.from),
        message.index,
        synced.words(&key)
    );
    Violation::new("said is synced", what)
}
