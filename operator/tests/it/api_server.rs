//! An API server of a few lines, which keeps objects of one kind.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chronik_operator::fence::Fence;
use chronik_operator::platform::kube::objects::Objects;
use chronik_operator::side_effects::SideEffects;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

/// What every look at a cluster lists; there is none of it.
const OF_BROKERS: [&str; 4] = ["statefulsets", "pods", "persistentvolumeclaims", "secrets"];

/// Objects by name, and what requests are answered with instead, if anything.
#[derive(Default)]
pub(crate) struct Api {
    pub(crate) kept: BTreeMap<String, Value>,
    /// This code, to every request.
    pub(crate) refuse: Option<u16>,
    /// The name of an object that cannot be written as it is asked for.
    pub(crate) invalid: Option<String>,
    pub(crate) writes: u32,
    /// How often nodes, of which there are none, were listed.
    pub(crate) looks_at_nodes: u32,
}

impl Api {
    fn answer(&mut self, method: &Method, name: &str, body: &[u8]) -> (u16, Value) {
        if let Some(code) = self.refuse {
            return refusal(code);
        }
        let gone = (
            404,
            json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}),
        );
        match *method {
            Method::GET if matches!(name, "networkpolicies" | "services") => {
                let items: Vec<&Value> = self.kept.values().collect();
                (200, json!({"metadata": {}, "items": items}))
            }
            Method::GET if name == "nodes" => {
                self.looks_at_nodes += 1;
                (200, json!({"metadata": {}, "items": []}))
            }
            Method::GET if OF_BROKERS.contains(&name) => {
                (200, json!({"metadata": {}, "items": []}))
            }
            Method::GET => self.kept.get(name).map_or(gone, |object| (200, object.clone())),
            Method::PATCH if self.invalid.as_deref() == Some(name) => refusal(422),
            Method::PATCH => {
                self.writes += 1;
                let mut object: Value = serde_json::from_slice(body).unwrap();
                object["metadata"]["uid"] = json!("uid-of-the-object");
                self.kept.insert(name.to_owned(), object.clone());
                (200, object)
            }
            Method::DELETE => {
                self.writes += 1;
                let options: Value = serde_json::from_slice(body).unwrap();
                assert_eq!(options["preconditions"]["uid"], "uid-of-the-object");
                self.kept.remove(name).map_or(gone, |object| (200, object))
            }
            _ => (405, json!({})),
        }
    }
}

fn refusal(code: u16) -> (u16, Value) {
    (code, json!({"kind": "Status", "status": "Failure", "message": "no", "code": code}))
}

/// Serves it; returns the way to it.
pub(crate) async fn serve(api: Arc<Mutex<Api>>) -> Objects {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let api = Arc::clone(&api);
            let service = service_fn(move |request: Request<Incoming>| {
                let api = Arc::clone(&api);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let name = head.uri.path().rsplit('/').next().unwrap();
                    let (code, answer) = api.lock().unwrap().answer(&head.method, name, &body);
                    let answer = Response::builder()
                        .status(StatusCode::from_u16(code).unwrap())
                        .body(Full::new(Bytes::from(answer.to_string())));
                    Ok::<_, Infallible>(answer.unwrap())
                }
            });
            let served = hyper::server::conn::http1::Builder::new();
            tokio::spawn(served.serve_connection(TokioIo::new(stream), service));
        }
    });
    let client = kube::Client::try_from(kube::Config::new(uri)).unwrap();
    let fence = Fence::default();
    fence.extend(Instant::now() + Duration::from_secs(600));
    Objects::new(client, "prod", fence, SideEffects::default())
}
