//! Fresh seeds of each commit: the same at every run of it, others at the next one.

use std::process::Command;

/// Seeds that a commit has to itself.
const SEEDS: u64 = 100_000;

/// The first fresh seed, and a word on where it comes from.
pub(crate) fn first_seed() -> (u64, String) {
    let head = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let head = head.ok().filter(|output| output.status.success());
    let head = head.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match head.as_deref().and_then(of) {
        Some(first) => (first, format!("of commit {}", head.unwrap_or_default())),
        None => (1, "as there is no commit to ask".to_owned()),
    }
}

/// Of the first digits of a commit's name.
fn of(commit: &str) -> Option<u64> {
    u64::from_str_radix(commit.get(..8)?, 16).ok().map(|number| (number + 1) * SEEDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_have_seeds_of_their_own() {
        assert_eq!(of("00000000ff"), Some(100_000));
        assert_eq!(of("0000000112"), Some(200_000));
        assert_eq!(of("ffffffff00"), Some(429_496_729_600_000));
        assert_eq!(of("abc"), None);
    }
}
