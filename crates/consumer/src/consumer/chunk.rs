//! A batch, some records at a time: their base64 decoded, their aggregates taken apart.

#[cfg(feature = "expand")]
pub(super) mod parts;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use tidegate_kpl::{DecodeError, Decoded, Limits};

use crate::envelope::PayloadEncoding;
use crate::event::{Event, Record, User};
use crate::handler::BulkLimits;
use crate::logs::LogEvent;
use crate::outcome::{BoxError, Outcome, Panicked, PoisonReason, Stage};

/// How much is opened at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    records: usize,
    /// As soon as the decoded records are as large, the chunk ends.
    bytes: usize,
}

impl Size {
    /// Enough that lanes are busy and that eight aggregates of the producer's default size are
    /// verified together, and little enough that the bytes stay in the cache; where records are
    /// handled several at once, so much that each lane can have its fill.
    pub(super) fn of(bulk: Option<BulkLimits>, lanes: usize) -> Self {
        let (records, bytes) = bulk.map_or((0, 0), |bulk| (bulk.records, bulk.bytes));
        Self {
            records: records.saturating_mul(lanes).max(128),
            bytes: bytes.saturating_mul(lanes).max(384 * 1024),
        }
    }
}

/// Why a record does not even reach the decoder.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) stage: Stage,
    pub(super) reason: PoisonReason,
    pub(super) error: BoxError,
}

impl Fault {
    fn new(stage: Stage, reason: PoisonReason, error: impl Into<BoxError>) -> Self {
        Self { stage, reason, error: error.into() }
    }

    /// At a part of decoding that is the user's.
    pub(super) fn panicked(panicked: Panicked) -> Self {
        Self::new(Stage::Decode, PoisonReason::Panic, panicked)
    }
}

impl From<Fault> for (Stage, Outcome) {
    fn from(fault: Fault) -> Self {
        (fault.stage, Outcome::Poison(fault.reason, fault.error))
    }
}

/// A record of the batch, and where its data lies in the chunk's.
#[derive(Debug)]
pub(super) struct Opened<'e> {
    index: usize,
    record: Record<'e>,
    data: Result<Range<usize>, Option<Fault>>,
}

/// Opens the records from a place of the batch on. Their data goes into `data`, one buffer for the
/// whole batch.
pub(super) fn open<'e>(
    event: &Event<'e>,
    from: usize,
    size: Size,
    data: &mut Vec<u8>,
) -> Vec<Opened<'e>> {
    data.clear();
    let mut opened = Vec::with_capacity(size.records.min(event.len() - from));
    for index in from..event.len() {
        let Some(record) = event.record(index) else { break };
        let start = data.len();
        let appended = append(&record, data).map(|()| start..data.len()).map_err(Some);
        opened.push(Opened { index, record, data: appended });
        if opened.len() == size.records || data.len() >= size.bytes {
            break;
        }
    }
    opened
}

fn append(record: &Record<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let split = |error| Fault::new(Stage::Split, PoisonReason::Envelope, error);
    // A record has to be named, should it have to come again.
    if record.sequence_number().is_none() {
        return Err(split("the record has no sequence number"));
    }
    let encoded = record.encoded().ok_or_else(|| split("the record has no data"))?;
    append_base64(encoded, data)
        .map_err(|error| Fault::new(Stage::Base64, PoisonReason::Base64, error))
}

/// Standard base64; where that fails, also without its padding or with white space.
fn append_base64(encoded: &str, data: &mut Vec<u8>) -> Result<(), base64_simd::Error> {
    use base64_simd::AppendBase64Decode as _;

    let encoded = encoded.as_bytes();
    let start = data.len();
    if Vec::append_base64_decode(&base64_simd::STANDARD, encoded, data).is_err() {
        data.truncate(start);
        data.extend(base64_simd::forgiving_decode_to_vec(encoded)?);
    }
    Ok(())
}

