//! Which process may speak for a broker when two claim its id: one was restored from a copy of its
//! volume, or started twice. Pure; whoever comes alone is the core's to judge.

use chronik_core::core::input::Hello;
use chronik_core::ids::{BrokerId, Uuid};

/// A process that must not take the place of the one that is connected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another directory than that of the broker that is connected.
    #[error(
        "broker {broker} is connected from {peer_address} with directory {directory}; \
         stop one of the two, or give one another --broker-id"
    )]
    OtherDirectory {
        /// The id that both claim.
        broker: BrokerId,
        /// Where the connected one is.
        peer_address: String,
        /// Its directory.
        directory: Uuid,
    },
    /// The same directory, as it was at an earlier start.
    #[error(
        "broker {broker} is connected from {peer_address} and has started its directory {boot} times, \
         so this is an older copy of it; stop this broker and empty its data directory"
    )]
    OlderCopy {
        /// The id that both claim.
        broker: BrokerId,
        /// Where the connected one is.
        peer_address: String,
        /// How often the connected one's directory was started.
        boot: u64,
    },
    /// The same directory, and yet a process at another place.
    #[error(
        "broker {broker} is connected from {peer_address} with the same directory, \
         of which this is a copy; stop one of the two and empty its data directory"
    )]
    Copy {
        /// The id that both claim.
        broker: BrokerId,
        /// Where the connected one is.
        peer_address: String,
    },
}

/// Whether `newcomer` may take the place of the process that is connected under its id. `known` is
/// the directory that the cluster has registered for that id.
pub(super) fn admit(
    known: Option<Uuid>,
    connected: Option<&Hello>,
    newcomer: &Hello,
) -> Result<(), Refusal> {
    let Some(Hello { broker, directory, boot, peer_address, .. }) = connected else {
        return Ok(());
    };
    let (broker, peer_address) = (*broker, peer_address.clone());
    if newcomer.directory != *directory {
        return if known == Some(newcomer.directory) {
            Ok(())
        } else {
            Err(Refusal::OtherDirectory { broker, peer_address, directory: *directory })
        };
    }
    if newcomer.boot < *boot {
        Err(Refusal::OlderCopy { broker, peer_address, boot: *boot })
    } else if newcomer.peer_address != peer_address {
        // A broker that was started anew at another place waits for a moment: the stream of the
        // process that was before it ends with that, or with its first unanswered ping.
        Err(Refusal::Copy { broker, peer_address })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);
    const THIRD: Uuid = Uuid::from_u128(3);

    fn hello(directory: Uuid, boot: u64, peer_address: &str) -> Hello {
        Hello {
            broker: BrokerId(1),
            directory,
            boot,
            cluster_id: None,
            peer_address: peer_address.to_owned(),
            stream: 1,
        }
    }

    /// Whether the newcomer is admitted where a directory is connected with boot 5 from "a:1".
    fn check(known: Option<Uuid>, connected: Uuid, newcomer: (Uuid, u64, &str), admitted: bool) {
        let connected = hello(connected, 5, "a:1");
        let newcomer = hello(newcomer.0, newcomer.1, newcomer.2);
        let found = admit(known, Some(&connected), &newcomer);
        assert_eq!(found.is_ok(), admitted, "{newcomer:?} while {connected:?}: {found:?}");
    }

    #[test]
    fn who_comes_alone_is_admitted() {
        assert_eq!(admit(Some(OURS), None, &hello(OTHER, 1, "b:1")), Ok(()));
    }

    #[test]
    fn a_process_takes_its_own_place_and_that_of_its_earlier_start() {
        for known in [None, Some(OURS)] {
            check(known, OURS, (OURS, 5, "a:1"), true);
            check(known, OURS, (OURS, 6, "a:1"), true);
        }
    }

    #[test]
    fn copies_do_not_replace_the_one_that_is_connected() {
        for known in [None, Some(OURS)] {
            check(known, OURS, (OURS, 4, "a:1"), false);
            check(known, OURS, (OURS, 4, "b:1"), false);
            check(known, OURS, (OURS, 5, "b:1"), false);
            check(known, OURS, (OURS, 6, "b:1"), false);
        }
    }

    #[test]
    fn of_two_directories_the_one_that_the_cluster_knows_is_admitted() {
        check(Some(OURS), OURS, (OTHER, 9, "b:1"), false);
        check(Some(OURS), OTHER, (OURS, 1, "b:1"), true);
        check(None, OURS, (OTHER, 9, "b:1"), false);
        check(Some(THIRD), OURS, (OTHER, 9, "b:1"), false);
    }
}
