//! The `NetworkPolicy`: what it allows, and that it comes and goes with its field, against an API
//! server of a few lines that keeps objects of one kind.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chronik_operator::fence::Fence;
use chronik_operator::platform::Tended;
use chronik_operator::platform::kube::objects::Objects;
use chronik_operator::platform::kube::policy;
use chronik_operator::side_effects::SideEffects;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::kube::{inputs, yaml};

const OPEN: &str = "spec: {networkPolicy: {enabled: true}}";
const NARROW: &str = "
spec:
  networkPolicy:
    enabled: true
    kafkaFrom: [{namespaceSelector: {matchLabels: {team: streams}}}, {ipBlock: {cidr: 10.1.0.0/16}}]
    monitoringFrom: [{podSelector: {matchLabels: {app: prometheus}}}]
";
const NONE: &str = "spec: {replicas: 3}";
const DISABLED: &str = "spec: {networkPolicy: {enabled: false}}";

#[test]
fn it_says_who_reaches_which_port() {
    let rendered = [OPEN, NARROW].map(|spec| yaml(&policy::build(&inputs(spec)).unwrap()));
    insta::assert_snapshot!(rendered.join("---\n"));
    assert_eq!(policy::build(&inputs(NONE)), None);
    assert_eq!(policy::build(&inputs(DISABLED)), None);
}

/// Objects by name, and the code that every request is answered with instead, if any.
#[derive(Default)]
struct Api {
    kept: BTreeMap<String, Value>,
    refuse: Option<u16>,
    writes: u32,
}

impl Api {
    fn answer(&mut self, method: &Method, name: &str, body: &[u8]) -> (u16, Value) {
        if let Some(code) = self.refuse {
            let status =
                json!({"kind": "Status", "status": "Failure", "message": "no", "code": code});
            return (code, status);
        }
        let gone = (
            404,
            json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}),
        );
        match *method {
            Method::GET if name == "networkpolicies" => {
                let items: Vec<&Value> = self.kept.values().collect();
                (200, json!({"metadata": {}, "items": items}))
            }
            Method::GET => self.kept.get(name).map_or(gone, |object| (200, object.clone())),
            Method::PATCH => {
                self.writes += 1;
                let mut object: Value = serde_json::from_slice(body).unwrap();
                object["metadata"]["uid"] = json!("uid-of-the-policy");
                self.kept.insert(name.to_owned(), object.clone());
                (200, object)
            }
            Method::DELETE => {
                self.writes += 1;
                let options: Value = serde_json::from_slice(body).unwrap();
                assert_eq!(options["preconditions"]["uid"], "uid-of-the-policy");
                self.kept.remove(name).map_or(gone, |object| (200, object))
            }
            _ => (405, json!({})),
        }
    }
}

async fn serve(api: Arc<Mutex<Api>>) -> Objects {
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

/// One look after the policy: what was done, and what was refused.
async fn tend(objects: &Objects, spec: &str) -> (Vec<String>, Vec<String>) {
    let mut tended = Tended::default();
    policy::tend(objects, &inputs(spec), &mut tended).await.unwrap();
    (tended.done, tended.refused.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn it_comes_and_goes_with_its_field_and_is_written_only_to_change_something() {
    let api = Arc::new(Mutex::new(Api::default()));
    let objects = serve(Arc::clone(&api)).await;
    for (spec, expected, there) in [
        (NONE, None, false),
        (OPEN, Some("apply NetworkPolicy demo"), true),
        (OPEN, None, true),
        (NARROW, Some("apply NetworkPolicy demo"), true),
        (OPEN, Some("apply NetworkPolicy demo"), true),
        (DISABLED, Some("delete NetworkPolicy demo"), false),
        (DISABLED, None, false),
        (NARROW, Some("apply NetworkPolicy demo"), true),
        (NONE, Some("delete NetworkPolicy demo"), false),
    ] {
        let (done, refused) = tend(&objects, spec).await;
        assert_eq!(done, Vec::from_iter(expected), "{spec}");
        assert_eq!(refused, [""; 0]);
        assert_eq!(api.lock().unwrap().kept.contains_key("demo"), there, "{spec}");
    }
    assert_eq!(api.lock().unwrap().writes, 6);
}

#[tokio::test]
async fn one_that_somebody_else_made_stays() {
    let api = Arc::new(Mutex::new(Api::default()));
    let theirs = json!({"metadata": {"name": "theirs", "labels": {"chronik.io/cluster": "demo"}}});
    api.lock().unwrap().kept.insert("theirs".into(), theirs);
    let objects = serve(Arc::clone(&api)).await;
    assert_eq!(tend(&objects, NONE).await, (Vec::new(), Vec::new()));
    assert!(api.lock().unwrap().kept.contains_key("theirs"));
}

#[tokio::test]
async fn an_operator_without_the_right_says_so_only_when_a_policy_is_wanted() {
    let api = Arc::new(Mutex::new(Api { refuse: Some(403), ..Api::default() }));
    let objects = serve(api).await;
    assert_eq!(tend(&objects, NONE).await, (Vec::new(), Vec::new()));
    let (done, refused) = tend(&objects, OPEN).await;
    assert_eq!(done, [""; 0]);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].starts_with("spec.networkPolicy"), "{refused:?}");
    assert!(refused[0].contains("could not read NetworkPolicy demo"), "{refused:?}");
}
