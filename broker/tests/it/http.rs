//! Metrics and probes, and the ways in which a node ends.

use std::sync::Arc;

use chronik_broker::metrics_http;
use chronik_broker::net::listener::Limits;
use chronik_broker::node::Ending;
use chronik_broker::node::handle::Event;
use chronik_core::core::input::Input;
use chronik_core::core::output::Output;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fake_core::{World, on_one_thread};

async fn get(address: std::net::SocketAddr, path: &str) -> (String, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn metrics_and_probes() {
    on_one_thread(async {
        let world = World::start(1, Limits::default()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::clone(&world.metrics);
        metrics.count_request("Produce");
        tokio::spawn(metrics_http::serve(listener, world.handle.clone(), metrics));
        let (status, text) = get(address, "/metrics").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        for line in [
            "chronik_requests_total{api=\"Produce\"} 1",
            "chronik_replicas{role=\"leader\"} 2",
            "chronik_records_in_total 7",
            "chronik_offline_replicas 0",
            "chronik_ready 1",
            "chronik_connections 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        check_exposition(&text);
        assert_eq!(get(address, "/healthz").await.0, "HTTP/1.1 200 OK");
        assert_eq!(get(address, "/readyz").await.0, "HTTP/1.1 200 OK");
        assert_eq!(get(address, "/etc/passwd").await.0, "HTTP/1.1 404 Not Found");
        world.put_out([Output::Fatal("broken".into())]).await;
        assert_eq!(world.running.await.unwrap(), Ending::Fatal("broken".into()));
        assert_eq!(get(address, "/healthz").await.0, "HTTP/1.1 503 Service Unavailable");
    });
}

/// Every line is a comment, or a name of ours, labels, and a number; the end is marked.
fn check_exposition(text: &str) {
    assert!(text.ends_with("# EOF\n"));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with("chronik_"), "{line}");
        value.parse::<f64>().unwrap();
        let name = series.split('{').next().unwrap();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
    }
}

#[test]
fn stopping_waits_for_the_leaderships_to_go() {
    on_one_thread(async {
        let world = World::start(1, Limits::default()).await;
        world.handle.send(Event::Stop);
        assert!(matches!(world.script.next().await, Input::Shutdown));
        assert!(!world.running.is_finished());
        world.put_out([Output::Drained]).await;
        assert_eq!(world.running.await.unwrap(), Ending::Clean);
    });
}

#[test]
fn a_second_stop_waits_for_nothing() {
    on_one_thread(async {
        let world = World::start(1, Limits::default()).await;
        world.handle.send(Event::Stop);
        world.handle.send(Event::Stop);
        assert_eq!(world.running.await.unwrap(), Ending::Clean);
    });
}
