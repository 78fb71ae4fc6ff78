//! The operator's looks and writes for certificates: against an API that keeps Secrets as Kubernetes
//! does, and brokers that take over what is in theirs.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use chronik_operator::admin::grpc::{self, Admin, AdminError, Credentials};
use chronik_operator::fence::Fence;
use chronik_operator::platform::kube::certificates::rotation::Phase;
use chronik_operator::platform::kube::certificates::{Around, Certificates};
use chronik_operator::platform::kube::error::KubeError;
use chronik_operator::platform::kube::names::Names;
use chronik_operator::platform::kube::objects::Objects;
use chronik_operator::side_effects::SideEffects;
use chronik_plan::BrokerId;
use chronik_tls::material::Material;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::codegen::Service;

type Shared<T> = Arc<Mutex<T>>;

/// Secrets by name, with versions.
#[derive(Debug, Default)]
struct Kept {
    secrets: BTreeMap<String, Value>,
    version: u64,
    writes: usize,
}

impl Kept {
    fn put(&mut self, name: &str, mut object: Value) -> Value {
        self.version += 1;
        self.writes += 1;
        let old = self.secrets.get(name).map(|old| old["metadata"]["uid"].clone());
        object["metadata"]["uid"] = old.unwrap_or_else(|| json!(format!("uid-{}", self.version)));
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.secrets.insert(name.to_owned(), object.clone());
        object
    }

    fn answer(&mut self, method: &Method, name: Option<&str>, body: Value) -> (u16, Value) {
        let named = name.or_else(|| body["metadata"]["name"].as_str()).unwrap_or("").to_owned();
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let current = self.secrets.get(&named).cloned();
        match (method, current) {
            (&Method::GET, _) if name.is_none() => {
                let items: Vec<&Value> = self.secrets.values().collect();
                (
                    200,
                    json!({"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": items}),
                )
            }
            (&Method::POST, Some(_)) => (409, Value::Null),
            (&Method::PUT, Some(current)) if version(&current) != version(&body) => {
                (409, Value::Null)
            }
            (&Method::POST, None) | (&Method::PUT, Some(_)) => (200, self.put(&named, body)),
            (&Method::DELETE, Some(current)) => {
                self.secrets.remove(&named);
                (200, current)
            }
            _ => (404, Value::Null),
        }
    }
}

/// The API server.
#[derive(Debug, Clone, Default)]
struct Api(Shared<Kept>);

impl Service<Request<Body>> for Api {
    type Response = Response<Full<Bytes>>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let kept = Arc::clone(&self.0);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let name = head.uri.path().strip_prefix("/api/v1/namespaces/prod/secrets").unwrap();
            let name = name.strip_prefix('/');
            let (code, mut answer) = kept.lock().unwrap().answer(&head.method, name, body);
            if code != 200 {
                answer = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                    "status": "Failure", "message": "no", "reason": "no", "code": code});
            }
            let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
            *response.status_mut() = StatusCode::from_u16(code).unwrap();
            Ok(response)
        })
    }
}

/// A broker's port: a handshake with what it uses now, and then a word.
async fn broker(uses: Shared<Arc<Material>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = TlsAcceptor::from(uses.lock().unwrap().server());
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(socket).await {
                    let _ = stream.write_all(b"hello").await;
                }
            });
        }
    });
    address
}

/// The operator, the API and two brokers.
struct World {
    api: Api,
    objects: Objects,
    certificates: Certificates,
    names: Names,
    addresses: BTreeMap<BrokerId, String>,
    using: BTreeMap<BrokerId, Shared<Arc<Material>>>,
    rotate: Option<String>,
    now: i64,
}

impl World {
    fn new() -> World {
        let api = Api::default();
        let fence = Fence::default();
        fence.extend(Instant::now() + Duration::from_secs(3600));
        let client = Client::new(api.clone(), "prod");
        let objects = Objects::new(client, "prod", fence, SideEffects::default());
        World {
            api,
            objects,
            certificates: Certificates::default(),
            names: Names {
                cluster: "demo".into(),
                namespace: "prod".into(),
                uid: "uid-of-demo".into(),
                domain: "cluster.local".into(),
            },
            addresses: BTreeMap::new(),
            using: BTreeMap::new(),
            rotate: None,
            now: k8s_openapi::jiff::Timestamp::now().as_second(),
        }
    }

    async fn pass(&mut self) -> Result<Vec<String>, KubeError> {
        let listed = self.objects.list::<Secret>(&self.names.selector()).await?;
        self.certificates.take(&self.names, listed);
        let around = Around {
            names: &self.names,
            wanted: [1, 2].into(),
            there: self.addresses.iter().map(|(id, at)| (*id, Some(at.clone()))).collect(),
            rotate: self.rotate.clone(),
            now: self.now,
        };
        self.certificates.tend(&self.objects, &around).await
    }

    /// What is in a broker's Secret.
    fn mounted(&self, id: BrokerId) -> Arc<Material> {
        let kept = self.api.0.lock().unwrap();
        let secret = kept.secrets[&self.names.certificate(id)].clone();
        let secret: Secret = serde_json::from_value(secret).unwrap();
        let data = secret.data.unwrap();
        let of = |key: &str| data[key].0.clone();
        Arc::new(Material::from_pem(&of("tls.crt"), &of("tls.key"), &of("ca.crt")).unwrap())
    }

    async fn start_brokers(&mut self) {
        for id in [1, 2] {
            let uses = Arc::new(Mutex::new(self.mounted(id)));
            self.addresses.insert(id, broker(Arc::clone(&uses)).await);
            self.using.insert(id, uses);
        }
    }

