//! The operator's own numbers, and the port on which they, and its health, are served.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::platform::kube::certificates::Report;
use crate::reconcile::Pass;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const STATES: [&str; 8] =
    ["Starting", "Waiting", "Joining", "Member", "Leaving", "Down", "Stopped", "Retired"];

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Cluster {
    namespace: String,
    cluster: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BrokersOf {
    namespace: String,
    cluster: String,
    state: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CertificateOf {
    namespace: String,
    cluster: String,
    holder: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Topic {
    namespace: String,
    topic: String,
}

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    reconciles: Counter,
    errors: Family<Kind, Counter>,
    steps: Family<Kind, Counter>,
    seconds: Histogram,
    brokers: Family<BrokersOf, Gauge>,
    ready: Family<Cluster, Gauge>,
    certificates: Family<CertificateOf, Gauge>,
    /// Whose certificates are told, by cluster.
    certified: Mutex<BTreeMap<(String, String), BTreeSet<String>>>,
    topics: Family<Topic, Gauge>,
    leading: Gauge,
    watching: AtomicBool,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            reconciles: Counter::default(),
            errors: Family::default(),
            steps: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.01, 2.0, 12)),
            brokers: Family::default(),
            ready: Family::default(),
            certificates: Family::default(),
            certified: Mutex::default(),
            topics: Family::default(),
            leading: Gauge::default(),
            watching: AtomicBool::new(false),
        }
    }
}

impl Metrics {
    /// A pass over this cluster is over.
    pub fn passed(&self, namespace: &str, cluster: &str, pass: &Pass, took: Duration) {
        self.reconciles.inc();
        self.seconds.observe(took.as_secs_f64());
        for step in &pass.plan.steps {
            self.steps.get_or_create(&Kind { kind: step.kind().into() }).inc();
        }
        for state in STATES {
            let (namespace, cluster) = (namespace.to_owned(), cluster.to_owned());
            let count = pass.status.brokers.iter().filter(|b| b.state == state).count();
            let labels = BrokersOf { namespace, cluster, state: state.to_owned() };
            self.brokers.get_or_create(&labels).set(count as i64);
        }
        let labels = Cluster { namespace: namespace.to_owned(), cluster: cluster.to_owned() };
        self.ready.get_or_create(&labels).set(i64::from(pass.serves));
    }

    /// The certificates of this cluster are these.
    pub fn certified(&self, namespace: &str, cluster: &str, report: &Report) {
        let authority = report.authority_until.map(|until| ("authority".to_owned(), until));
        let all: BTreeMap<String, i64> =
            report.until.clone().into_iter().chain(authority).collect();
        let key = (namespace.to_owned(), cluster.to_owned());
        let mut certified = self.certified.lock().unwrap_or_else(PoisonError::into_inner);
        let told = certified.remove(&key).unwrap_or_default();
        let labels = |holder: &str| CertificateOf {
            namespace: namespace.to_owned(),
            cluster: cluster.to_owned(),
            holder: holder.to_owned(),
        };
        for gone in told.iter().filter(|holder| !all.contains_key(*holder)) {
            self.certificates.remove(&labels(gone));
        }
        for (holder, until) in &all {
            self.certificates.get_or_create(&labels(holder)).set(*until);
        }
        if !all.is_empty() {
            certified.insert(key, all.into_keys().collect());
        }
    }

    /// A pass failed.
    pub fn failed(&self, kind: &str) {
        self.reconciles.inc();
        self.errors.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// This cluster is gone.
    pub fn forget(&self, namespace: &str, cluster: &str) {
        self.certified(namespace, cluster, &Report::default());
        let (namespace, cluster) = (namespace.to_owned(), cluster.to_owned());
        for state in STATES {
            let (namespace, cluster) = (namespace.clone(), cluster.clone());
            self.brokers.remove(&BrokersOf { namespace, cluster, state: state.to_owned() });
        }
        self.ready.remove(&Cluster { namespace, cluster });
    }

    /// A pass over this `ChronikTopic` is over.
    pub fn topic_passed(&self, namespace: &str, topic: &str, is_ready: bool, took: Duration) {
        self.reconciles.inc();
        self.seconds.observe(took.as_secs_f64());
        let labels = Topic { namespace: namespace.to_owned(), topic: topic.to_owned() };
        self.topics.get_or_create(&labels).set(i64::from(is_ready));
    }

    /// A step for a topic was taken.
    pub fn topic_step(&self, kind: &str) {
        self.steps.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// This `ChronikTopic` is gone.
    pub fn forget_topic(&self, namespace: &str, topic: &str) {
        let labels = Topic { namespace: namespace.to_owned(), topic: topic.to_owned() };
        self.topics.remove(&labels);
    }

    /// Whether this operator leads.
    pub fn set_leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// The operator waits for the lease, or acts.
    pub fn set_watching(&self) {
        self.watching.store(true, Ordering::Relaxed);
    }

    fn render(&self) -> String {
        let mut registry = Registry::with_prefix("chronik_operator");
        registry.register(
            "reconciles",
            "Passes over a cluster or a topic",
            self.reconciles.clone(),
        );
        registry.register("reconcile_errors", "Passes that failed, by kind", self.errors.clone());
        registry.register("plan_steps", "Steps that were planned, by kind", self.steps.clone());
        registry.register("reconcile_seconds", "How long passes took", self.seconds.clone());
        registry.register("brokers", "Brokers of each cluster by state", self.brokers.clone());
        registry.register("cluster_ready", "Whether a cluster serves clients", self.ready.clone());
        registry.register(
            "certificate_expires_seconds",
            "Until when certificates are valid, in seconds since 1970",
            self.certificates.clone(),
        );
        registry.register("topic_ready", "Whether a topic is as asked", self.topics.clone());
        registry.register("leading", "Whether this operator leads", self.leading.clone());
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

/// Listens, and serves for as long as the process lives.
pub async fn serve(address: SocketAddr, metrics: Arc<Metrics>) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving metrics and health");
    tokio::spawn(async move {
        loop {
            let Ok((socket, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let metrics = Arc::clone(&metrics);
            let service = service_fn(move |request: Request<Incoming>| {
                let metrics = Arc::clone(&metrics);
                async move { Ok::<_, Infallible>(answer(&request, &metrics)) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(socket), service);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "an HTTP connection broke");
                }
            });
        }
    });
    Ok(())
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is served\n".into());
    }
    match request.uri().path() {
        "/metrics" => respond(StatusCode::OK, OPENMETRICS, metrics.render()),
        "/healthz" => respond(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" if metrics.watching.load(Ordering::Relaxed) => {
            respond(StatusCode::OK, TEXT, "ready\n".into())
        }
        "/readyz" => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting\n".into()),
        _ => respond(StatusCode::NOT_FOUND, TEXT, "try /metrics, /healthz or /readyz\n".into()),
    }
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
