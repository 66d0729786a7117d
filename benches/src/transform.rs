//! The transform beside what one writes by hand: `cargo xtask bench transform`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::functions::{Bound, Cost, Places, hold, table};
use crate::logs::{self, Layout, RECORDS};
use crate::meter::{self, Function};

/// The pipelines that are measured.
const PLAIN: &str = "\
input: {format: apache_combined}
steps:
  - geoip: {address: client}
output: {newline: true}
";
const FILTERED: &str = "\
input: {format: apache_combined}
steps:
  - keep: status >= 400 && !path.startsWith(\"/images\")
  - geoip: {address: client}
output: {newline: true}
";

/// Million instructions of an event of 1 MB of lines, about a tenth above what they were when they
/// were last written down: with geo, with the filter, and laid out otherwise.
const CEILINGS: [f64; 3] = [21.0, 14.5, 22.0];

/// Ours against plain Rust, and million instructions, as they are promised.
const RATIO_MOST: f64 = 0.09;
const RATIO_FILTERED_MOST: f64 = 0.12;
const INSTRUCTIONS_MOST: f64 = 20.0;
const INSTRUCTIONS_FILTERED_MOST: f64 = 40.0;

/// A body that is laid out otherwise, against the usual one.
const OTHER_LAYOUT_MOST: f64 = 1.5;

/// What a further byte may cost, against one of the event of 256 kB. Grown by the square, the last
/// would cost twenty times as much; the first events differ by a third from run to run, with how the
/// connection hands them over and what the allocator has at hand.
const GROWTH_MOST: f64 = 1.6;

/// Memory above idle, against the event.
const MEMORY_MOST: f64 = 8.0;

/// Lines of events from 1 kB to 6 MB.
const LENGTHS: [usize; 6] = [2, 36, 580, 2_300, 6_900, 13_300];

/// What the measurements share.
struct Set {
    places: Places,
    folder: tempfile::TempDir,
    lines: Vec<String>,
}

/// Measures and prints everything.
///
/// # Errors
/// When something cannot be measured, or a bound does not hold.
pub fn measure(places: &Places, data: Option<PathBuf>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("places.mmdb"), crate::places::database())?;
    fs::write(folder.path().join("plain.yaml"), PLAIN)?;
    fs::write(folder.path().join("filtered.yaml"), FILTERED)?;
    // The ceilings are of our own lines, which are the same everywhere.
    let data = data.filter(|_| !places.only_ceilings());
    let lines = logs::lines(data.as_deref(), RECORDS)?;
    let set = Set { places: places.clone(), folder, lines };
    if places.only_ceilings() { set.ceilings() } else { set.all() }
}

impl Set {
    fn ours(&self, name: &'static str, pipeline: &str) -> Function {
        let folder = self.folder.path();
        let (pipeline, places) = (folder.join(pipeline), folder.join("places.mmdb"));
        let variables = [("TIDEGATE_PIPELINE", &*pipeline), ("TIDEGATE_GEOIP_DB", &*places)];
        self.places.our(name, "transform", &variables)
    }

    /// Ours and the others, where they do not filter and where they do.
    fn functions(&self, filtered: bool) -> Vec<Function> {
        let database = self.folder.path().join("places.mmdb");
        let mut variables = vec![("PLACES", &*database)];
        if filtered {
            variables.push(("FILTER", "1".as_ref()));
        }
        let peers = self.places.peers(
            "plain-transform",
            ("Python, blueprint style, maxminddb", "transform"),
            ("Node, maxmind with its cache", "transform"),
            &variables,
        );
        let pipeline = if filtered { "filtered.yaml" } else { "plain.yaml" };
        std::iter::once(self.ours("Tidegate", pipeline)).chain(peers).collect()
    }

    fn all(&self) -> anyhow::Result<()> {
        let event = logs::request(&self.lines, Layout::Usual);
        let small = logs::request(&self.lines[..2], Layout::Usual);
        let check = |answer: &[u8]| check(answer, self.lines.len());
        let geo = self.places.measure(&self.functions(false), &small, &event, check)?;
        table("Access log lines to JSON with the client's place", &event, &geo);
        let filtered = self.places.measure(&self.functions(true), &small, &event, check)?;
        table("The same, of requests that failed and are no images", &event, &filtered);

        let ours = self.ours("Tidegate", "plain.yaml");
        let other = logs::request(&self.lines, Layout::Other);
        let usual = self.places.measure(std::slice::from_ref(&ours), &small, &other, check)?;
        table("A body that is laid out otherwise", &other, &usual);

        let mut bounds = promises(&geo, RATIO_MOST, INSTRUCTIONS_MOST)?;
        bounds.extend(promises(&filtered, RATIO_FILTERED_MOST, INSTRUCTIONS_FILTERED_MOST)?);
        bounds.push(Bound {
            what: "laid out otherwise, against the usual, in instructions or time",
            value: relative(&usual[0], &geo[0]),
            most: OTHER_LAYOUT_MOST,
        });
        bounds.extend(self.sizes(&ours, &small)?);
        hold(&bounds)
    }