    fn take_over(&self) {
        for (id, uses) in &self.using {
            *uses.lock().unwrap() = self.mounted(*id);
        }
    }

    /// Passes until nothing is written any more; the phases on the way, each once.
    async fn rest(&mut self) -> Vec<&'static str> {
        let mut phases = Vec::new();
        for _ in 0..30 {
            let done = self.pass().await.unwrap();
            self.take_over();
            let phase = match self.certificates.report().phase {
                Phase::Settled => "settled",
                Phase::Spreading(_) => "spreading",
                Phase::Reissuing(_) => "reissuing",
            };
            if phases.last() != Some(&phase) {
                phases.push(phase);
            }
            if done.is_empty() && phase == "settled" {
                return phases;
            }
        }
        panic!("it does not come to rest: {phases:?}");
    }
}

#[tokio::test]
async fn everything_is_there_before_the_first_broker_and_then_nothing_is_written() {
    let mut world = World::new();
    assert!(matches!(world.certificates.credentials(), Credentials::Missing));
    world.pass().await.unwrap();
    assert!(matches!(world.certificates.credentials(), Credentials::Certificate(_)));
    let names: Vec<String> = world.api.0.lock().unwrap().secrets.keys().cloned().collect();
    assert_eq!(names, ["demo-1-tls", "demo-2-tls", "demo-ca", "demo-operator-tls"]);
    world.start_brokers().await;
    let writes = world.api.0.lock().unwrap().writes;
    assert_eq!(world.rest().await, ["settled"]);
    assert_eq!(world.api.0.lock().unwrap().writes, writes);
    // Another operator finds all of it, and makes nothing anew.
    world.certificates = Certificates::default();
    assert_eq!(world.rest().await, ["settled"]);
    assert_eq!(world.api.0.lock().unwrap().writes, writes);
}

#[tokio::test]
async fn an_authority_is_replaced_and_a_lost_one_followed() {
    let mut world = World::new();
    world.pass().await.unwrap();
    world.start_brokers().await;
    let first = world.mounted(1);
    world.rotate = Some("today".into());
    assert_eq!(world.rest().await, ["spreading", "reissuing", "settled"]);
    let second = world.mounted(1);
    assert!(!second.is_same(&first));
    world.api.0.lock().unwrap().secrets.remove("demo-ca");
    assert_eq!(world.rest().await, ["spreading", "reissuing", "settled"]);
    assert!(!world.mounted(1).is_same(&second));
    assert_eq!(world.rest().await, ["settled"]);
}

#[tokio::test]
async fn a_broker_that_does_not_take_over_what_is_new_holds_it_up() {
    let mut world = World::new();
    world.pass().await.unwrap();
    world.start_brokers().await;
    world.rotate = Some("today".into());
    let stuck = world.using.remove(&2).unwrap();
    for _ in 0..4 {
        world.pass().await.unwrap();
        world.take_over();
    }
    assert_eq!(world.certificates.report().phase, Phase::Spreading(vec![2]));
    world.using.insert(2, stuck);
    assert_eq!(world.rest().await.last(), Some(&"settled"));
}

#[tokio::test]
async fn of_two_operators_one_makes_the_authority() {
    let mut world = World::new();
    // Both have looked, and seen nothing.
    let mut other = Certificates::default();
    world.pass().await.unwrap();
    other.take(&world.names, Vec::new());
    let names = world.names.clone();
    let around = |rotate: Option<&str>| Around {
        names: &names,
        wanted: [1, 2].into(),
        there: BTreeMap::new(),
        rotate: rotate.map(str::to_owned),
        now: 2_000_000_000,
    };
    let refused = other.tend(&world.objects, &around(None)).await.unwrap_err();
    assert!(matches!(refused, KubeError::Taken { .. }), "{refused}");
    // And of two who write over the same version.
    let listed = world.objects.list::<Secret>("").await.unwrap();
    other.take(&names, listed);
    world.rotate = Some("a".into());
    world.pass().await.unwrap();
    let refused = other.tend(&world.objects, &around(Some("b"))).await.unwrap_err();
    assert!(matches!(refused, KubeError::Changed { .. }), "{refused}");
}

#[tokio::test]
async fn who_is_not_who_it_should_be_is_told_by_name() {
    let mut world = World::new();
    let mut admin = Admin::default();
    admin.identify(world.certificates.credentials());
    assert!(matches!(admin.client(1, "127.0.0.1:1"), Err(AdminError::NoCertificate(1))));
    world.pass().await.unwrap();
    world.start_brokers().await;
    admin.identify(world.certificates.credentials());
    // Broker 2 is where broker 1 was.
    let client = admin.client(1, &world.addresses[&2]).unwrap();
    let status = grpc::describe(client).await.unwrap_err();
    let told = grpc::mistrust(1, &status).unwrap();
    let expected = "the certificate is that of chronik://prod/demo/broker/2, and not of \
                    chronik://prod/demo/broker/1";
    assert!(told.contains(expected), "{told}");
    // Nobody at all is nothing to tell.
    let client = admin.client(1, "127.0.0.1:1").unwrap();
    assert_eq!(grpc::mistrust(1, &grpc::describe(client).await.unwrap_err()), None);
}

#[tokio::test]
async fn who_leads_no_more_writes_nothing() {
    let mut world = World::new();
    let client = Client::new(world.api.clone(), "prod");
    world.objects = Objects::new(client, "prod", Fence::default(), SideEffects::default());
    assert!(matches!(world.pass().await.unwrap_err(), KubeError::NotLeading));
    assert!(world.api.0.lock().unwrap().secrets.is_empty());
}
