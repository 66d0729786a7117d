//! Floors by the calendar: a window that a cron expression opens, in which a stream has at least so
//! many shards, and the time before it that getting there takes.
//!
//! A schedule only ever raises the minimum; the maximum stands. Windows may overlap: the highest
//! counts.

mod cron;
mod parse;

use std::borrow::Cow;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub use self::parse::{ScheduleErrors, parse};

use crate::decision::Reason;
use crate::forecast::{BLOCKS, Forecast, NEAR_BLOCKS};
use crate::history::BLOCK;
use crate::limits;
use crate::policy::Policy;
use crate::units::MilliShards;
use crate::verdict::Verdict;

/// How a stream's tag says that it takes part in no schedule.
pub const NONE: &str = "none";

/// How long one split or merge takes: 20 to 30 seconds is what older tools plan for each.
const OPERATION: SignedDuration = SignedDuration::from_secs(30);

/// After each call the stream is looked at again by the next heartbeat, five minutes as deployed.
const HEARTBEAT: SignedDuration = SignedDuration::from_mins(5);

/// The metrics are up to two minutes late, and a look without them holds.
const METRIC_DELAY: SignedDuration = SignedDuration::from_mins(2);

/// No window is prepared earlier than this, which is as far as the forecast reaches. Only some
/// thousands of shards take longer.
const MOST_LEAD: SignedDuration = SignedDuration::from_hours(24);

/// A window that comes again and again, and the shards that it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name, by which a stream's tag takes part in it.
    pub name: String,
    /// When a window opens.
    cron: cron::Cron,
    /// The clock that this is read from.
    zone: TimeZone,
    /// How long a window lasts, in time that passes: an hour that a change of the clock skips or
    /// repeats is not one of them.
    duration: SignedDuration,
    /// The shards that a stream has at least.
    pub min_shards: u32,
    /// Whether streams take part that name no schedule.
    pub by_default: bool,
}

/// What the schedules ask for at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Floor {
    /// The shards that must not be gone below now.
    pub now: u32,
    /// The schedule that says so; `None` when none asks for anything now.
    pub by: Option<String>,
    /// The schedule that asks for most within the hour, and how many shards that is.
    pub soon: Option<(String, u32)>,
    /// The needs of the next day, each for the time of a window.
    needs: Vec<(Window, u32)>,
}

/// A span of time in which a window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    from: Timestamp,
    until: Timestamp,
}

/// A policy with what its schedules ask for now.
pub fn raise(policy: &Policy, open: u32, now: Timestamp) -> Cow<'_, Policy> {
    if policy.schedules.is_empty() {
        return Cow::Borrowed(policy);
    }
    let floor = floor(&policy.schedules, open, now);
    let min_shards = policy.min_shards.max(floor.now).min(policy.max_shards);
    Cow::Owned(Policy { min_shards, floor, ..policy.clone() })
}

impl Floor {
    /// A forecast that asks for no less, up to the policy's maximum.
    pub fn lift(&self, mut forecast: Forecast, most: u32) -> Forecast {
        if self.needs.is_empty() {
            return forecast;
        }
        let before = forecast.peak(NEAR_BLOCKS);
        for (window, shards) in &self.needs {
            let shards = MilliShards::capacity((*shards).min(most));
            for (index, start) in forecast.starts.iter().enumerate() {
                let end = forecast.starts.get(index + 1).map_or(*start + BLOCK, |next| *next);
                if window.from < end && *start < window.until {
                    for way in &mut forecast.ways {
                        way.blocks[index] = shards.max(way.blocks[index]);
                    }
                }
            }
        }
        if forecast.peak(NEAR_BLOCKS) > before {
            forecast.reason = Reason::Schedule;
        }
        forecast
    }

    /// Whether a schedule, and not the minimum itself, asks for more than is open.
    pub fn asks_for_more(&self, open: u32, policy: &Policy) -> bool {
        open < policy.min_shards && self.now >= policy.min_shards
    }

    /// The sentence of a change that a schedule asks for.
    pub fn sentence(&self, open: u32, verdict: &Verdict) -> Option<String> {
        let Verdict { target, reason: Reason::Schedule, .. } = verdict else { return None };
        let (by, asked, when) = match (&self.by, &self.soon) {
            (Some(by), _) if self.now > open => (by, self.now, "now"),
            (_, Some((by, asked))) => (by, *asked, "within the hour"),
            _ => return None,
        };
        Some(format!(
            "{open} to {target} shards: the schedule {by} asks for at least {asked} {when}"
        ))
    }
}

