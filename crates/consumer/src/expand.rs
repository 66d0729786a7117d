//! Records that are more than they look: compressed, or many log events in one.

mod inflate;

use std::fmt;

use crate::logs::EnvelopeError;
use crate::outcome::{BoxError, PoisonReason};

pub(crate) use self::inflate::{Inflater, gzipped};

/// Every record may expand to as much, whatever its own size: a ratio says little about few bytes.
const BYTES_FREE: usize = 64 * 1024;

/// Which records are expanded before they are decoded, and how far.
///
/// A record is told by its first bytes. One that is not compressed is never touched. What cannot be
/// expanded is poison, as [`Decompress`](PoisonReason::Decompress), or, when it is larger than what
/// is allowed here, as [`DecompressLimit`](PoisonReason::DecompressLimit); either way the quarantine
/// keeps the record as the producer wrote it. The user records of an aggregate are expanded like
/// records of the stream.
///
/// ```
/// use tidegate_consumer::{Expand, Options};
///
/// let mut options = Options::default();
/// options.expand = Expand::auto();
/// assert_eq!(options.expand.bytes_max, 16 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expand {
    /// gzip, of any number of members, and zstd, of any number of frames.
    pub compressed: bool,
    /// A compressed record that is an envelope of a subscription to CloudWatch Logs becomes as many
    /// records as it has log events: each with its message as payload, its place as
    /// [`sub_sequence_number`](crate::Record::sub_sequence_number), what the envelope says of it as
    /// [`log_event`](crate::Record::log_event), and an outcome of its own. Several envelopes one
    /// after the other are read as one; a control message is skipped.
    ///
    /// Not within an aggregate, whose places are those of the user records: there the decoder gets
    /// the envelope as it is.
    pub cloudwatch_logs: bool,
    /// How many bytes one record of the stream may expand to, all of its parts together.
    pub bytes_max: usize,
    /// How many times its own size a record may expand to. Up to 64 KiB count for nothing.
    ///
    /// Logs shrink to a tenth or a fiftieth, and gzip ends at 1,032 times. A batch of bombs costs
    /// the time of this ratio and not of that one.
    pub ratio_max: usize,
    /// How many log events the envelopes of one record may hold.
    pub events_max: usize,
}

impl Expand {
    /// Nothing is expanded: the decoder gets what the producer wrote.
    pub const fn none() -> Self {
        Self {
            compressed: false,
            cloudwatch_logs: false,
            // Firehose, which decompresses such records as well, has no limit of its own to follow;
            // a record of 1 MiB at the usual ratio of logs stays below.
            bytes_max: 16 << 20,
            ratio_max: 200,
            events_max: 100_000,
        }
    }

    /// Compressed records are decompressed, and nothing is taken apart.
    pub const fn compressed() -> Self {
        Self { compressed: true, ..Self::none() }
    }

    /// Compressed records are decompressed, and the envelopes of CloudWatch Logs among them taken
    /// apart.
    pub const fn auto() -> Self {
        Self { cloudwatch_logs: true, ..Self::compressed() }
    }

    /// The word for it: `none`, `compressed` or `auto`.
    pub const fn name(&self) -> &'static str {
        match (self.compressed, self.cloudwatch_logs) {
            (false, _) => "none",
            (true, false) => "compressed",
            (true, true) => "auto",
        }
    }

    /// What a record of this size may expand to.
    pub(crate) fn allowance(&self, bytes: usize) -> usize {
        bytes.saturating_mul(self.ratio_max).max(BYTES_FREE).min(self.bytes_max)
    }
}

/// How a record is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// RFC 1952, with the only method that it knows.
    Gzip,
    /// RFC 8878: a frame, or one that is to be skipped.
    Zstd,
}

impl Compression {
    pub(crate) const fn of(data: &[u8]) -> Option<Self> {
        match data {
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Why a record could not be expanded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExpandError {
    #[error("the record begins like {kind} and cannot be decompressed")]
    Corrupt {
        kind: Compression,
        #[source]
        source: BoxError,
    },
    #[error("the record expands to more than {allowed} bytes")]
    TooLarge { allowed: usize },
    #[error("the record needs a window of more than {allowed} bytes to be decompressed")]
    Window { allowed: usize },
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

impl ExpandError {
    pub(crate) const fn reason(&self) -> PoisonReason {
        match self {
            Self::Corrupt { .. } => PoisonReason::Decompress,
            Self::TooLarge { .. } | Self::Window { .. } => PoisonReason::DecompressLimit,
            Self::Envelope(error) => error.reason(),
        }
    }
}
