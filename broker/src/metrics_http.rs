//! `/metrics`, `/healthz` and `/readyz`. Readiness is about this node only: a cluster in trouble
//! must not take its sound brokers out of service.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::metrics::Metrics;
use crate::node::engine::Inspection;
use crate::node::handle::Handle;

/// A node that does not answer for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const TEXT: &str = "text/plain; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves for as long as it is polled.
pub async fn serve(listener: TcpListener, node: Handle, metrics: Arc<Metrics>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                tokio::spawn(connection(socket, node.clone(), Arc::clone(&metrics)));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, node: Handle, metrics: Arc<Metrics>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (node, metrics) = (node.clone(), Arc::clone(&metrics));
        async move { Ok::<_, Infallible>(answer(&request, &node, &metrics).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

async fn answer(
    request: &Request<Incoming>,
    node: &Handle,
    metrics: &Metrics,
) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is served\n");
    }
    match request.uri().path() {
        "/metrics" => match look(node).await {
            Some(seen) => respond(StatusCode::OK, OPENMETRICS, metrics.render(&seen)),
            None => stuck(),
        },
        "/healthz" => match look(node).await {
            Some(_) => respond(StatusCode::OK, TEXT, "ok\n"),
            None => stuck(),
        },
        "/readyz" => match look(node).await {
            Some(seen) if seen.ready => respond(StatusCode::OK, TEXT, "ready\n"),
            Some(seen) => {
                let text = format!("not ready: this node is {:?}\n", seen.state);
                respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
            }
            None => stuck(),
        },
        _ => respond(StatusCode::NOT_FOUND, TEXT, "try /metrics, /healthz or /readyz\n"),
    }
}

async fn look(node: &Handle) -> Option<Inspection> {
    tokio::time::timeout(STUCK_AFTER, node.inspect()).await.ok()?.ok()
}

fn stuck() -> Response<Full<Bytes>> {
    respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the node does not answer\n")
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let value = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}
