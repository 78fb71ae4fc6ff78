//! The shell's own counters, and their rendering together with the core's as Prometheus text.

use std::time::Duration;

use chronik_core::core::output::SyncClass;
use chronik_core::ids::BrokerId;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use crate::node::engine::Inspection;

/// One label with one value.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct Label(&'static str, LabelValue);

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum LabelValue {
    Name(&'static str),
    Number(u32),
}

impl EncodeLabelSet for Label {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self.1 {
            LabelValue::Name(name) => [(self.0, name)].encode(encoder),
            LabelValue::Number(number) => [(self.0, number)].encode(encoder),
        }
    }
}

/// Where somebody may come in with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The port for peers and the operator.
    Peer,
    /// The port for Kafka clients.
    Kafka,
}

impl Door {
    fn label(self) -> Label {
        Label(
            "port",
            LabelValue::Name(match self {
                Door::Peer => "peer",
                Door::Kafka => "kafka",
            }),
        )
    }
}

/// What the shell counts. Each field is also a metric; its help text is in [`Metrics::registry`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the help texts in `registry` are the documentation")]
pub struct Metrics {
    pub connections: Gauge,
    pub connections_accepted: Counter,
    pub connections_refused: Counter,
    pub connections_slow: Counter,
    pub received_bytes: Counter,
    pub sent_bytes: Counter,
    pub malformed_frames: Counter,
    pub unanswerable: Counter,
    pub peer_sent_frames: Counter,
    pub peer_sent_bytes: Counter,
    pub peer_received_frames: Counter,
    pub peer_received_bytes: Counter,
    pub peer_malformed: Counter,
    pub peer_refused: Counter,
    pub peer_overflows: Counter,
    pub batch_inputs: Histogram,
    pub batch_seconds: Histogram,
    peers: Family<Label, Gauge>,
    handshakes_refused: Family<Label, Counter>,
    certificate_expires: Family<Label, Gauge>,
    requests: Family<Label, Counter>,
    request_seconds: Family<Label, Histogram>,
    sync_wal: Histogram,
    sync_background: Histogram,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            connections: Gauge::default(),
            connections_accepted: Counter::default(),
            connections_refused: Counter::default(),
            connections_slow: Counter::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            malformed_frames: Counter::default(),
            unanswerable: Counter::default(),
            peer_sent_frames: Counter::default(),
            peer_sent_bytes: Counter::default(),
            peer_received_frames: Counter::default(),
            peer_received_bytes: Counter::default(),
            peer_malformed: Counter::default(),
            peer_refused: Counter::default(),
            peer_overflows: Counter::default(),
            batch_inputs: Histogram::new(exponential_buckets(1.0, 4.0, 7)),
            batch_seconds: seconds(),
            peers: Family::default(),
            handshakes_refused: Family::default(),
            certificate_expires: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            sync_wal: seconds(),
            sync_background: seconds(),
        }
    }
}

/// 50 us to about 13 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 19))
}

impl Metrics {
    /// A request of this API was read.
    pub fn count_request(&self, api: &'static str) {
        self.requests.get_or_create(&Label("api", LabelValue::Name(api))).inc();
    }

    /// A request of this API was answered after this time.
    pub fn answered(&self, api: &'static str, after: Duration) {
        self.request_seconds
            .get_or_create(&Label("api", LabelValue::Name(api)))
            .observe(after.as_secs_f64());
    }

    /// A sync took this long.
    pub fn synced(&self, class: SyncClass, took: Duration) {
        match class {
            SyncClass::Wal => self.sync_wal.observe(took.as_secs_f64()),
            SyncClass::Background => self.sync_background.observe(took.as_secs_f64()),
        }
    }

    /// Somebody was not let in.
    pub fn count_handshake_refused(&self, door: Door) {
        self.handshakes_refused.get_or_create(&door.label()).inc();
    }

    /// Until when our certificate is valid, in seconds since 1970.
    pub fn set_certificate_expires(&self, door: Door, at: i64) {
        self.certificate_expires.get_or_create(&door.label()).set(at);
    }

