//! One coordinator with its log, driven by hand: requests, time, and when records get applied.

mod describe;
mod expiry;
mod failover;
mod join;
mod offsets;
mod random;
mod record;
mod static_members;
mod sync;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsResponse, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::Encodable;

use super::reply::text;
use super::*;
use crate::ids::{Micros, Now};

const T0: i64 = 1_700_000_000_000;
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;
const G: &str = "group";

/// What the tests look at; the delay is short so that they read well.
fn config() -> GroupConfig {
    GroupConfig { initial_rebalance_delay_ms: 3_000, ..GroupConfig::default() }
}

struct World {
    coordinator: Coordinator,
    ms: u64,
    term: Term,
    next: u64,
    /// What is proposed and not applied.
    proposed: Vec<Bytes>,
    /// What is applied.
    log: Vec<Bytes>,
    asked: BTreeMap<Token, i16>,
    /// Asked and neither answered nor given up.
    open: BTreeSet<Token>,
    replies: BTreeMap<Token, GroupResponse>,
}

impl World {
    fn new() -> World {
        World::with(config())
    }

    fn with(config: GroupConfig) -> World {
        let mut world = World {
            coordinator: Coordinator::new(config, 42),
            ms: 1_000_000,
            term: 1,
            next: 0,
            proposed: Vec::new(),
            log: Vec::new(),
            asked: BTreeMap::new(),
            open: BTreeSet::new(),
            replies: BTreeMap::new(),
        };
        world.coordinator.lead(world.now(), 1);
        world
    }

    fn now(&self) -> Now {
        Now { mono: Micros::from_millis(self.ms), wall_ms: T0 + self.ms as i64 }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Propose(record) => self.proposed.push(record),
                Effect::Reply { token, response } => {
                    let version = self.asked[&token];
                    encodes(&response, version);
                    assert!(self.open.remove(&token), "{token:?} was given up");
                    assert!(self.replies.insert(token, response).is_none(), "{token:?} twice");
                }
            }
        }
    }

    /// Asks on a connection of its own, and applies nothing.
    fn ask(&mut self, version: i16, request: GroupRequest) -> Token {
        self.next += 1;
        let token = Token { conn: ConnId(self.next), seq: 0 };
        self.asked.insert(token, version);
        self.open.insert(token);
        let client = ClientInfo { client_id: "client".into(), host: "/10.0.0.1".into() };
        let effects = self.coordinator.handle(self.now(), token, &client, version, request);
        self.carry_out(effects);
        token
    }

    /// Applies all that is proposed.
    fn apply(&mut self) {
        while !self.proposed.is_empty() {
            self.apply_one();
        }
    }

    fn apply_one(&mut self) {
        let record = self.proposed.remove(0);
        self.log.push(record.clone());
        let index = self.log.len() as Index;
        let effects = self.coordinator.apply(self.now(), index, record).unwrap();
        self.carry_out(effects);
    }

    /// Lets time pass, tick by tick, applying what is proposed at once.
    fn wait(&mut self, ms: u64) {
        let end = self.ms + ms;
        while self.ms < end {
            let due = self.coordinator.next_deadline().map_or(end, |at| at.0.div_ceil(1000));
            self.ms = due.clamp(self.ms + 1, end);
            let effects = self.coordinator.tick(self.now());
            self.carry_out(effects);
            self.apply();
        }
    }

    /// Another replica with the same log leads now.
    fn fail_over(&mut self) {
        let effects = self.coordinator.step_down();
        self.carry_out(effects);
        self.proposed.clear();
        let mut next = Coordinator::new(config(), 43);
        for (i, record) in self.log.iter().enumerate() {
            let effects = next.apply(Now::default(), i as Index + 1, record.clone()).unwrap();
            assert_eq!(effects, [], "who does not lead does nothing but apply");
        }
        assert_eq!(next.encode(), self.coordinator.encode());
        self.coordinator = next;
        self.term += 1;
        self.coordinator.lead(self.now(), self.term);
    }

    fn reply(&mut self, token: Token) -> GroupResponse {
        self.replies.remove(&token).expect("an answer")
    }

    fn waits(&self, token: Token) -> bool {
        !self.replies.contains_key(&token)
    }

    fn join_reply(&mut self, token: Token) -> JoinGroupResponse {
        let GroupResponse::Join(response) = self.reply(token) else { panic!("no join") };
        response
    }

    fn sync_reply(&mut self, token: Token) -> SyncGroupResponse {
        let GroupResponse::Sync(response) = self.reply(token) else { panic!("no sync") };
        response
    }

    fn join(&mut self, member: &str) -> Token {
        self.ask(5, join(member))
    }

    /// A new dynamic member's whole way to the wait for its rebalance: its id and what it waits for.
    fn join_new(&mut self) -> (String, Token) {
        let token = self.join("");
        let response = self.join_reply(token);
        assert_eq!(response.error_code, ResponseError::MemberIdRequired.code());
        let id = response.member_id.to_string();
        let token = self.join(&id);
        (id, token)
    }

    fn heartbeat(&mut self, member: &str, generation: i32) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(group_id())
            .with_member_id(text(member))
            .with_generation_id(generation);
        let token = self.ask(4, GroupRequest::Heartbeat(request));
        let GroupResponse::Heartbeat(response) = self.reply(token) else { panic!("no heartbeat") };
        response.error_code
    }

    /// Lets time pass while these members send heartbeats; whatever they are told.
    fn wait_alive(&mut self, ms: u64, members: &[&str], generation: i32) {
        for _ in 0..ms / 1000 {
            self.wait(1000);
            for member in members {
                self.heartbeat(member, generation);
            }
        }
    }

    fn sync(&mut self, member: &str, generation: i32, assignments: &[(&str, &str)]) -> Token {
        self.ask(5, sync(member, generation, assignments))
    }

    fn leave(&mut self, member: &str, instance: Option<&str>) -> LeaveGroupResponse {
        let one = MemberIdentity::default()
            .with_member_id(text(member))
            .with_group_instance_id(instance.map(text));
        let request =
            LeaveGroupRequest::default().with_group_id(group_id()).with_members(vec![one]);
        let token = self.ask(5, GroupRequest::Leave(request));
        let GroupResponse::Leave(response) = self.reply(token) else { panic!("no leave") };
        response
    }

    fn state(&self) -> String {
        self.coordinator.describe(5, &group_id()).group_state.to_string()
    }

    /// A stable group of `n` dynamic members, its leader first.
    fn stable(&mut self, n: usize) -> (i32, Vec<String>) {
        let joins: Vec<(String, Token)> = (0..n).map(|_| self.join_new()).collect();
        self.wait(u64::from(config().initial_rebalance_delay_ms) * (n as u64 + 1));
        let mut ids = Vec::new();
        let mut generation = 0;
        for (id, token) in joins {
            let response = self.join_reply(token);
            assert_eq!(response.error_code, 0);
            generation = response.generation_id;
            if response.leader == response.member_id { ids.insert(0, id) } else { ids.push(id) }
        }
        self.assign(generation, &ids);
        (generation, ids)
    }

    /// All sync; each gets its own id as its assignment. The leader is first.
    fn assign(&mut self, generation: i32, ids: &[String]) {
        let assignments: Vec<(&str, &str)> =
            ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        let tokens: Vec<Token> = ids
            .iter()
            .enumerate()
            .map(|(i, id)| self.sync(id, generation, if i == 0 { &assignments } else { &[] }))
            .collect();
        self.apply();
        for (id, token) in ids.iter().zip(tokens) {
            let response = self.sync_reply(token);
            assert_eq!((response.error_code, &response.assignment[..]), (0, id.as_bytes()));
        }
        assert_eq!(self.state(), "Stable");
    }
}

