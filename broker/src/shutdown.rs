//! SIGTERM and SIGINT become [`Event::Stop`]; a second one ends the handing over of leaderships.

use tokio::signal::unix::{SignalKind, signal};

use crate::node::handle::{Event, Handle};

/// Passes signals on for as long as it is polled.
pub async fn watch(node: Handle) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "asked to stop");
        node.send(Event::Stop);
    }
}
