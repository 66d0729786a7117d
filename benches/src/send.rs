//! `tidegate send` beside a loop in Python: `cargo xtask bench send`.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tidegate_tests::emulator::{self, Emulator};
use tidegate_tests::stream::{Stored, Stream};

/// The stream.
const STREAM: &str = "orders";

/// Keys that the lines have between them.
const KEYS: usize = 10_007;

/// Shards of the stream at whose limit it is sent, and what it is resharded to meanwhile.
const SHARDS: (u32, u32) = (16, 24);

/// A tick of the processor time that the kernel tells of children (`CLK_TCK`, always a hundred on
/// Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// Where everything is.
#[derive(Debug, clap::Args)]
pub struct Places {
    /// The root of the repository.
    #[arg(long, value_name = "FOLDER", hide = true)]
    root: PathBuf,
    /// The built command line.
    #[arg(long, value_name = "FILE", hide = true)]
    tidegate: PathBuf,
    /// Lines that each sends.
    #[arg(long, default_value_t = 200_000)]
    records: usize,
    /// Rounds, of which the median counts; senders take turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Send so many records, in order, at the limit of a stream that throttles and is resharded
    /// meanwhile, and look for each: a million, for instance. Nothing else is measured then.
    #[arg(long, value_name = "RECORDS")]
    at_limit: Option<usize>,
}

/// Who sends.
struct Sender {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
struct Took {
    wall: Duration,
    processor_seconds: f64,
}

/// Measures and prints everything.
///
/// # Errors
/// When something cannot be started, or a record is missing.
pub fn measure(places: &Places) -> anyhow::Result<()> {
    match places.at_limit {
        Some(records) => at_limit(places, records),
        None => beside(places),
    }
}

/// What a record costs each sender, into a stream that takes everything.
fn beside(places: &Places) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let lines = folder.path().join("lines");
    write_lines(&lines, places.records)?;
    let senders = senders(places, &lines);
    let mut rounds: Vec<Vec<Took>> = vec![Vec::new(); senders.len()];
    for _ in 0..places.rounds {
        for (sender, took) in senders.iter().zip(&mut rounds) {
            let kinesis = emulator::ferrokinesis(&[]).context("the emulator is not installed")?;
            let stream = Stream::create(kinesis.port(), STREAM, 8);
            took.push(run(sender, &kinesis, folder.path())?);
            let found: usize = stream.records().iter().map(|r| r.user_records().len()).sum();
            ensure!(found == places.records, "{}: {found} of {}", sender.name, places.records);
        }
    }
    println!("{} records of about 110 bytes, into a stream of a local server", places.records);
    println!("| sender | records a second | processor µs a record | against the loop |");
    println!("|---|---|---|---|");
    let mut first = None;
    for (sender, took) in senders.iter().zip(&rounds) {
        let records = places.records as f64;
        let rate = records / median(took.iter().map(|took| took.wall.as_secs_f64()));
        let cost = median(took.iter().map(|took| took.processor_seconds)) / records;
        let times = *first.get_or_insert(cost) / cost;
        println!("| {} | {rate:.0} | {:.2} | {times:.1} times |", sender.name, cost * 1e6);
    }
    Ok(())
}

fn senders(places: &Places, lines: &Path) -> Vec<Sender> {
    let python = places.root.join(".tools/peers/bin/python");
    let script = places.root.join("benches/peers/python/sending.py");
    let shown = |path: &Path| path.display().to_string();
    let ours = |name, more: &[&str]| {
        let common = ["send", "--stream", STREAM, "--key", "field:user", "--json"];
        let words = common.iter().chain(more).map(|word| (*word).to_owned());
        let arguments = words.chain([shown(lines)]).collect();
        Sender { name, program: places.tidegate.clone(), arguments }
    };
    let arguments = vec![shown(&script), STREAM.to_owned(), shown(lines)];
    vec![
        Sender { name: "a loop around boto3", program: python, arguments },
        ours("tidegate send", &[]),
        ours("tidegate send --ordered", &["--ordered"]),
        ours("tidegate send --aggregate", &["--aggregate"]),
    ]
}

fn command(sender: &Sender, kinesis: &Emulator, folder: &Path) -> Command {
    let mut command = Command::new(&sender.program);
    command.args(&sender.arguments).current_dir(folder).stdin(Stdio::null());
    command.envs([
        ("AWS_ENDPOINT_URL_KINESIS", kinesis.endpoint().as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ]);
    command
}

fn run(sender: &Sender, kinesis: &Emulator, folder: &Path) -> anyhow::Result<Took> {
    let before = of_children()?;
    let started = Instant::now();
    let output = command(sender, kinesis, folder).output();
    let output = output.with_context(|| format!("{} does not start", sender.name))?;
    let wall = started.elapsed();
    if !output.status.success() {
        bail!("{}: {}", sender.name, String::from_utf8_lossy(&output.stderr));
    }
    Ok(Took { wall, processor_seconds: of_children()? - before })
}

/// User and system time of children that have ended (`cutime` and `cstime` of proc(5)).
fn of_children() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let (_, after) = text.rsplit_once(')').context("/proc/self/stat has no name")?;
    let ticks = after.split_whitespace().skip(13).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

/// Sends at the limit of a stream that is resharded in the middle, and holds that every record is in
/// it once, and that those of a key are in their order.
fn at_limit(places: &Places, records: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let lines = folder.path().join("lines");
    write_lines(&lines, records)?;
    let kinesis = emulator::ferrokinesis(&["--enforce-limits"]);
    let kinesis = kinesis.context("the emulator is not installed")?;
    let stream = Stream::create(kinesis.port(), STREAM, SHARDS.0);
    let ours = senders(places, &lines).swap_remove(2);
    let mut child = command(&ours, &kinesis, folder.path());
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let half = records as f64 / 2.0 / 1_000.0 / f64::from(SHARDS.0);
    std::thread::sleep(Duration::from_secs_f64(half));
    stream.reshard(SHARDS.1);
    let output = child.wait_with_output()?;
    println!("{}", String::from_utf8_lossy(&output.stdout).trim_end());
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut seen = vec![0_u32; records];
    let mut last: Vec<Option<usize>> = vec![None; KEYS];
    let mut out_of_order = 0_u64;
    for user in stream.records().iter().flat_map(Stored::user_records) {
        let line: Value = serde_json::from_slice(&user.data)?;
        let n = line["n"].as_u64().context("a record has a number")?;
        let n = usize::try_from(n)?;
        *seen.get_mut(n).context("a record was sent")? += 1;
        let before = last[n % KEYS].replace(n);
        out_of_order += u64::from(before.is_some_and(|before| before >= n));
    }
    let missing = seen.iter().filter(|count| **count == 0).count();
    let twice = seen.iter().filter(|count| **count > 1).count();
    println!(
        "{records} records, {} shards resharded to {}: {missing} missing, {twice} twice, \
         {out_of_order} out of order",
        SHARDS.0, SHARDS.1
    );
    ensure!(missing + twice == 0 && out_of_order == 0, "not every record is there once, in order");
    Ok(())
}

fn write_lines(path: &Path, count: usize) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for n in 0..count {
        let user = n % KEYS;
        writeln!(
            file,
            r#"{{"n":{n},"user":"user-{user}","path":"/orders/{n:040}","status":200}}"#
        )?;
    }
    Ok(file.flush()?)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
