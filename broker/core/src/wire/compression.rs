//! Inflating compressed records, up to a limit. Nothing is compressed here: batches are stored and
//! served as producers made them.

use std::io::{self, Read};

use bytes::Bytes;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    /// Not at all.
    None,
    /// Gzip.
    Gzip,
    /// Snappy, raw or in the framing of the Java library.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// The codec with these attribute bits.
    #[must_use]
    pub const fn from_bits(bits: i16) -> Option<Codec> {
        match bits {
            0 => Some(Codec::None),
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Snappy),
            3 => Some(Codec::Lz4),
            4 => Some(Codec::Zstd),
            _ => None,
        }
    }
}

/// Records that cannot be inflated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// They would take more than the limit.
    #[error("records inflate to more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// They are damaged, or not of this codec.
    #[error("records cannot be inflated as {codec:?}: {reason}")]
    Damaged {
        /// The codec that the batch tells of.
        codec: Codec,
        /// The decoder's words.
        reason: String,
    },
}

/// Inflates `records` to at most `max` bytes. Uncompressed ones are passed on as they are.
pub fn inflate(codec: Codec, records: &Bytes, max: usize) -> Result<Bytes, CompressionError> {
    match codec {
        Codec::None => Ok(records.clone()),
        Codec::Gzip => drain(codec, flate2::read::MultiGzDecoder::new(&records[..]), max),
        Codec::Lz4 => drain(codec, lz4_flex::frame::FrameDecoder::new(&records[..]), max),
        Codec::Zstd => match zstd::stream::read::Decoder::with_buffer(&records[..]) {
            Ok(decoder) => drain(codec, decoder, max),
            Err(error) => Err(damaged(codec, &error)),
        },
        Codec::Snappy => snappy(records, max),
    }
}

fn damaged(codec: Codec, reason: &dyn std::fmt::Display) -> CompressionError {
    CompressionError::Damaged { codec, reason: reason.to_string() }
}

fn drain(codec: Codec, decoder: impl Read, max: usize) -> Result<Bytes, CompressionError> {
    let mut out = Vec::new();
    // One byte more than the limit tells a full buffer from an overfull one.
    let read: io::Result<usize> = decoder.take(max as u64 + 1).read_to_end(&mut out);
    match read {
        Err(error) => Err(damaged(codec, &error)),
        Ok(n) if n > max => Err(CompressionError::TooLarge { max }),
        Ok(_) => Ok(Bytes::from(out)),
    }
}

/// What the Java library's framing begins with; two version numbers of four bytes follow.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_VERSIONS_BYTES: usize = 8;

fn snappy(records: &[u8], max: usize) -> Result<Bytes, CompressionError> {
    let mut out = Vec::new();
    let Some(framed) = records.strip_prefix(XERIAL_MAGIC) else {
        snappy_block(records, max, &mut out)?;
        return Ok(Bytes::from(out));
    };
    let short = || damaged(Codec::Snappy, &"the framing is cut off");
    let mut rest = framed.get(XERIAL_VERSIONS_BYTES..).ok_or_else(short)?;
    while !rest.is_empty() {
        let (len, blocks) = rest.split_first_chunk().ok_or_else(short)?;
        let len = u32::from_be_bytes(*len) as usize;
        let (block, next) = blocks.split_at_checked(len).ok_or_else(short)?;
        snappy_block(block, max, &mut out)?;
        rest = next;
    }
    Ok(Bytes::from(out))
}

/// Appends one inflated block to `out`.
fn snappy_block(block: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let codec = Codec::Snappy;
    let len = snap::raw::decompress_len(block).map_err(|e| damaged(codec, &e))?;
    let begin = out.len();
    if begin.saturating_add(len) > max {
        return Err(CompressionError::TooLarge { max });
    }
    // A block says how long it is; no block of so few bytes can be so long.
    if len > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(damaged(codec, &"the length is not that of the block"));
    }
    out.resize(begin + len, 0);
    let target = out.get_mut(begin..).unwrap_or_default();
    let written =
        snap::raw::Decoder::new().decompress(block, target).map_err(|e| damaged(codec, &e))?;
    out.truncate(begin + written);
    Ok(())
}

