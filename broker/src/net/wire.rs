//! The bytes of one client's connection: as they are, or within TLS. Without TLS nothing stands
//! between the socket and the buffers, and files are sent by the kernel.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, BufRead as _, ErrorKind, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::outbox::Piece;

/// Pieces of one vectored write.
const WRITE_PIECES_MAX: usize = 64;
/// What is encrypted before it is sent: a few of TLS's records, which have at most 16 KiB.
const ENCRYPT_BYTES: usize = 64 << 10;

/// A connection's bytes.
#[derive(Debug)]
pub(super) enum Wire {
    /// As they are.
    Plain(TcpStream),
    /// Within TLS.
    Tls(Box<Session>),
}

impl Wire {
    /// Reads what there is, and waits for something if there is nothing; 0 at the end.
    pub(super) async fn read(&self, buf: &mut BytesMut) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => loop {
                socket.readable().await?;
                match socket.try_read_buf(buf) {
                    Ok(n) => return Ok(n),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(e) => return Err(e),
                }
            },
            Wire::Tls(session) => session.read(buf).await,
        }
    }

    /// Writes all pieces in order.
    pub(super) async fn write(&self, pieces: &mut VecDeque<Piece>) -> io::Result<()> {
        match self {
            Wire::Plain(socket) => write_plain(socket, pieces).await,
            Wire::Tls(session) => session.write(pieces).await,
        }
    }
}

/// Memory many pieces at once, files by the kernel without a copy here.
async fn write_plain(socket: &TcpStream, pieces: &mut VecDeque<Piece>) -> io::Result<()> {
    while let Some(front) = pieces.front_mut() {
        let tried = match front {
            Piece::File { file, pos, len } => socket.try_io(Interest::WRITABLE, || {
                let sent = rustix::fs::sendfile(socket, &**file, Some(pos), *len)?;
                if sent == 0 && *len > 0 {
                    return Err(too_short());
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
        forget_empty(pieces);
    }
    Ok(())
}

fn too_short() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "a segment is shorter than its index says")
}

fn forget_empty(pieces: &mut VecDeque<Piece>) {
    while pieces.front().is_some_and(|piece| piece.bytes() == 0) {
        pieces.pop_front();
    }
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

/// A connection within TLS. One task reads and writes, so it is never borrowed twice: no borrow is
/// held over a wait.
#[derive(Debug)]
pub(super) struct Session {
    socket: TcpStream,
    tls: RefCell<ServerConnection>,
}

impl Session {
    /// Goes through the handshake.
    pub(super) async fn accept(
        socket: TcpStream,
        config: Arc<ServerConfig>,
    ) -> io::Result<Session> {
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(ENCRYPT_BYTES));
        let session = Session { socket, tls: RefCell::new(tls) };
        loop {
            let handshaking = session.tls.borrow().is_handshaking();
            // Also what tells a client why it is refused.
            let taken = if handshaking { session.take_in().await } else { Ok(1) };
            session.send_out().await?;
            match taken? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                _ if !handshaking => return Ok(session),
                _ => {}
            }
        }
    }

    /// Decrypts what comes next; 0 at the end.
    async fn take_in(&self) -> io::Result<usize> {
        loop {
            self.socket.readable().await?;
            let mut tls = self.tls.borrow_mut();
            match tls.read_tls(&mut Socket(&self.socket)) {
                Ok(n) => {
                    tls.process_new_packets()
                        .map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
                    return Ok(n);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Sends all that is encrypted.
    async fn send_out(&self) -> io::Result<()> {
        loop {
            let sent = {
                let mut tls = self.tls.borrow_mut();
                if !tls.wants_write() {
                    return Ok(());
                }
                tls.write_tls(&mut Socket(&self.socket))
            };
            match sent {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.socket.writable().await?,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    async fn read(&self, buf: &mut BytesMut) -> io::Result<usize> {
        loop {
            {
                let mut tls = self.tls.borrow_mut();
                let mut reader = tls.reader();
                match reader.fill_buf() {
                    Ok(chunk) => {
                        let n = chunk.len();
                        buf.extend_from_slice(chunk);
                        reader.consume(n);
                        return Ok(n);
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(e) => return Err(e),
                }
            }
            // The client may go without a word of TLS: an end like any other.
            if self.take_in().await? == 0 {
                return Ok(0);
            }
        }
    }

    async fn write(&self, pieces: &mut VecDeque<Piece>) -> io::Result<()> {
        let mut copy = Vec::new();
        while let Some(front) = pieces.front_mut() {
            match front {
                Piece::File { file, pos, len } => {
                    copy.resize((*len).min(ENCRYPT_BYTES), 0);
                    let n = file.read_at(&mut copy, *pos)?;
                    if n == 0 && *len > 0 {
                        return Err(too_short());
                    }
                    let mut rest = &copy[..n];
                    while !rest.is_empty() {
                        let taken = self.tls.borrow_mut().writer().write(rest)?;
                        rest = &rest[taken..];
                        self.send_out().await?;
                    }
                    *pos += n as u64;
                    *len -= n;
                }
                Piece::Memory(bytes) => {
                    // Small pieces are gathered; when no more fits, it is sent.
                    let taken = self.tls.borrow_mut().writer().write(bytes)?;
                    bytes.advance(taken);
                    if !bytes.is_empty() {
                        self.send_out().await?;
                    }
                }
            }
            forget_empty(pieces);
        }
        self.send_out().await
    }
}

/// A socket as rustls takes one: it says when it would have to wait.
struct Socket<'a>(&'a TcpStream);

impl io::Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl io::Write for Socket<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