/// What has an outcome of its own: a record of the stream, a user record of an aggregate, or a log
/// event of an envelope.
#[derive(Debug)]
pub(super) struct Unit<'c> {
    /// The place in the batch of the stream's record.
    pub(super) index: usize,
    parent: &'c Record<'c>,
    user: Option<User<'c>>,
    /// What the producer wrote; of a record that has no payload, what the envelope keeps instead.
    bytes: &'c [u8],
    /// What the decoder gets.
    pub(super) payload: &'c [u8],
    /// Boxed, so that other units stay small.
    #[cfg(feature = "expand")]
    log: Option<Box<Log<'c>>>,
    /// What the envelope keeps.
    pub(super) encoding: PayloadEncoding,
    pub(super) fault: Option<Fault>,
    /// By what it is recognised, should it have been delivered before.
    pub(super) known_by: Option<KnownBy>,
}

/// A key, and whether it is marked.
#[derive(Debug)]
pub(super) struct KnownBy {
    pub(super) key: String,
    pub(super) seen: bool,
}

/// A log event of an envelope.
#[cfg(feature = "expand")]
#[derive(Debug)]
struct Log<'c> {
    /// Absent when the entry cannot be read.
    event: Option<Arc<LogEvent<'c>>>,
    /// The envelope with this event alone, in pieces.
    envelope: [&'c str; 5],
}

impl<'c> Unit<'c> {
    pub(super) fn record(&self) -> Cow<'c, Record<'c>> {
        match self.user {
            None => Cow::Borrowed(self.parent),
            Some(user) => Cow::Owned(self.parent.of_user(user, self.log_event())),
        }
    }

    /// The same, made of the record before it where both are of one whole: a copy each would cost more
    /// than what else is done with a user record before it is decoded.
    pub(super) fn record_in<'r>(&self, last: &'r mut Option<Record<'c>>) -> &'r Record<'c> {
        let Some(user) = self.user else { return self.parent };
        match last {
            Some(last) if last.is_part_of(self.parent) => last.turn_into(user, self.log_event()),
            _ => *last = Some(self.parent.of_user(user, self.log_event())),
        }
        last.as_ref().unwrap_or(self.parent)
    }

    fn new(
        index: usize,
        parent: &'c Record<'c>,
        user: Option<User<'c>>,
        (bytes, encoding): (&'c [u8], PayloadEncoding),
        fault: Option<Fault>,
    ) -> Self {
        Self {
            index,
            parent,
            user,
            bytes,
            payload: bytes,
            #[cfg(feature = "expand")]
            log: None,
            encoding,
            fault,
            known_by: None,
        }
    }

    /// What the quarantine keeps, such that it can be put into the stream again.
    pub(super) fn kept(&self) -> Cow<'c, [u8]> {
        #[cfg(feature = "expand")]
        if let Some(Ok(envelope)) = self.log.as_ref().map(|l| crate::expand::gzipped(&l.envelope)) {
            return Cow::Owned(envelope);
        }
        Cow::Borrowed(self.bytes)
    }

    #[cfg(feature = "expand")]
    fn log_event(&self) -> Option<Arc<LogEvent<'c>>> {
        self.log.as_ref()?.event.clone()
    }

    #[cfg(not(feature = "expand"))]
    const fn log_event(&self) -> Option<Arc<LogEvent<'c>>> {
        None
    }

    /// The partition key, where it is known: not of an entry that cannot be read, and not of the
    /// user records of an aggregate that cannot be taken apart.
    pub(super) fn key(&self) -> Option<&'c str> {
        match (&self.user, &self.fault) {
            (None, Some(Fault { stage: Stage::Deaggregate, .. })) => None,
            (None, _) => self.parent.partition_key(),
            (Some(user), _) => user.partition_key,
        }
    }
}