/// What these schedules ask of a stream with so many open shards.
///
/// Before a window the floor counts from when the calls must be made. Shards that are there by then
/// are kept, and a window that would be over before they come asks for none.
#[must_use]
pub fn floor(schedules: &[Schedule], open: u32, now: Timestamp) -> Floor {
    let mut floor = Floor::default();
    let soon = now + BLOCK * i32::try_from(NEAR_BLOCKS).unwrap_or(0);
    for schedule in schedules {
        for window in schedule.windows(now) {
            let asked = schedule.asks(window, open, now);
            if asked > floor.now {
                floor.now = asked;
                floor.by = Some(schedule.name.clone());
            }
            // What is let go now does not come back as a need of the next minutes.
            let let_go = window.from <= now && asked < schedule.min_shards;
            let needed = if let_go { asked } else { schedule.min_shards };
            let most = floor.soon.as_ref().map_or(0, |(_, most)| *most);
            if window.from < soon && needed > most {
                floor.soon = Some((schedule.name.clone(), needed));
            }
            if needed > 0 {
                floor.needs.push((window, needed));
            }
        }
    }
    floor
}

/// Leaves the schedules that a stream takes part in: those that its tag names, and without a tag
/// those that are so by default.
///
/// # Errors
/// What the tag should hold.
pub fn take_part(schedules: &mut Vec<Schedule>, tag: Option<&str>) -> Result<(), String> {
    let Some(tag) = tag else {
        schedules.retain(|schedule| schedule.by_default);
        return Ok(());
    };
    let named: Vec<&str> = tag.split_whitespace().collect();
    let known = |name: &&str| schedules.iter().any(|schedule| schedule.name == *name);
    if named != [NONE] && (named.is_empty() || !named.iter().all(known)) {
        let names: Vec<_> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        return Err(match names.join(", ") {
            names if names.is_empty() => format!("{NONE}, since TIDEGATE_SCHEDULES has none"),
            names => format!("{NONE}, or names separated by blanks of {names}"),
        });
    }
    schedules.retain(|schedule| named.contains(&schedule.name.as_str()));
    Ok(())
}

/// The time that it takes to come from one count to a higher one: a call for each doubling, its
/// splits one after the other, and the look that makes the next call.
#[must_use]
pub fn lead_from(open: u32, wanted: u32) -> SignedDuration {
    if open >= wanted {
        return SignedDuration::ZERO;
    }
    let mut lead = METRIC_DELAY;
    let mut count = open.max(1);
    while count < wanted && lead < MOST_LEAD {
        let next = limits::legal(count).1.min(wanted);
        let operations = i32::try_from(limits::operations(count, next)).unwrap_or(i32::MAX);
        lead = lead.saturating_add(OPERATION.saturating_mul(operations)).saturating_add(HEARTBEAT);
        if next == count {
            break;
        }
        count = next;
    }
    lead.min(MOST_LEAD)
}

impl Schedule {
    /// The shards that a window asks for now.
    fn asks(&self, window: Window, open: u32, now: Timestamp) -> u32 {
        if now >= window.until {
            return 0;
        }
        let lead = lead_from(open, self.min_shards);
        if now >= window.from - lead {
            // Too late for what is left of it: two calls for nothing.
            let worth_it = now + lead < window.until;
            return if worth_it { self.min_shards } else { open.min(self.min_shards) };
        }
        // Fewer shards now would not be back in time.
        let way_back = lead_from(limits::legal(open).0, self.min_shards);
        if now >= window.from - way_back { open.min(self.min_shards) } else { 0 }
    }

    /// The windows that are open now or open within the next day, in order; windows that touch are
    /// one.
    fn windows(&self, now: Timestamp) -> Vec<Window> {
        let horizon = now + BLOCK * i32::try_from(BLOCKS).unwrap_or(0);
        let mut windows = Vec::new();
        let mut from = now - self.duration;
        while let Some(start) = self.cron.next(from, &self.zone).filter(|start| *start <= horizon) {
            let mut until = start + self.duration;
            // The last start before the end carries the window on.
            while until < horizon
                && let Some(later) = self.cron.last(until, &self.zone)
                && later + self.duration > until
            {
                until = later + self.duration;
            }
            windows.push(Window { from: start, until });
            from = until;
        }
        windows
    }
}

#[cfg(test)]
mod tests;
