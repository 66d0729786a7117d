//! What became of every line that was read: what is settled, what was rejected, and how far each
//! file is, which is the checkpoint.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use tidegate_producer::{Record, Settled};

use super::Arguments;
use super::checkpoint::{self, Checkpoint, Identity, Place};
use super::rejected::{Entry, Rejected};
use super::tails::STDIN;

/// Where a line is from.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Which input.
    pub input: usize,
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// A file that is read.
struct Open {
    place: Place,
    is_finished: bool,
    /// Records of it that are not settled.
    waiting: u64,
}

/// The books of a run.
pub struct Ledger<'a> {
    arguments: &'a Arguments,
    files: BTreeMap<usize, Open>,
    /// Where the records are from that are not settled: that of the first, and of those behind it.
    first: u64,
    spans: VecDeque<Option<Span>>,
    rejected: Rejected,
    /// Rejected records by reason.
    pub counts: BTreeMap<String, u64>,
    is_dirty: bool,
}

impl<'a> Ledger<'a> {
    /// Nothing is read yet.
    pub fn new(arguments: &'a Arguments) -> Self {
        Self {
            arguments,
            files: BTreeMap::new(),
            first: 0,
            spans: VecDeque::new(),
            rejected: Rejected::new(arguments.rejected.clone()),
            counts: BTreeMap::new(),
            is_dirty: false,
        }
    }

    /// A file is read from there on.
    pub fn open(&mut self, input: usize, place: Place) {
        let is_finished = place.finished;
        self.files.insert(input, Open { place, is_finished, waiting: 0 });
        self.is_dirty = true;
    }

    /// More is known of what tells it from others, or it is read on in a copy.
    pub fn know(&mut self, input: usize, identity: Identity) {
        if let Some(Open { place, .. }) = self.files.get_mut(&input) {
            if place.identity.number() != identity.number() {
                place.source = Some(place.source());
            }
            place.identity = identity;
        }
    }

    /// Nothing more comes of it.
    pub fn finish(&mut self, input: usize) {
        if let Some(open) = self.files.get_mut(&input) {
            open.is_finished = true;
            self.is_dirty = true;
        }
    }

    /// It is not there any more.
    pub fn forget(&mut self, input: usize) {
        self.files.remove(&input);
        self.is_dirty = true;
    }

    /// The file of an input, which standard input is not.
    pub fn place(&self, input: usize) -> Option<&Place> {
        self.files.get(&input).map(|open| &open.place)
    }

    /// Whether an earlier run has settled it.
    pub fn is_settled(&self, span: Span) -> bool {
        self.place(span.input).is_some_and(|place| place.progress.contains(span.start, span.end))
    }

    /// A line becomes a record, which has the next place.
    pub fn place_of(&mut self, span: Span) -> u64 {
        if let Some(open) = self.files.get_mut(&span.input) {
            open.waiting += 1;
        }
        self.spans.push_back(Some(span));
        self.first + self.spans.len() as u64 - 1
    }

    /// A line is settled; nobody goes on from there where no checkpoint is kept.
    pub fn settle_span(&mut self, span: Span) {
        if self.arguments.checkpoint.is_some()
            && let Some(open) = self.files.get_mut(&span.input)
        {
            open.place.progress.settle(span.start, span.end);
            self.is_dirty = true;
        }
    }

    /// A line of which no record can be made.
    pub fn reject_line(
        &mut self,
        (reason, message): (&str, &str),
        span: Span,
        line: &[u8],
    ) -> anyhow::Result<()> {
        self.reject((reason, message), span, None, line)?;
        self.rejected.sync()?;
        self.settle_span(span);
        Ok(())
    }

    fn reject(
        &mut self,
        (reason, message): (&str, &str),
        span: Span,
        partition_key: Option<&str>,
        data: &[u8],
    ) -> anyhow::Result<()> {
        *self.counts.entry(reason.to_owned()).or_default() += 1;
        let name = match self.place(span.input) {
            Some(place) if span.input != STDIN => place.path.display().to_string(),
            _ => "standard input".to_owned(),
        };
        let place = format!("{name}, byte {}", span.start);
        self.rejected.add(&Entry { reason, message, place: &place, partition_key, data })
    }

    /// Writes down what the producer has settled: rejected records first, then the checkpoint.
    pub fn settle(&mut self, settled: Vec<Settled>) -> anyhow::Result<()> {
        let mut spans = Vec::with_capacity(settled.len());
        for Settled { place, rejected } in settled {
            let Some(span) = self.take(place) else { continue };
            if let Some(rejection) = rejected {
                let Record { partition_key, data, .. } = &rejection.record;
                let why = (rejection.reason, rejection.message.as_str());
                self.reject(why, span, Some(partition_key), data)?;
            }
            spans.push(span);
        }
        self.rejected.sync()?;
        for span in spans {
            self.settle_span(span);
        }
        self.write(false)
    }

    /// Where the record of a place is from, once.
    fn take(&mut self, place: u64) -> Option<Span> {
        let index = usize::try_from(place.checked_sub(self.first)?).ok()?;
        let span = self.spans.get_mut(index)?.take()?;
        while self.spans.front().is_some_and(Option::is_none) {
            self.spans.pop_front();
            self.first += 1;
        }
        if let Some(open) = self.files.get_mut(&span.input) {
            open.waiting -= 1;
        }
        Some(span)
    }

    /// Writes the checkpoint, when there is something new to write.
    pub fn write(&mut self, clean: bool) -> anyhow::Result<()> {
        let Some(path) = &self.arguments.checkpoint else { return Ok(()) };
        if !self.is_dirty && !clean {
            return Ok(());
        }
        self.is_dirty = false;
        checkpoint::write(path, &Checkpoint::new(&self.arguments.stream, clean, self.places()))
    }

    /// The files that a later run must know.
    fn places(&self) -> Vec<Place> {
        let place = |open: &Open| Place {
            finished: open.place.finished
                || (self.arguments.follow && open.is_finished && open.waiting == 0),
            ..open.place.clone()
        };
        self.files.values().map(place).collect()
    }
}

/// What an earlier run has written down; what there is to say of it goes to `say`.
pub fn earlier(arguments: &Arguments, say: impl Fn(&str)) -> anyhow::Result<Vec<Place>> {
    let Some(path) = &arguments.checkpoint else { return Ok(Vec::new()) };
    let checkpoint = checkpoint::read(path, &arguments.stream)?;
    if !checkpoint.clean {
        say(&format!(
            "{}: the last run was ended before it knew what became of everything it had sent; what \
             was in flight then is sent again",
            path.display()
        ));
    }
    // A disk that is full is found out now, and not when something was sent.
    let stream = &arguments.stream;
    checkpoint::write(path, &Checkpoint::new(stream, false, checkpoint.files.clone()))?;
    Ok(checkpoint.files)
}

/// What a run itself writes.
pub fn own(arguments: &Arguments) -> Vec<std::path::PathBuf> {
    let checkpoint = arguments.checkpoint.as_deref();
    let files = [checkpoint.map(Path::to_owned), checkpoint.map(checkpoint::scratch)];
    files.into_iter().flatten().chain([arguments.rejected.clone()]).collect()
}
