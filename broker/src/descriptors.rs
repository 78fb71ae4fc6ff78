//! File descriptors: the process takes as many as the system lets it have, and shares them out
//! between its files and its clients, so that a crowd of clients never keeps it from its own log.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sockets of peers and the operator, directories while they are synced, standard output.
const RESERVED: usize = 128;
/// More open files than this make nothing faster.
const FILES_MAX: usize = 8192;
/// What "no limit" is taken for.
const UNLIMITED: usize = 1 << 20;

/// Who may have how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Files of the log.
    pub files: usize,
    /// Connections of clients.
    pub connections: usize,
}

/// Raises the process's limit as far as it may, and shares out what that gives.
#[must_use]
pub fn take() -> Shares {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
    let limit = if raised.is_ok() { maximum } else { current };
    share(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(UNLIMITED))
}

fn share(limit: usize) -> Shares {
    let files = (limit / 2).min(FILES_MAX);
    Shares { files, connections: limit.saturating_sub(files + RESERVED).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_never_get_all_descriptors() {
        for (limit, files, connections) in [
            (100, 50, 1),
            (1_024, 512, 384),
            (20_000, 8_192, 11_680),
            (UNLIMITED, 8_192, UNLIMITED - 8_320),
        ] {
            assert_eq!(share(limit), Shares { files, connections }, "of {limit}");
        }
    }
}