/// A copy of at most 64 bytes takes at least three bytes of a snappy block.
const SNAPPY_RATIO_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &[u8] = b"a record, and a record, and a record, and once more a record";

    fn compressed(codec: Codec, text: &[u8]) -> Bytes {
        let out = match codec {
            Codec::None => text.to_vec(),
            Codec::Gzip => {
                let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                e.write_all(text).unwrap();
                e.finish().unwrap()
            }
            Codec::Snappy => snap::raw::Encoder::new().compress_vec(text).unwrap(),
            Codec::Lz4 => {
                let mut e = lz4_flex::frame::FrameEncoder::new(Vec::new());
                e.write_all(text).unwrap();
                e.finish().unwrap()
            }
            Codec::Zstd => zstd::stream::encode_all(text, 1).unwrap(),
        };
        Bytes::from(out)
    }

    fn xerial(blocks: &[&[u8]]) -> Bytes {
        let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
        for block in blocks {
            let block = compressed(Codec::Snappy, block);
            out.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
            out.extend(block);
        }
        Bytes::from(out)
    }

    const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[test]
    fn every_codec_inflates_up_to_the_limit() {
        for (bits, codec) in ALL.into_iter().enumerate() {
            assert_eq!(Codec::from_bits(i16::try_from(bits).unwrap()), Some(codec));
            let small = compressed(codec, TEXT);
            assert_eq!(inflate(codec, &small, TEXT.len()).unwrap(), TEXT, "{codec:?}");
            let empty = compressed(codec, b"");
            assert_eq!(inflate(codec, &empty, 0).unwrap(), b""[..], "{codec:?}");
        }
        assert_eq!(Codec::from_bits(5), None);
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        let zeroes = vec![0; 10 << 20];
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let bomb = compressed(codec, &zeroes);
            let refused = inflate(codec, &bomb, 1 << 20);
            assert_eq!(refused, Err(CompressionError::TooLarge { max: 1 << 20 }), "{codec:?}");
        }
        let bomb = xerial(&[&zeroes[..600 << 10], &zeroes[..600 << 10]]);
        let refused = inflate(Codec::Snappy, &bomb, 1 << 20);
        assert_eq!(refused, Err(CompressionError::TooLarge { max: 1 << 20 }));
    }

    #[test]
    fn the_java_framing_of_snappy_is_read() {
        let (front, back) = TEXT.split_at(17);
        assert_eq!(inflate(Codec::Snappy, &xerial(&[front, back]), 1000).unwrap(), TEXT);
        assert_eq!(inflate(Codec::Snappy, &xerial(&[]), 1000).unwrap(), b""[..]);
    }

    #[test]
    fn damage_is_an_error_at_every_place() {
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let good = compressed(codec, TEXT);
            for cut in 0..good.len() {
                let cut_off = inflate(codec, &good.slice(..cut), 1000);
                // Some decoders take a missing end mark for the end; what they gave is right.
                assert!(cut_off.map_or(true, |b| TEXT.starts_with(&b)), "{codec:?} {cut}");
                let mut bent = good.to_vec();
                bent[cut] ^= 0xff;
                let _ = inflate(codec, &Bytes::from(bent), 1000);
            }
        }
        let framed = xerial(&[TEXT]);
        for cut in 8..framed.len() {
            let cut_off = inflate(Codec::Snappy, &framed.slice(..cut), 1000);
            assert!(cut_off.is_err() || cut == 16, "{cut}");
        }
        let liar = Bytes::from_static(b"\xff\xff\xff\x7f\0");
        assert!(matches!(
            inflate(Codec::Snappy, &liar, usize::MAX),
            Err(CompressionError::Damaged { .. })
        ));
    }
}
