//! One client connection: bytes to requests, answers to bytes, in one task. What a request means
//! is the core's; the order of answers is [`super::outbox`]'s.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chronik_core::core::input::{ConnId, Input, Token};
use chronik_core::log::disk::{DiskError, FileId};
use chronik_core::meta::Listener;
use chronik_core::wire::frame::{self, Frame};
use chronik_core::wire::{DecodeError, EncodeError, Part, Response, decode_request};

use super::listener::Clients;
use super::outbox::{Answer, Outbox, Piece};
use super::wire::Wire;

/// The least that one read makes room for.
const READ_BYTES_MIN: usize = 16 << 10;
/// The most: a length that lies costs no more memory than the bytes that came, and this.
const READ_BYTES_MAX: usize = 1 << 20;

/// Serves a connection until it ends.
pub(super) async fn serve(
    clients: &Clients,
    id: ConnId,
    host: Arc<str>,
    listener: Listener,
    wire: &Wire,
    outbox: &Rc<Outbox>,
) {
    let reader = Reader { clients, id, host, listener, wire, outbox };
    let reason = tokio::select! {
        end = reader.run() => end,
        end = write_answers(clients, wire, outbox) => end,
        () = until_idle(outbox, clients.limits.idle) => Ok("it was idle"),
        () = outbox.is_given_up() => Ok("its answers had to make room"),
    };
    match reason {
        Ok(reason) => tracing::debug!(connection = id.0, reason, "client connection ended"),
        Err(error) => tracing::debug!(connection = id.0, %error, "client connection broke"),
    }
}

async fn until_idle(outbox: &Outbox, idle: Duration) {
    loop {
        let ends = outbox.last_used() + idle;
        tokio::time::sleep_until(ends.into()).await;
        if outbox.last_used() + idle <= ends && outbox.is_idle() {
            return;
        }
        if !outbox.is_idle() {
            tokio::time::sleep(idle).await;
        }
    }
}

struct Reader<'a> {
    clients: &'a Clients,
    id: ConnId,
    host: Arc<str>,
    listener: Listener,
    wire: &'a Wire,
    outbox: &'a Rc<Outbox>,
}

impl Reader<'_> {
    async fn run(&self) -> io::Result<&'static str> {
        let mut buf = BytesMut::new();
        loop {
            self.outbox.has_room().await;
            if self.clients.are_dismissed() {
                // A consumer that is answered asks again at once, and would never be done.
                return std::future::pending().await;
            }
            match frame::split(&mut buf, self.clients.limits.request_bytes_max) {
                Ok(Frame::Whole(frame)) => {
                    if !self.take(frame) {
                        // Earlier answers leave first; the writer ends the connection.
                        return std::future::pending().await;
                    }
                }
                Ok(Frame::Incomplete { missing }) => {
                    buf.reserve(missing.clamp(READ_BYTES_MIN, READ_BYTES_MAX));
                    let n = self.wire.read(&mut buf).await?;
                    if n == 0 {
                        return Ok("the client closed it");
                    }
                    self.clients.metrics.received_bytes.inc_by(n as u64);
                }
                Err(error) => {
                    self.refuse(&error);
                    self.close();
                    return std::future::pending().await;
                }
            }
        }
    }

    /// Hands a frame on; false if nothing that follows can be understood.
    fn take(&self, frame: Bytes) -> bool {
        let bytes = frame.len();
        match decode_request(frame) {
            Ok(request) => {
                let api = request.header.api.name();
                self.clients.metrics.count_request(api);
                let seq = self.outbox.admit(api, bytes);
                let token = Token { conn: self.id, seq };
                let (host, listener) = (Arc::clone(&self.host), self.listener);
                self.clients.node.input(Input::Request { token, host, listener, request });
                true
            }
            Err(DecodeError::UnsupportedVersion { api, version, answer: Some(response) }) => {
                tracing::debug!(
                    connection = self.id.0,
                    api = api.name(),
                    version,
                    "refused a version"
                );
                let seq = self.outbox.admit(api.name(), bytes);
                self.outbox.answer(seq, self.clients.encode(*response, no_file));
                true
            }
            Err(
                error @ (DecodeError::UnsupportedVersion { answer: None, .. }
                | DecodeError::UnknownApi { .. }
                | DecodeError::Header(_)
                | DecodeError::Malformed { .. }),
            ) => {
                self.refuse(&error);
                self.close();
                false
            }
        }
    }

    fn close(&self) {
        let seq = self.outbox.admit("none", 0);
        self.outbox.answer(seq, Answer::Close);
    }

    fn refuse(&self, error: &dyn std::error::Error) {
        self.clients.metrics.malformed_frames.inc();
        if let Some(others) = self.clients.malformed_log.admit() {
            tracing::warn!(
                connection = self.id.0, host = &*self.host, %error, others_since_last_line = others,
                "closing a client connection: its request cannot be served"
            );
        }
    }
}

async fn write_answers(
    clients: &Clients,
    wire: &Wire,
    outbox: &Outbox,
) -> io::Result<&'static str> {
    loop {
        let mut departure = outbox.next().await;
        let bytes: usize = departure.pieces.iter().map(Piece::bytes).sum();
        wire.write(&mut departure.pieces).await?;
        clients.metrics.sent_bytes.inc_by(bytes as u64);
        for (api, after) in &departure.answered {
            clients.metrics.answered(api, *after);
        }
        outbox.sent(&departure);
        if departure.last {
            return Ok("its request could not be served");
        }
    }
}

/// A response as pieces; `files` finds open files.
pub(super) fn encode(
    response: Response,
    files: impl Fn(FileId) -> Result<Arc<std::fs::File>, DiskError>,
) -> Result<Vec<Piece>, Unsendable> {
    let mut pieces = Vec::new();
    for part in chronik_core::wire::encode_response(response)? {
        pieces.push(match part {
            Part::Memory(bytes) => Piece::Memory(bytes),
            Part::File { file, pos, len } => {
                Piece::File { file: files(file)?, pos, len: len as usize }
            }
        });
    }
    Ok(pieces)
}

/// What the shell answers by itself has no files in it.
fn no_file(file: FileId) -> Result<Arc<std::fs::File>, DiskError> {
    Err(DiskError::Io {
        attempt: "sending",
        path: format!("file {}", file.0),
        reason: "the answer is not the core's".into(),
    })
}

/// Why an answer cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsendable {
    /// It does not encode.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It names a file that cannot be read.
    #[error(transparent)]
    File(#[from] DiskError),
}
