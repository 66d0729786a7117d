//! What a simulated policy sees, and what it may ask for.

use jiff::Timestamp;

use super::model::{Kind, Minute, Reshard};

/// A policy that is simulated: asked once a minute.
pub trait Policy {
    /// The shards to begin with, where they are not the usual ones.
    fn start(&self, usual: u32) -> u32 {
        usual
    }

    /// What is visible now; perhaps a change.
    fn look(&mut self, seen: &Seen<'_>) -> Option<Change>;

    /// The change was accepted, and its reshard runs from one minute up to another.
    fn accepted(&mut self, _change: &Change, _began: usize, _ends: usize) {}

    /// It was refused; perhaps there is another way.
    fn refused(&mut self, _change: &Change, _why: Refused) -> Option<Change> {
        None
    }
}

/// What is visible at the start of a minute.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The minute, counted from the first of the history.
    pub minute: usize,
    /// When it begins.
    pub now: Timestamp,
    /// The open shards; those before it, while a reshard is under way.
    pub open: u32,
    /// The reshard that is under way.
    pub reshard: Option<Reshard>,
    /// The minutes that CloudWatch shows, from the first on.
    pub visible: &'a [Minute],
}

impl Seen<'_> {
    /// The newest visible minutes, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Minute> {
        self.visible.iter().rev()
    }

    /// The mean accepted load of each five visible minutes, newest first, in shards. The windows
    /// slide with the newest minute and are not aligned to the clock; an incomplete one is left out.
    pub fn five_minute_loads(&self) -> impl Iterator<Item = f64> {
        let means =
            |window: &[Minute]| window.iter().map(|minute| minute.accepted).sum::<f64>() / 5.0;
        self.visible.rchunks_exact(5).map(means)
    }

    /// The accepted load of the newest visible minutes against the shards that were open then,
    /// newest first.
    pub fn utilizations(&self) -> impl Iterator<Item = f64> {
        self.newest().map(|minute| minute.accepted / minute.capacity)
    }
}

/// The reason for more shards.
const BUSY: &str = "busy";

/// A change that a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The shards to have.
    pub to: u32,
    /// By which call.
    pub kind: Kind,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

impl Change {
    /// By UpdateShardCount.
    pub fn update(to: u32, reason: &str, message: String) -> Self {
        Self { to, kind: Kind::Update, reason: reason.to_owned(), message }
    }

    /// Because the shards are busy.
    pub fn more(to: u32, message: String) -> Self {
        Self::update(to, BUSY, message)
    }

    /// Because they are not.
    pub fn fewer(to: u32, message: String) -> Self {
        Self::update(to, "quiet", message)
    }

    /// Whether it was asked for because the shards are busy.
    pub fn is_more(&self) -> bool {
        self.reason == BUSY
    }
}

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A reshard is under way.
    InUse,
    /// The target is not between half and double, or is what is open already.
    Step,
    /// Ten were accepted in the 24 hours before.
    Spent,
}

/// The pauses of policies that have one after more shards, which holds everything, and one after
/// fewer, which holds only fewer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pauses {
    more: usize,
    fewer: usize,
}

impl Pauses {
    /// Pauses after a change until a minute.
    pub fn after(&mut self, change: &Change, until: usize) {
        let ends = if change.is_more() { &mut self.more } else { &mut self.fewer };
        *ends = until;
    }

    /// Whether more shards may be asked for.
    pub fn allow_more(&self, now: usize) -> bool {
        now >= self.more
    }

    /// Whether fewer may be.
    pub fn allow_fewer(&self, now: usize) -> bool {
        now >= self.more.max(self.fewer)
    }
}