    /// Events of every size.
    fn sizes(&self, ours: &Function, small: &[u8]) -> anyhow::Result<Vec<Bound>> {
        println!(
            "\n{:>12} {:>16} {:>14} {:>16}",
            "event bytes", "M instructions", "a byte", "memory / event"
        );
        let mut bounds = Vec::new();
        let mut before = (0, 0.0);
        let mut first = None;
        for length in LENGTHS {
            let lines: Vec<_> = self.lines.iter().cycle().take(length).cloned().collect();
            let event = logs::request(&lines, Layout::Usual);
            let memory = meter::memory_of(ours, small, &event)? as f64 / event.len() as f64;
            let instructions = ours.instructions(&event, 2)?.unwrap_or(f64::NAN);
            let more = (instructions - before.1) / (event.len() - before.0) as f64;
            println!(
                "{:>12} {:>16.2} {more:>14.2} {memory:>16.2}",
                event.len(),
                instructions / 1e6
            );
            before = (event.len(), instructions);
            if event.len() < 250_000 {
                continue;
            }
            bounds.push(Bound {
                what: "memory above idle, against the event",
                value: memory,
                most: MEMORY_MOST,
            });
            if let Some(first) = first {
                let value = more / first;
                bounds.push(Bound {
                    what: "a further byte, against one of 256 kB",
                    value,
                    most: GROWTH_MOST,
                });
            }
            first = first.or(Some(more));
        }
        // Without a counter there is nothing to compare.
        bounds.retain(|bound| bound.value.is_finite());
        Ok(bounds)
    }

    fn ceilings(&self) -> anyhow::Result<()> {
        let usual = logs::request(&self.lines, Layout::Usual);
        let other = logs::request(&self.lines, Layout::Other);
        let measured = [
            ("transform, million instructions of 1 MB with geo", "plain.yaml", &usual),
            ("transform, the same with a filter", "filtered.yaml", &usual),
            ("transform, the same laid out otherwise", "plain.yaml", &other),
        ];
        let mut bounds = Vec::new();
        for ((what, pipeline, event), most) in measured.into_iter().zip(CEILINGS) {
            let counted = self.ours("Tidegate", pipeline).instructions(event, 2)?;
            let value = counted.context("valgrind is not installed")? / 1e6;
            bounds.push(Bound { what, value, most });
        }
        let small = logs::request(&self.lines[..2], Layout::Usual);
        bounds.extend(self.sizes(&self.ours("Tidegate", "plain.yaml"), &small)?);
        hold(&bounds)
    }
}

/// What is promised of ours, the first, beside the others.
fn promises(costs: &[Cost], ratio: f64, instructions: f64) -> anyhow::Result<Vec<Bound>> {
    let [ours, plain, ..] = costs else { return Ok(Vec::new()) };
    ensure!(plain.name == "plain Rust", "plain Rust comes second");
    let mut bounds = vec![Bound {
        what: "CPU time, against plain Rust",
        value: ours.millis / plain.millis,
        most: ratio,
    }];
    if let Some(counted) = ours.instructions {
        bounds.push(Bound {
            what: "million instructions",
            value: counted / 1e6,
            most: instructions,
        });
    }
    Ok(bounds)
}

fn relative(a: &Cost, b: &Cost) -> f64 {
    match (a.instructions, b.instructions) {
        (Some(a), Some(b)) => a / b,
        _ => a.millis / b.millis,
    }
}

/// Every record has an answer, none failed, and nearly all of those that are kept have a place.
fn check(answer: &[u8], records: usize) -> anyhow::Result<()> {
    let answer: Value = serde_json::from_slice(answer)?;
    let answers = answer["records"].as_array().context("the answer has no records")?;
    ensure!(answers.len() == records, "{} answers to {records} records", answers.len());
    let failed = answers.iter().filter(|answer| answer["result"] == "ProcessingFailed").count();
    ensure!(failed == 0, "{failed} records failed");
    let ok = answers.iter().filter(|answer| answer["result"] == "Ok");
    let ok: Vec<_> = ok.filter_map(|answer| answer["data"].as_str()).collect();
    let placed = ok.iter().filter(|data| {
        let line = base64_simd::STANDARD.decode_to_vec(data).unwrap_or_default();
        memchr::memmem::find(&line, b"\"geo_country\"").is_some()
    });
    let share = placed.count() * 100 / ok.len().max(1);
    ensure!((90..=99).contains(&share), "{share} of 100 records have a place");
    Ok(())
}
