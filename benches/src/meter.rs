//! What an event costs a function: processor time, instructions, memory.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::host::Host;

/// How long a process that asked for its next event may take to fall asleep.
const SETTLE: Duration = Duration::from_millis(3);

/// How a function is started; each measurement that needs a fresh process starts one.
#[derive(Debug, Clone)]
pub struct Function {
    /// What the table calls it.
    pub name: &'static str,
    /// The program with its arguments.
    pub program: Vec<String>,
    /// Its environment.
    pub variables: Vec<(&'static str, String)>,
    /// Whether its instructions are counted. An interpreter's would take an hour.
    pub counted: bool,
}

impl Function {
    /// The command that starts it, under another program if that is named.
    fn command(&self, under: &[&str]) -> anyhow::Result<Command> {
        let mut words = under.iter().copied().chain(self.program.iter().map(String::as_str));
        let mut command = Command::new(words.next().context("a function has a program")?);
        command.args(words);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// The function, waiting for its first event.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self) -> anyhow::Result<Host> {
        Host::start(self.command(&[])?).with_context(|| self.name.to_owned())
    }

    /// The user-mode instructions of one event, by callgrind: what so many more events than two cost,
    /// divided by their number. `None` where valgrind is not installed.
    ///
    /// # Errors
    /// When the function fails, or valgrind does not say what it counted.
    pub fn instructions(&self, event: &[u8], more: u64) -> anyhow::Result<Option<f64>> {
        let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let (few, many) = (self.collected(event, 2)?, self.collected(event, 2 + more)?);
        Ok(Some((many - few) / more as f64))
    }

    /// All instructions of a process that handles so many events.
    fn collected(&self, event: &[u8], events: u64) -> anyhow::Result<f64> {
        let valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let mut command = self.command(&valgrind)?;
        command.stderr(Stdio::piped());
        let mut host = Host::start(command).with_context(|| self.name.to_owned())?;
        for _ in 0..events {
            host.invoke(event)?;
        }
        let said = host.end()?;
        let collected = said.lines().find_map(|line| line.split_once("Collected : "));
        let (_, number) = collected.with_context(|| format!("valgrind counted nothing: {said}"))?;
        Ok(number.trim().parse()?)
    }
}

/// The processor time that the events of one round take, each, in milliseconds.
///
/// # Errors
/// When an event fails.
pub fn round(host: &mut Host, event: &[u8], events: u32) -> anyhow::Result<f64> {
    let before = processor_nanos(host.pid())?;
    for _ in 0..events {
        host.invoke(event)?;
    }
    let spent = processor_nanos(host.pid())? - before;
    Ok(spent as f64 / f64::from(events) / 1e6)
}

/// User and system time of all threads of a process.
fn processor_nanos(pid: u32) -> anyhow::Result<u64> {
    thread::sleep(SETTLE);
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while they are listed.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let nanos = text.split_whitespace().next().context("schedstat is empty")?;
        sum += nanos.parse::<u64>()?;
    }
    ensure!(sum > 0, "the kernel does not count the processor time of threads");
    Ok(sum)
}

/// Memory of a process in bytes, mapped files left out.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// The most since it was last forgotten.
    pub peak: u64,
}

/// Reads a process's memory.
///
/// # Errors
/// When the process is gone.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> anyhow::Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.with_context(|| format!("/proc says nothing of {name}"))?.parse::<u64>()? << 10)
    };
    let files = field("RssFile")?;
    Ok(Memory {
        now: field("VmRSS")?.saturating_sub(files),
        peak: field("VmHWM")?.saturating_sub(files),
    })
}

/// What one event takes above idle, at its most, in a process that has only seen `small` before.
///
/// # Errors
/// When an event fails.
pub fn memory_of(function: &Function, small: &[u8], event: &[u8]) -> anyhow::Result<u64> {
    let mut host = function.start()?;
    host.invoke(small)?;
    thread::sleep(SETTLE);
    let idle = memory(host.pid())?.now;
    // From here on the kernel remembers the peak anew.
    fs::write(format!("/proc/{}/clear_refs", host.pid()), "5")?;
    host.invoke(event)?;
    thread::sleep(SETTLE);
    Ok(memory(host.pid())?.peak.saturating_sub(idle))
}
