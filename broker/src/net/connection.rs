//! One client connection: bytes to requests, answers to bytes, in one task. What a request means
//! is the core's; the order of answers is [`super::outbox`]'s.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use chronik_core::core::input::{ConnId, Input, Token};
use chronik_core::log::disk::{DiskError, FileId};
use chronik_core::wire::frame::{self, Frame};
use chronik_core::wire::{DecodeError, EncodeError, Part, Response, decode_request};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::listener::Clients;
use super::outbox::{Answer, Outbox, Piece};

/// The least that one read makes room for.
const READ_BYTES_MIN: usize = 16 << 10;
/// The most: a length that lies costs no more memory than the bytes that came, and this.
const READ_BYTES_MAX: usize = 1 << 20;
/// Pieces of one vectored write.
const WRITE_PIECES_MAX: usize = 64;

/// Serves a connection until it ends.
pub(super) async fn serve(
    clients: &Clients,
    id: ConnId,
    host: Arc<str>,
    socket: &TcpStream,
    outbox: &Rc<Outbox>,
) {
    let reader = Reader { clients, id, host, socket, outbox };
    let reason = tokio::select! {
        end = reader.run() => end,
        end = write_answers(clients, socket, outbox) => end,
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
    socket: &'a TcpStream,
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
                    if self.read(&mut buf).await? == 0 {
                        return Ok("the client closed it");
                    }
                }
                Err(error) => {
                    self.refuse(&error);
                    self.close();
                    return std::future::pending().await;
                }
            }
        }
    }

    async fn read(&self, buf: &mut BytesMut) -> io::Result<usize> {
        loop {
            self.socket.readable().await?;
            match self.socket.try_read_buf(buf) {
                Ok(n) => {
                    self.clients.metrics.received_bytes.inc_by(n as u64);
                    return Ok(n);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
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
                let host = Arc::clone(&self.host);
                self.clients.node.input(Input::Request { token, host, request });
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
    socket: &TcpStream,
    outbox: &Outbox,
) -> io::Result<&'static str> {
    loop {
        let mut departure = outbox.next().await;
        let bytes: usize = departure.pieces.iter().map(Piece::bytes).sum();
        write_pieces(socket, &mut departure.pieces).await?;
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

/// Writes all pieces in order: memory many at once, files by the kernel without a copy here.
async fn write_pieces(socket: &TcpStream, pieces: &mut VecDeque<Piece>) -> io::Result<()> {
    while let Some(front) = pieces.front_mut() {
        let tried = match front {
            Piece::File { file, pos, len } => socket.try_io(Interest::WRITABLE, || {
                let sent = rustix::fs::sendfile(socket, &**file, Some(pos), *len)?;
                if sent == 0 && *len > 0 {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "a segment is shorter than its index says",
                    ));
                }
                *len -= sent;
                Ok(())
            }),
            Piece::Memory(_) => {
                let slices: Vec<IoSlice<'_>> = pieces
                    .iter()
                    .map_while(|piece| match piece {
                        Piece::Memory(bytes) => Some(IoSlice::new(bytes)),
                        Piece::File { .. } => None,
                    })
                    .take(WRITE_PIECES_MAX)
                    .collect();
                let written = socket.try_write_vectored(&slices);
                written.map(|n| forget(pieces, n))
            }
        };
        match tried {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => socket.writable().await?,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        while pieces.front().is_some_and(|piece| piece.bytes() == 0) {
            pieces.pop_front();
        }
    }
    Ok(())
}

/// Takes `written` bytes of memory off the front.
fn forget(pieces: &mut VecDeque<Piece>, mut written: usize) {
    while let Some(Piece::Memory(bytes)) = pieces.front_mut() {
        if bytes.len() > written {
            bytes.advance(written);
            return;
        }
        written -= bytes.len();
        pieces.pop_front();
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
