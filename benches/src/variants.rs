//! What given histories could have been as well: of another size, begun at another hour, cut into
//! pieces that nobody knows the past of, or two streams in one. A policy that was fitted to the
//! histories themselves loses on these.

use jiff::SignedDuration;
use tidegate_local::trace::Trace;

use crate::made_up;

const DAY: usize = 1_440;

/// How much smaller and larger.
const SCALES: [f64; 3] = [0.25, 4.0, 16.0];

/// Hours by which a history begins later.
const SHIFT_HOURS: usize = 7;

/// The length of a piece, and the gap to the next: five hours, so that pieces begin at every hour.
const PIECE: usize = 2 * DAY;
const GAP: usize = 5 * 60;

/// Pieces of one history, at the most.
const PIECES: usize = 12;

/// Histories that are reported together.
pub struct Set {
    /// What was done to them.
    pub name: String,
    /// The history that each was made of, and what became of it.
    pub histories: Vec<(String, Trace)>,
}

/// All sets that can be made of histories; of none the made-up ones alone.
pub fn all(given: &[(String, Trace)]) -> Vec<Set> {
    let made_up = Set { name: "made up".to_owned(), histories: made_up::all() };
    let each = |name: &str, of: &dyn Fn(&Trace) -> Trace| Set {
        name: name.to_owned(),
        histories: given.iter().map(|(name, trace)| (name.clone(), of(trace))).collect(),
    };
    let mut sets = vec![made_up];
    if given.is_empty() {
        return sets;
    }
    sets.extend(SCALES.map(|by| each(&format!("times {by}"), &|trace| scaled(trace, by))));
    sets.push(each("7 hours later", &|trace| part(trace, SHIFT_HOURS * 60, trace.minutes.len())));
    sets.push(each("second half alone", &|trace| {
        part(trace, trace.minutes.len() / 2, trace.minutes.len())
    }));
    sets.push(each("backwards", &backwards));
    sets.push(Set { name: "two in one".to_owned(), histories: sums(given) });
    sets.push(Set { name: "pieces of 2 days".to_owned(), histories: pieces(given) });
    sets
}

/// Some minutes of a history.
pub fn part(trace: &Trace, from: usize, to: usize) -> Trace {
    let later = i64::try_from(from).map_or(SignedDuration::ZERO, SignedDuration::from_mins);
    let minutes = trace.minutes.get(from..to).unwrap_or_default().to_vec();
    Trace { start: trace.start + later, minutes }
}

fn scaled(trace: &Trace, by: f64) -> Trace {
    let minutes = trace.minutes.iter().map(|volume| volume.times(by)).collect();
    Trace { start: trace.start, minutes }
}

fn backwards(trace: &Trace) -> Trace {
    Trace { start: trace.start, minutes: trace.minutes.iter().rev().copied().collect() }
}

/// Each history and the third after it in one stream, for as long as both last.
fn sums(given: &[(String, Trace)]) -> Vec<(String, Trace)> {
    let others = given.iter().cycle().skip(3);
    given
        .iter()
        .zip(others)
        .map(|((name, trace), (other_name, other))| {
            let mut minutes = trace.minutes.clone();
            minutes.truncate(other.minutes.len());
            minutes.iter_mut().zip(&other.minutes).for_each(|(volume, more)| volume.add(*more));
            (format!("{name}+{other_name}"), Trace { start: trace.start, minutes })
        })
        .collect()
}

fn pieces(given: &[(String, Trace)]) -> Vec<(String, Trace)> {
    let of = |(name, trace): &(String, Trace)| {
        let starts = (SHIFT_HOURS * 60..).step_by(PIECE + GAP).take(PIECES);
        let whole = starts.take_while(|start| start + PIECE <= trace.minutes.len());
        whole.map(|start| (name.clone(), part(trace, start, start + PIECE))).collect::<Vec<_>>()
    };
    given.iter().flat_map(of).collect()
}
