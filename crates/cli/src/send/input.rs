//! What the parts of a run tell its one loop, and the thread that reads.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use anyhow::Context;
use regex_lite::Regex;
use tidegate_producer::{Answer, Shard};
use tidegate_runtime::clock;

use super::checkpoint::{Identity, Place};
use super::lines::{Lines, Splitter};
use super::tails;

/// Bytes that are read at once.
pub const CHUNK_BYTES: usize = 256 << 10;

/// What happens.
pub enum Event {
    /// A file is read from there on; its first line, when that was read by an earlier run.
    Opened { input: usize, place: Place, header: Option<Vec<u8>> },
    /// More is known of what tells a file from others.
    Known { input: usize, identity: Identity },
    /// Lines were read; the loop gives a credit back when it has taken them.
    Lines(Lines),
    /// Nothing more comes of this input.
    Finished(usize),
    /// The file is not there any more.
    Gone(usize),
    /// Something that a person should know.
    Note(String),
    /// Nothing more comes at all.
    InputEnded(anyhow::Result<()>),
    /// PutRecords was answered.
    Answered(u64, Result<Vec<Answer>, PutError>),
    /// ListShards was answered.
    Shards(anyhow::Result<Vec<Shard>>),
    /// ListShards failed, and is called again.
    #[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "a terminal has no shards"))]
    Unlisted(String),
    /// Ctrl-C.
    Interrupted,
}

/// Why a request failed.
pub enum PutError {
    /// It was throttled.
    #[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "a terminal is never throttled"))]
    Throttled(String),
    /// It may go well the next time, and whether it did this time nobody knows.
    #[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "a terminal always answers"))]
    Unanswered(String),
    /// It will not.
    Lasting(anyhow::Error),
}

/// Where the reading thread puts what it reads. It waits while the loop has enough to do.
pub struct Outbox {
    events: Sender<Event>,
    credits: Receiver<()>,
    stop: Arc<AtomicBool>,
}

/// The loop is no more.
#[derive(Debug, thiserror::Error)]
#[error("nobody takes what is read")]
pub struct Closed;

impl Outbox {
    /// An outbox whose lines each cost a credit.
    pub const fn new(events: Sender<Event>, credits: Receiver<()>, stop: Arc<AtomicBool>) -> Self {
        Self { events, credits, stop }
    }

    /// Whether reading is to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Tells something.
    pub fn tell(&self, event: Event) -> Result<(), Closed> {
        self.events.send(event).map_err(|_| Closed)
    }

    /// Hands lines over, when the loop takes some.
    pub fn lines(&self, lines: &mut Lines) -> Result<(), Closed> {
        if lines.is_empty() {
            return Ok(());
        }
        self.credits.recv().map_err(|_| Closed)?;
        self.tell(Event::Lines(lines.take()))
    }
}

/// What to read.
pub struct Inputs {
    pub files: Vec<PathBuf>,
    pub follow: bool,
    pub join: Option<Regex>,
    /// What an earlier run knew.
    pub places: Vec<Place>,
    /// What this run writes.
    pub own: Vec<PathBuf>,
}

/// Reads everything, in a thread of its own.
pub fn start(inputs: Inputs, outbox: Outbox) {
    std::thread::spawn(move || {
        let outcome = read(inputs, &outbox);
        // A loop that is gone wants to know nothing.
        let _ = outbox.tell(Event::InputEnded(outcome));
    });
}

fn read(inputs: Inputs, outbox: &Outbox) -> anyhow::Result<()> {
    let stdin = |path: &PathBuf| path.as_os_str() == "-";
    if inputs.files.is_empty() || inputs.files.iter().any(stdin) {
        let mut splitter = Splitter::new(0, inputs.join.clone());
        let (mut bytes, mut lines) = (vec![0; CHUNK_BYTES], Lines::new(tails::STDIN));
        let mut input = std::io::stdin().lock();
        while !outbox.is_stopped() {
            let read = input.read(&mut bytes).context("standard input cannot be read")?;
            if read == 0 {
                break;
            }
            splitter.take(&bytes[..read], clock::now(), &mut lines);
            outbox.lines(&mut lines)?;
        }
        if outbox.is_stopped() && splitter.has_rest() {
            let text = "standard input was interrupted within a line, which is not sent";
            outbox.tell(Event::Note(text.to_owned()))?;
            splitter.stop(&mut lines);
        } else {
            splitter.end(clock::now(), &mut lines);
        }
        outbox.lines(&mut lines)?;
    }
    let files: Vec<_> = inputs.files.into_iter().filter(|path| !stdin(path)).collect();
    let mut tails = tails::Tails::new(files, inputs.join, inputs.own);
    tails.open(inputs.places, inputs.follow, outbox)?;
    tails.read(inputs.follow, outbox)
}
