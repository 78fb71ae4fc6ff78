//! What a leader keeps for all its groups, and what the events of the protocol are given to work
//! with: read access to the replicated groups, the live side of one group, proposals and replies.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::group::Group;
use super::members::{Live, Waiter};
use super::record::{Change, Record};
use super::reply::{failed, join_error, sync_error};
use super::{Effect, GroupConfig, GroupResponse};
use crate::core::input::{ConnId, Token};
use crate::ids::{Micros, Now, Term, Uuid};

#[derive(Debug)]
pub(super) struct Leader {
    pub(super) term: Term,
    seed: u64,
    proposals: u64,
    ids: u64,
    pub(super) live: BTreeMap<String, Live>,
    /// Answers that wait for a record, by its number.
    pending: BTreeMap<u64, (Token, GroupResponse)>,
    /// The groups in which joins and syncs wait.
    waiting: BTreeMap<Token, String>,
    deadlines: BTreeSet<(Micros, String)>,
    /// When old offsets are looked for next.
    pub(super) expire_at: Micros,
}

impl Leader {
    pub(super) fn new(
        config: &GroupConfig,
        groups: &BTreeMap<String, Group>,
        seed: u64,
        term: Term,
        now: Now,
    ) -> Leader {
        let mut leader = Leader {
            term,
            seed,
            proposals: 0,
            ids: 0,
            live: BTreeMap::new(),
            pending: BTreeMap::new(),
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            expire_at: now
                .mono
                .after(Micros::from_millis(u64::from(config.offset_retention_check_ms))),
        };
        for (id, group) in groups {
            if let Some(live) = Live::restored(id, group, now.mono) {
                leader.put(live);
            }
        }
        leader
    }

    /// Answers all who wait with `error`.
    pub(super) fn give_up(self, error: ResponseError) -> Vec<Effect> {
        let mut out = Vec::new();
        for (token, response) in self.pending.into_values() {
            out.push(Effect::Reply { token, response: failed(response, error) });
        }
        for live in self.live.into_values() {
            for (id, member) in live.members {
                if let Some(Waiter { token, version }) = member.join {
                    let response = join_error(version, &id, error);
                    out.push(Effect::Reply { token, response });
                }
                if let Some(Waiter { token, .. }) = member.sync {
                    out.push(Effect::Reply { token, response: sync_error(error) });
                }
            }
        }
        out
    }

    pub(super) fn next_deadline(&self) -> Micros {
        self.deadlines.first().map_or(self.expire_at, |(at, _)| self.expire_at.min(*at))
    }

    /// The group whose deadline has passed first.
    pub(super) fn due(&self, now: Micros) -> Option<String> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, id)| id.clone())
    }

    fn take(&mut self, id: &str) -> Option<Live> {
        let mut live = self.live.remove(id)?;
        if let Some(at) = live.deadline.take() {
            self.deadlines.remove(&(at, live.id.clone()));
        }
        Some(live)
    }

    fn put(&mut self, mut live: Live) {
        if live.is_nothing() {
            return;
        }
        live.deadline = live.next_deadline();
        if let Some(at) = live.deadline {
            self.deadlines.insert((at, live.id.clone()));
        }
        self.live.insert(live.id.clone(), live);
    }
}

/// One event's view of the leader.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) config: &'a GroupConfig,
    pub(super) groups: &'a BTreeMap<String, Group>,
    pub(super) leader: &'a mut Leader,
    pub(super) now: Now,
    pub(super) out: Vec<Effect>,
}

impl Context<'_> {
    /// The group's current generation, 0 for none.
    pub(super) fn generation(&self, id: &str) -> i32 {
        self.groups.get(id).map_or(0, |g| g.generation)
    }

    /// The live side of a group, to be put back when the event is over.
    pub(super) fn take(&mut self, id: &str) -> Option<Live> {
        self.leader.take(id)
    }

    /// Puts it back with its deadline set anew, or drops it if nothing is left of it.
    pub(super) fn put(&mut self, live: Live) {
        self.leader.put(live);
    }

    pub(super) fn propose(&mut self, group: &str, change: Change) -> u64 {
        self.leader.proposals += 1;
        let seq = self.leader.proposals;
        let record = Record { term: self.leader.term, seq, group: group.to_owned(), change };
        self.out.push(Effect::Propose(record.encode()));
        seq
    }

    /// Proposes, and answers `response` when it is applied.
    pub(super) fn propose_for(
        &mut self,
        token: Token,
        group: &str,
        change: Change,
        response: GroupResponse,
    ) {
        let seq = self.propose(group, change);
        self.leader.pending.insert(seq, (token, response));
    }

    pub(super) fn reply(&mut self, token: Token, response: GroupResponse) {
        self.leader.waiting.remove(&token);
        self.out.push(Effect::Reply { token, response });
    }

    /// Record `seq` is applied: answers who waits for it.
    pub(super) fn answer(&mut self, seq: u64, stale: bool) {
        if stale {
            return self.refuse(seq, ResponseError::IllegalGeneration);
        }
        if let Some((token, response)) = self.leader.pending.remove(&seq) {
            self.reply(token, response);
        }
    }

    /// Record `seq` did nothing, or never will.
    pub(super) fn refuse(&mut self, seq: u64, error: ResponseError) {
        if let Some((token, response)) = self.leader.pending.remove(&seq) {
            // A group that got members in the meantime is why a deletion does nothing.
            let error = match (&response, error) {
                (GroupResponse::Delete(_), ResponseError::IllegalGeneration) => {
                    ResponseError::NonEmptyGroup
                }
                _ => error,
            };
            self.reply(token, failed(response, error));
        }
    }

    /// Remembers that `token` waits in `group`.
    pub(super) fn park(&mut self, token: Token, group: &str) {
        self.leader.waiting.insert(token, group.to_owned());
    }

    /// Forgets all who wait on `conn`.
    pub(super) fn disconnected(&mut self, conn: ConnId) {
        let range = Token { conn, seq: 0 }..=Token { conn, seq: u64::MAX };
        let gone: Vec<(Token, String)> =
            self.leader.waiting.range(range).map(|(t, g)| (*t, g.clone())).collect();
        for (token, id) in gone {
            self.leader.waiting.remove(&token);
            let Some(mut live) = self.take(&id) else { continue };
            for member in live.members.values_mut() {
                let waits = |w: &Option<Waiter>| w.is_some_and(|w| w.token == token);
                if waits(&member.join) {
                    member.join = None;
                    member.heard(self.now.mono);
                }
                if waits(&member.sync) {
                    member.sync = None;
                    member.synced = false;
                    member.heard(self.now.mono);
                }
            }
            self.put(live);
        }
        self.leader.pending.retain(|_, (token, _)| token.conn != conn);
    }

    /// An id that no member of any group had before.
    pub(super) fn member_id(&mut self, prefix: &str) -> String {
        self.leader.ids += 1;
        let Leader { seed, term, ids, .. } = self.leader;
        let high = mix(*seed ^ mix(*term));
        let low = mix(high ^ mix(*ids));
        let bytes = Uuid::from_u64_pair(mix(low ^ *ids), low).into_bytes();
        format!("{prefix}-{}", uuid::Builder::from_random_bytes(bytes).into_uuid())
    }
}

/// One step of SplitMix64: spreads neighbouring numbers over all 64 bits.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