/// The units of a chunk, and what was seen of aggregates.
#[derive(Debug, Default)]
pub(super) struct Units<'c> {
    pub(super) units: Vec<Unit<'c>>,
    /// Places in the batch of aggregates.
    pub(super) aggregates: Vec<usize>,
    /// Places in the batch of what only begins like one.
    pub(super) unverified: Vec<usize>,
    /// Places in the batch of aggregates without any user record, and envelopes without any log
    /// event.
    pub(super) empty: Vec<usize>,
    pub(super) decompressed: u64,
    pub(super) control_messages: u64,
}

impl<'c> Units<'c> {
    /// Takes what was opened apart.
    pub(super) fn of(opened: &'c mut [Opened<'_>], data: &'c [u8], limits: &Limits) -> Self {
        let bytes = |range: &Range<usize>| data.get(range.clone()).unwrap_or_default();
        let ranges = opened.iter().filter_map(|opened| opened.data.as_ref().ok());
        let whole: Vec<_> = ranges.map(bytes).collect();
        let decoded = tidegate_kpl::decode_all(&whole, limits);
        let parts = |decoded: &Result<Decoded<'_>, _>| match decoded {
            Ok(Decoded::Aggregate(aggregate)) => aggregate.len(),
            _ => 0,
        };
        let count = opened.len() + decoded.iter().map(parts).sum::<usize>();
        let mut units = Self { units: Vec::with_capacity(count), ..Self::default() };
        let mut decoded = whole.iter().zip(decoded);
        for opened in opened {
            match &mut opened.data {
                Ok(_) => {
                    // There is one of each.
                    let Some((bytes, decoded)) = decoded.next() else { break };
                    units.take(opened.index, &opened.record, bytes, decoded);
                }
                Err(fault) => {
                    let fault = fault.take();
                    let split = fault.as_ref().is_some_and(|fault| fault.stage == Stage::Split);
                    let (encoding, text) = if split {
                        (PayloadEncoding::Record, opened.record.raw())
                    } else {
                        let text = opened.record.encoded().unwrap_or_default();
                        (PayloadEncoding::Verbatim, text)
                    };
                    let kept = (text.as_bytes(), encoding);
                    let unit = Unit::new(opened.index, &opened.record, None, kept, fault);
                    units.units.push(unit);
                }
            }
        }
        units
    }

    fn take(
        &mut self,
        index: usize,
        parent: &'c Record<'c>,
        bytes: &'c [u8],
        decoded: Result<Decoded<'c>, DecodeError>,
    ) {
        let refused = |error| Some(Fault::new(Stage::Deaggregate, PoisonReason::Kpl, error));
        // A user record that comes alone was taken out of its aggregate already.
        let decoded = if parent.is_part() { Ok(Decoded::Plain) } else { decoded };
        let fault = match decoded {
            Ok(Decoded::Plain) => None,
            Ok(Decoded::Unverified) => {
                self.unverified.push(index);
                None
            }
            Ok(Decoded::Aggregate(aggregate)) => {
                self.aggregates.push(index);
                if aggregate.is_empty() {
                    self.empty.push(index);
                }
                self.units.extend(aggregate.records().map(|entry| {
                    let sub_sequence_number = entry.sub_sequence_number;
                    let (user, bytes, encoding, fault) = match entry.content {
                        Ok(user) => {
                            let seen = User {
                                sub_sequence_number,
                                partition_key: Some(user.partition_key),
                                explicit_hash_key: user.explicit_hash_key,
                            };
                            (seen, user.data, PayloadEncoding::Base64, None)
                        }
                        Err(malformed) => {
                            let user = User {
                                sub_sequence_number,
                                partition_key: None,
                                explicit_hash_key: None,
                            };
                            let fault = refused(BoxError::from(malformed));
                            (user, entry.message, PayloadEncoding::Entry, fault)
                        }
                    };
                    Unit::new(index, parent, Some(user), (bytes, encoding), fault)
                }));
                return;
            }
            Err(error) => refused(BoxError::from(error)),
        };
        let kept = (bytes, PayloadEncoding::Base64);
        self.units.push(Unit::new(index, parent, None, kept, fault));
    }
}
