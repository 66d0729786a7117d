//! gzip and zstd, within bounds.

use std::io::{self, Read, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use flate2::Compression as Level;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::{Compression, Expand, ExpandError};
use crate::outcome::BoxError;

/// Decompresses records, one after the other.
pub(crate) struct Inflater {
    expand: Expand,
    /// Its tables and its window are worth keeping: a record is often smaller than they are.
    zstd: Option<FrameDecoder>,
}

enum Failure {
    Corrupt(BoxError),
    TooLarge,
    Window,
}

impl Inflater {
    pub(crate) const fn new(expand: Expand) -> Self {
        Self { expand, zstd: None }
    }

    /// Appends what a record expands to, at most so many bytes; where that fails, nothing.
    pub(crate) fn append(
        &mut self,
        kind: Compression,
        data: &[u8],
        allowed: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), ExpandError> {
        let start = buffer.len();
        let limit = start.saturating_add(allowed);
        // The decompressors of others, on bytes that anybody may have written.
        let inflated = catch_unwind(AssertUnwindSafe(|| match kind {
            Compression::Gzip => read_to(MultiGzDecoder::new(data), limit, buffer),
            Compression::Zstd => self.frames(data, limit, buffer),
        }));
        let inflated = inflated.unwrap_or_else(|_| {
            // In the middle of something: it is made anew.
            self.zstd = None;
            Err(Failure::Corrupt("the decompressor panicked".into()))
        });
        inflated.map_err(|failure| {
            buffer.truncate(start);
            match failure {
                Failure::Corrupt(source) => ExpandError::Corrupt { kind, source },
                Failure::TooLarge => ExpandError::TooLarge { allowed },
                Failure::Window => ExpandError::Window { allowed: self.expand.bytes_max },
            }
        })
    }

    fn frames(
        &mut self,
        mut data: &[u8],
        limit: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let zstd = self.zstd.get_or_insert_with(FrameDecoder::new);
        // A small record may well be written with a large window, which is memory all the same.
        zstd.set_max_window_size(self.expand.bytes_max as u64);
        while !data.is_empty() {
            match StreamingDecoder::new_with_decoder(&mut data, &mut *zstd) {
                Ok(mut frame) => read_to(&mut frame, limit, buffer)?,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let rest = usize::try_from(length).ok().and_then(|length| data.get(length..));
                    data = rest.ok_or_else(|| corrupt("a frame to be skipped is cut off"))?;
                    continue;
                }
                Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Err(Failure::Window),
                Err(error) => return Err(corrupt(error)),
            }
            let said = zstd.get_checksum_from_data();
            if said.is_some() && said != zstd.get_calculated_checksum() {
                return Err(corrupt("the checksum of a frame is another"));
            }
        }
        Ok(())
    }
}

fn corrupt(error: impl Into<BoxError>) -> Failure {
    Failure::Corrupt(error.into())
}

/// Reads to the end, or until the buffer is fuller than it may be.
fn read_to(reader: impl Read, limit: usize, buffer: &mut Vec<u8>) -> Result<(), Failure> {
    let left = limit.saturating_sub(buffer.len());
    let read = reader.take(left as u64 + 1).read_to_end(buffer).map_err(corrupt)?;
    if read > left { Err(Failure::TooLarge) } else { Ok(()) }
}

/// These pieces as gzip, the same bytes for the same pieces.
pub(crate) fn gzipped(pieces: &[&str]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    for piece in pieces {
        encoder.write_all(piece.as_bytes())?;
    }
    encoder.finish()
}
