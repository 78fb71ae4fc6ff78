//! In one generation of a consumer group there is one leader, and each partition has one owner; and
//! once anybody has his part in a generation, nobody commits in an older one any more.

use std::collections::BTreeMap;

use super::Violation;

const NAME: &str = "one owner per partition and generation";

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct GroupOwners(BTreeMap<(String, i32), Generation>);

/// One generation of one group.
#[derive(Debug, Default)]
struct Generation {
    leader: Option<String>,
    owners: BTreeMap<i32, String>,
    parts: BTreeMap<String, Vec<i32>>,
    /// When somebody was first told his part.
    told: Option<u64>,
}

impl GroupOwners {
    /// A member was told that it is in `generation`, and who leads it.
    pub(crate) fn joined(
        &mut self,
        group: &str,
        generation: i32,
        leader: &str,
    ) -> Result<(), Violation> {
        let known = self.0.entry((group.to_owned(), generation)).or_default();
        match &known.leader {
            Some(known) if known != leader => Violation::new(
                NAME,
                format!("generation {generation} of {group} is led by {known} and by {leader}"),
            ),
            Some(_) => Ok(()),
            None => {
                known.leader = Some(leader.to_owned());
                Ok(())
            }
        }
    }

    /// A member was told its part.
    pub(crate) fn assigned(
        &mut self,
        group: &str,
        generation: i32,
        member: &str,
        partitions: &[i32],
        now: u64,
    ) -> Result<(), Violation> {
        let known = self.0.entry((group.to_owned(), generation)).or_default();
        known.told.get_or_insert(now);
        if let Some(part) = known.parts.insert(member.to_owned(), partitions.to_vec())
            && part != partitions
        {
            let what = format!(
                "{member} has {part:?} and {partitions:?} in generation {generation} of {group}"
            );
            return Violation::new(NAME, what);
        }
        for partition in partitions {
            let owner = known.owners.entry(*partition).or_insert_with(|| member.to_owned());
            if owner != member {
                let what = format!(
                    "{partition} belongs to {owner} and to {member} in generation {generation} of \
                     {group}"
                );
                return Violation::new(NAME, what);
            }
        }
        Ok(())
    }

    /// A commit that was sent at `sent` by a member of `generation` was acknowledged.
    pub(crate) fn committed(
        &self,
        group: &str,
        generation: i32,
        sent: u64,
    ) -> Result<(), Violation> {
        let after = (group.to_owned(), generation + 1)..=(group.to_owned(), i32::MAX);
        let newer = self.0.range(after).find(|(_, newer)| newer.told.is_some_and(|at| at < sent));
        let Some(((_, newer), _)) = newer else { return Ok(()) };
        let what = format!(
            "{group}: a commit of generation {generation}, sent at {sent}, was acknowledged after a \
             member had its part in generation {newer}"
        );
        Violation::new("commits of an old generation are refused", what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_has_one_owner_in_a_generation() {
        let mut groups = GroupOwners::default();
        assert!(groups.joined("g", 1, "a").is_ok());
        assert!(groups.joined("g", 1, "b").is_err(), "two leaders");
        assert!(groups.assigned("g", 1, "a", &[0, 1], 10).is_ok());
        assert!(groups.assigned("g", 1, "a", &[0, 1], 20).is_ok(), "told again");
        assert!(groups.assigned("g", 1, "b", &[1], 10).is_err());
        assert!(groups.assigned("g", 2, "b", &[1], 30).is_ok(), "another generation");
        assert!(groups.assigned("g", 2, "b", &[], 30).is_err(), "another part");
    }

    #[test]
    fn an_old_generation_commits_no_more() {
        let mut groups = GroupOwners::default();
        groups.assigned("g", 2, "b", &[1], 30).unwrap();
        assert!(groups.committed("g", 1, 20).is_ok(), "it was sent before");
        assert!(groups.committed("g", 1, 40).is_err());
        assert!(groups.committed("g", 2, 40).is_ok());
        assert!(groups.committed("f", 1, 40).is_ok(), "another group");
    }
}
