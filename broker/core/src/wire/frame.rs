//! Frames of a connection: a length of four bytes, then so many bytes. Reading sockets is the shell's.

use bytes::{Bytes, BytesMut};

/// The length prefix's own length.
pub const PREFIX_BYTES: usize = size_of::<i32>();

/// What the bytes that arrived so far begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Part of a frame. More bytes have to come: so many at least, none of them taken yet.
    Incomplete {
        /// How many bytes are missing.
        missing: usize,
    },
    /// A frame, without its length prefix, taken off the buffer.
    Whole(Bytes),
}

/// A length that no client sends; close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than the limit.
    #[error("a request of {len} bytes is longer than the limit of {max}")]
    TooLarge {
        /// What the prefix says.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Below zero: probably not the Kafka protocol at all.
    #[error("a request has the length {len}")]
    Negative {
        /// What the prefix says.
        len: i32,
    },
}

/// Takes the next frame off the front of `buf`. The frame shares `buf`'s memory. Reserve room for
/// what is missing bit by bit: a stranger can tell of a long frame and never send it.
pub fn split(buf: &mut BytesMut, request_bytes_max: usize) -> Result<Frame, FrameError> {
    let Some(prefix) = buf.first_chunk::<PREFIX_BYTES>() else {
        return Ok(Frame::Incomplete { missing: PREFIX_BYTES - buf.len() });
    };
    let len = i32::from_be_bytes(*prefix);
    let len = usize::try_from(len).map_err(|_| FrameError::Negative { len })?;
    if len > request_bytes_max {
        return Err(FrameError::TooLarge { len, max: request_bytes_max });
    }
    let whole = PREFIX_BYTES + len;
    if buf.len() < whole {
        return Ok(Frame::Incomplete { missing: whole - buf.len() });
    }
    let mut frame = buf.split_to(whole).freeze();
    Ok(Frame::Whole(frame.split_off(PREFIX_BYTES)))
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    #[test]
    fn frames_come_one_by_one_however_they_arrive() {
        let mut all = Vec::new();
        for body in [&b"one"[..], b"", b"three"] {
            all.put_i32(i32::try_from(body.len()).unwrap());
            all.put_slice(body);
        }
        for chunk in 1..all.len() {
            let mut buf = BytesMut::new();
            let mut frames = Vec::new();
            for bytes in all.chunks(chunk) {
                buf.put_slice(bytes);
                while let Frame::Whole(frame) = split(&mut buf, 5).unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [&b"one"[..], b"", b"three"]);
            assert_eq!(split(&mut buf, 5), Ok(Frame::Incomplete { missing: 4 }));
        }
    }

    #[test]
    fn missing_bytes_are_told() {
        let mut buf = BytesMut::from(&[0, 0, 0, 9, 1][..]);
        assert_eq!(split(&mut buf, 9), Ok(Frame::Incomplete { missing: 8 }));
        assert_eq!(buf.len(), 5);
    }

    #[test]
    fn lengths_that_no_client_sends_are_refused_before_their_bytes_arrive() {
        let mut buf = BytesMut::from(&[0, 0, 0, 9][..]);
        assert_eq!(split(&mut buf, 8), Err(FrameError::TooLarge { len: 9, max: 8 }));
        let mut buf = BytesMut::from(&b"\xff\xff\xff\xff"[..]);
        assert_eq!(split(&mut buf, 8), Err(FrameError::Negative { len: -1 }));
        let mut http = BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]);
        let len = usize::try_from(u32::from_be_bytes(*b"GET ")).unwrap();
        assert_eq!(split(&mut http, 100 << 20), Err(FrameError::TooLarge { len, max: 100 << 20 }));
    }
}
