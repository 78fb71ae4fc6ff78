//! Nodes are listed once a look, if anything goes by them; and the watch that says when it is time for one,
//! against an API server that says what the test wants it to.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chronik_operator::controller::nodes;
use chronik_operator::platform::Platform as _;
use chronik_operator::platform::kube::Kube;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use crate::api_server::{self, Api};
use crate::kube::inputs;

/// An answer: whether to a watch, and with which words.
type Answer = (bool, Value);

/// Answers each request with what comes next; those for which nothing comes are never answered.
async fn serve(answers: mpsc::UnboundedReceiver<Answer>) -> Client {
    let answers = Arc::new(Mutex::new(answers));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answers = Arc::clone(&answers);
            let service = service_fn(move |request: Request<Incoming>| {
                let answers = Arc::clone(&answers);
                async move {
                    assert_eq!(request.uri().path(), "/api/v1/nodes");
                    let next = answers.lock().await.recv().await;
                    let Some((is_watch, body)) = next else { return std::future::pending().await };
                    let query = request.uri().query().unwrap_or_default();
                    assert_eq!(query.contains("watch=true"), is_watch, "{query}");
                    let body = Bytes::from(format!("{body}\n"));
                    Ok::<_, Infallible>(Response::new(Full::new(body)))
                }
            });
            let served = hyper::server::conn::http1::Builder::new();
            tokio::spawn(served.serve_connection(TokioIo::new(stream), service));
        }
    });
    Client::try_from(kube::Config::new(uri)).unwrap()
}

fn node(name: &str, version: u32, zone: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "resourceVersion": version.to_string(), "labels": {"zone": zone}},
    })
}

#[tokio::test]
async fn a_label_that_changes_is_told_and_so_is_a_node_that_goes() {
    let list = json!({"metadata": {"resourceVersion": "1"}, "items": [node("n", 1, "a")]});
    let event = |kind: &str, node: Value| json!({"type": kind, "object": node});
    let (answers, coming) = mpsc::unbounded_channel();
    let (told, mut tidings) = mpsc::unbounded_channel();
    let client = serve(coming).await;
    let watch = tokio::spawn(nodes::watch(client, move || {
        let _ = told.send(());
    }));
    let (relabelled, gone) = (node("n", 2, "b"), node("n", 3, "b"));
    for answer in
        [(false, list), (true, event("MODIFIED", relabelled)), (true, event("DELETED", gone))]
    {
        answers.send(answer).unwrap();
        let next = tokio::time::timeout(Duration::from_secs(20), tidings.recv()).await;
        assert_eq!(next.unwrap(), Some(()));
    }
    watch.abort();
}

#[tokio::test]
async fn one_look_lists_nodes_once_and_only_if_something_goes_by_them() {
    for (spec, expected) in [
        ("spec: {}", 0),
        ("spec: {rack: {topologyKey: zone}}", 1),
        ("spec: {listeners: {external: {type: nodePort}}}", 1),
        ("spec: {listeners: {external: {type: loadBalancer}}}", 0),
        ("spec: {listeners: {external: {type: nodePort, nodeAddress: InternalIP}}}", 0),
        ("spec: {rack: {topologyKey: zone}, listeners: {external: {type: nodePort}}}", 1),
    ] {
        let api = Arc::new(std::sync::Mutex::new(Api::default()));
        let objects = api_server::serve(Arc::clone(&api)).await;
        Kube::new(objects, inputs(spec), true).observe().await.unwrap();
        assert_eq!(api.lock().unwrap().looks_at_nodes, expected, "{spec}");
    }
}