fn group_id() -> GroupId {
    GroupId(text(G))
}

fn join_request(member: &str) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(group_id())
        .with_member_id(text(member))
        .with_session_timeout_ms(SESSION_MS)
        .with_rebalance_timeout_ms(REBALANCE_MS)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol("range", b"m")])
}

fn join(member: &str) -> GroupRequest {
    GroupRequest::Join(join_request(member))
}

fn join_static(member: &str, instance: &str) -> GroupRequest {
    GroupRequest::Join(join_request(member).with_group_instance_id(Some(text(instance))))
}

fn protocol(name: &str, metadata: &'static [u8]) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol::default()
        .with_name(text(name))
        .with_metadata(Bytes::from_static(metadata))
}

fn sync_request(member: &str, generation: i32) -> SyncGroupRequest {
    SyncGroupRequest::default()
        .with_group_id(group_id())
        .with_member_id(text(member))
        .with_generation_id(generation)
}

fn sync(member: &str, generation: i32, assignments: &[(&str, &str)]) -> GroupRequest {
    let one = |(id, assignment): &(&str, &str)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(id))
            .with_assignment(Bytes::from((*assignment).to_owned()))
    };
    let assignments = assignments.iter().map(one).collect();
    GroupRequest::Sync(sync_request(member, generation).with_assignments(assignments))
}

/// An answer must fit into the version that was asked for.
fn encodes(response: &GroupResponse, version: i16) {
    let mut buf = BytesMut::new();
    let result = match response {
        GroupResponse::Join(r) => r.encode(&mut buf, version),
        GroupResponse::Sync(r) => r.encode(&mut buf, version),
        GroupResponse::Heartbeat(r) => r.encode(&mut buf, version),
        GroupResponse::Leave(r) => r.encode(&mut buf, version),
        GroupResponse::Commit(r) => r.encode(&mut buf, version),
        GroupResponse::OffsetDelete(r) => r.encode(&mut buf, version),
        GroupResponse::Delete(r) => {
            DeleteGroupsResponse::default().with_results(vec![r.clone()]).encode(&mut buf, version)
        }
    };
    result.unwrap_or_else(|e| panic!("{e}: {response:?} in version {version}"));
}