    /// Our stream to a peer is open, or not.
    pub fn set_peer_connected(&self, peer: BrokerId, connected: bool) {
        self.peers
            .get_or_create(&Label("peer", LabelValue::Number(peer.0)))
            .set(i64::from(connected));
    }

    /// All of it as Prometheus text.
    #[must_use]
    pub fn render(&self, node: &Inspection) -> String {
        let mut registry = self.registry();
        for (name, help, value) in &node.gauges {
            registry.register(*name, *help, ConstGauge::new(*value));
        }
        for (name, help, value) in &node.counters {
            registry.register(*name, *help, ConstCounter::new(*value));
        }
        let roles: Family<Label, Gauge> = Family::default();
        for (role, replicas) in &node.roles {
            let replicas = i64::try_from(*replicas).unwrap_or(i64::MAX);
            roles.get_or_create(&Label("role", LabelValue::Name(role))).set(replicas);
        }
        registry.register("replicas", "Replicas on this node, by role", roles);
        let ready = ConstGauge::new(u64::from(node.ready));
        registry.register("ready", "Whether this node serves with all its replicas", ready);
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes all that is written to it");
        text
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("chronik");
        let r = &mut registry;
        add(r, "connections", "Open client connections", &self.connections);
        add(r, "connections_accepted", "Client connections so far", &self.connections_accepted);
        add(
            r,
            "connections_refused",
            "Client connections closed at once because too many are open",
            &self.connections_refused,
        );
        add(
            r,
            "connections_slow",
            "Client connections closed because they left too many bytes of answers waiting",
            &self.connections_slow,
        );
        add(r, "requests", "Kafka requests", &self.requests);
        add(
            r,
            "request_seconds",
            "From a Kafka request's last byte to its answer, waits for data included",
            &self.request_seconds,
        );
        add(r, "received_bytes", "Bytes from Kafka clients", &self.received_bytes);
        add(r, "sent_bytes", "Bytes to Kafka clients", &self.sent_bytes);
        add(
            r,
            "malformed_frames",
            "Kafka requests that make no sense; their connections were closed",
            &self.malformed_frames,
        );
        add(r, "unanswerable", "Answers that could not be sent", &self.unanswerable);
        add(r, "peer_connected", "Whether our stream to a peer is open", &self.peers);
        add(r, "peer_sent_frames", "Frames queued for peers", &self.peer_sent_frames);
        add(r, "peer_sent_bytes", "Bytes queued for peers", &self.peer_sent_bytes);
        add(r, "peer_received_frames", "Frames from peers", &self.peer_received_frames);
        add(r, "peer_received_bytes", "Bytes from peers", &self.peer_received_bytes);
        add(r, "peer_malformed", "Streams of peers without a sound hello", &self.peer_malformed);
        add(
            r,
            "peer_refused",
            "Streams refused because another process speaks for their broker",
            &self.peer_refused,
        );
        add(
            r,
            "peer_overflows",
            "Streams closed because a peer did not keep up",
            &self.peer_overflows,
        );
        add(r, "sync_wal_seconds", "Syncs of the write-ahead log", &self.sync_wal);
        add(
            r,
            "sync_background_seconds",
            "Syncs of segments and checkpoints",
            &self.sync_background,
        );
        self.add_tls(r);
        add(r, "batch_inputs", "Inputs that the core took in one batch", &self.batch_inputs);
        add(r, "batch_seconds", "Time that the core took for one batch", &self.batch_seconds);
        registry
    }

    fn add_tls(&self, r: &mut Registry) {
        for door in [Door::Peer, Door::Kafka] {
            // A counter that is there only once it has counted has no first increase.
            drop(self.handshakes_refused.get_or_create(&door.label()));
        }
        add(
            r,
            "handshakes_refused",
            "Connections that ended in their TLS handshake, by port",
            &self.handshakes_refused,
        );
        add(
            r,
            "certificate_expires_seconds",
            "Until when this broker's certificate is valid, in seconds since 1970, by port",
            &self.certificate_expires,
        );
    }
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help, metric.clone());
}
