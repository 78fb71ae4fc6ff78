//! Bytes for what the cluster keeps for itself: commands, checkpoints, frames between brokers.
//! Big-endian, counts checked against the bytes that remain. Kafka's own encoding is in `wire`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::ids::Uuid;

/// Bytes that do not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end before the value does, or a count is larger than what remains.
    #[error("{what} needs {needed} bytes where {left} remain")]
    Short {
        /// What was being read.
        what: &'static str,
        /// How many bytes it needs at least.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// A tag, version or flag that this software does not know.
    #[error("unknown {what} {value}")]
    Unknown {
        /// What was being read.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// Text that is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotText {
        /// What was being read.
        what: &'static str,
    },
    /// Bytes remain after the last value.
    #[error("{0} bytes remain after the end")]
    Trailing(usize),
}

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    buf: BytesMut,
}

impl Writer {
    /// An empty buffer, with room for most of what is written.
    #[must_use]
    pub fn new() -> Writer {
        Writer::with_capacity(64)
    }

    /// An empty buffer with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer { buf: BytesMut::with_capacity(bytes) }
    }

    /// The bytes written so far.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.buf.freeze()
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self, v: u8) -> &mut Self {
        self.buf.put_u8(v);
        self
    }

    /// A flag.
    pub fn bool(&mut self, v: bool) -> &mut Self {
        self.u8(u8::from(v))
    }

    /// Two bytes.
    pub fn i16(&mut self, v: i16) -> &mut Self {
        self.buf.put_i16(v);
        self
    }

    /// Four bytes.
    pub fn u32(&mut self, v: u32) -> &mut Self {
        self.buf.put_u32(v);
        self
    }

    /// Four bytes, signed.
    pub fn i32(&mut self, v: i32) -> &mut Self {
        self.buf.put_i32(v);
        self
    }

    /// Eight bytes.
    pub fn u64(&mut self, v: u64) -> &mut Self {
        self.buf.put_u64(v);
        self
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self, v: i64) -> &mut Self {
        self.buf.put_i64(v);
        self
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, v: Uuid) -> &mut Self {
        self.buf.put_slice(v.as_bytes());
        self
    }

    /// A count, then the bytes.
    pub fn bytes(&mut self, v: &[u8]) -> &mut Self {
        self.count(v.len());
        self.buf.put_slice(v);
        self
    }

    /// A count, then UTF-8.
    pub fn str(&mut self, v: &str) -> &mut Self {
        self.bytes(v.as_bytes())
    }

    /// A flag, then the value if there is one.
    pub fn option<T>(&mut self, v: Option<T>, put: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.bool(v.is_some());
        if let Some(v) = v {
            put(self, v);
        }
        self
    }

    /// A count, then each value.
    pub fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut put: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.count(items.len());
        for item in items {
            put(self, item);
        }
        self
    }

    fn count(&mut self, n: usize) {
        let n = u32::try_from(n).expect("what the cluster keeps for itself is far below 4 GiB");
        self.buf.put_u32(n);
    }
}

/// Takes values off the front of a buffer: of one that is shared, so that parts of it can be shared
/// too, or of a slice.
#[derive(Debug)]
pub struct Reader<B = Bytes> {
    buf: B,
}

impl<B: Buf> Reader<B> {
    /// Reads `buf` from its start.
    #[must_use]
    pub fn new(buf: B) -> Reader<B> {
        Reader { buf }
    }

    /// How many bytes remain.
    #[must_use]
    pub fn left(&self) -> usize {
        self.buf.remaining()
    }

    /// That nothing remains.
    pub fn end(&self) -> Result<(), CodecError> {
        if self.buf.has_remaining() { Err(CodecError::Trailing(self.left())) } else { Ok(()) }
    }

    fn has(&self, what: &'static str, needed: usize) -> Result<(), CodecError> {
        let left = self.left();
        if left < needed { Err(CodecError::Short { what, needed, left }) } else { Ok(()) }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CodecError> {
        self.has(what, N)?;
        let mut out = [0; N];
        self.buf.copy_to_slice(&mut out);
        Ok(out)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, CodecError> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    /// A flag: 0 or 1.
    pub fn bool(&mut self, what: &'static str) -> Result<bool, CodecError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(CodecError::Unknown { what, value: value.into() }),
        }
    }

    /// Two bytes.
    pub fn i16(&mut self, what: &'static str) -> Result<i16, CodecError> {
        Ok(i16::from_be_bytes(self.array(what)?))
    }

    /// Four bytes.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, CodecError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    /// Four bytes, signed.
    pub fn i32(&mut self, what: &'static str) -> Result<i32, CodecError> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    /// Eight bytes.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, CodecError> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self, what: &'static str) -> Result<i64, CodecError> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, what: &'static str) -> Result<Uuid, CodecError> {
        Ok(Uuid::from_bytes(self.array(what)?))
    }

    /// A flag, then the value if there is one.
    pub fn option<T>(
        &mut self,
        what: &'static str,
        get: impl FnOnce(&mut Self) -> Result<T, CodecError>,
    ) -> Result<Option<T>, CodecError> {
        if self.bool(what)? { get(self).map(Some) } else { Ok(None) }
    }

    /// A count, then each value. A value takes at least one byte, so a count beyond the bytes that
    /// remain is refused before anything is allocated.
    pub fn list<T>(
        &mut self,
        what: &'static str,
        mut get: impl FnMut(&mut Self) -> Result<T, CodecError>,
    ) -> Result<Vec<T>, CodecError> {
        let n = self.u32(what)? as usize;
        self.has(what, n)?;
        (0..n).map(|_| get(self)).collect()
    }
}

impl Reader {
    /// `n` bytes, sharing the buffer.
    pub fn take(&mut self, what: &'static str, n: usize) -> Result<Bytes, CodecError> {
        self.has(what, n)?;
        Ok(self.buf.split_to(n))
    }

    /// A count, then the bytes, sharing the buffer.
    pub fn bytes(&mut self, what: &'static str) -> Result<Bytes, CodecError> {
        let n = self.u32(what)? as usize;
        self.take(what, n)
    }

    /// A count, then UTF-8.
    pub fn str(&mut self, what: &'static str) -> Result<String, CodecError> {
        let bytes = self.bytes(what)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(CodecError::NotText { what }),
        }
    }
}
