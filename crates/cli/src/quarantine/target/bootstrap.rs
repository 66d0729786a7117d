//! A consumer's bootstrap on this machine, called as Lambda would call it.

mod runtime_api;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tidegate_consumer::envelope::Envelope;

use self::runtime_api::RuntimeApi;
use super::calls::{Answer, Call, deliver};
use super::{Fate, Target, call_limits, function_refuses};
use crate::quarantine::document::{self, Record};
use crate::quarantine::marks::again;
use crate::quarantine::plan::Limits;

/// The time of an invocation.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How often it is looked whether the process is still there.
const TURN: Duration = Duration::from_millis(50);

pub struct Bootstrap {
    path: PathBuf,
    api: RuntimeApi,
    process: Option<Child>,
    /// Its log, and in a trial its quarantine.
    scratch: PathBuf,
    /// Variables that it gets beside those of this process.
    variables: Vec<(&'static str, String)>,
    is_trial: bool,
}

impl Bootstrap {
    /// Prepares to start it. In a trial it delivers to its log and quarantines into a folder that is
    /// gone afterwards; otherwise it does as the variables of this process say, and quarantines into
    /// the store that is put back from when they say nothing.
    pub fn start(path: &Path, from: &str, is_trial: bool) -> anyhow::Result<Self> {
        if !path.is_file() {
            bail!("{} is no file: name the bootstrap of a consumer", path.display());
        }
        let unique = format!("tidegate-redrive-{}", std::process::id());
        let scratch = std::env::temp_dir().join(unique);
        let failed = || format!("{} cannot be written", scratch.display());
        fs::create_dir_all(scratch.join("quarantine")).with_context(failed)?;
        let mut variables = Vec::new();
        let trial_store = format!("file://{}", scratch.join("quarantine").display());
        if is_trial {
            let journal = scratch.join("journal").display().to_string();
            variables.push(("TIDEGATE_SINK", "log".to_owned()));
            variables.push(("TIDEGATE_JOURNAL", journal));
            variables.push(("TIDEGATE_QUARANTINE", trial_store));
        } else if std::env::var_os("TIDEGATE_QUARANTINE").is_none() {
            variables.push(("TIDEGATE_QUARANTINE", as_setting(from)?));
        }
        let path =
            fs::canonicalize(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let api = RuntimeApi::start().context("no port of this machine can be listened on")?;
        Ok(Self { path, api, process: None, scratch, variables, is_trial })
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .context("the log of the bootstrap cannot be written")?;
        let errors = log.try_clone().context("the log of the bootstrap cannot be shared")?;
        Command::new(&self.path)
            .env("AWS_LAMBDA_RUNTIME_API", self.api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "redrive")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.path.display()))
    }

    fn log(&self) -> PathBuf {
        self.scratch.join("log")
    }

    /// What it said last.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().next_back().unwrap_or("it said nothing").to_owned()
    }

    /// Why the record is poison again, where a trial found it so.
    fn poison_again(&self, envelope: &Envelope) -> Option<String> {
        let id = String::new();
        let record = Record {
            id,
            key: envelope.key(),
            index: 0,
            of: 1,
            envelope: Envelope { payload: String::new(), ..envelope.clone() },
            payload: document::Payload::Here,
        };
        let bytes = fs::read(self.scratch.join("quarantine").join(again(&record))).ok()?;
        let found = document::read("", &bytes).ok()?.pop()?;
        Some(found.envelope.reason)
    }
}

/// A store as the function's setting names it.
fn as_setting(from: &str) -> anyhow::Result<String> {
    if from.contains(':') && !Path::new(from).exists() {
        return Ok(from.to_owned());
    }
    let folder = fs::canonicalize(from).with_context(|| format!("{from} cannot be read"))?;
    Ok(format!("file://{}", folder.display()))
}

impl Call for Bootstrap {
    fn call(&mut self, event: &[u8], function_arn: &str) -> anyhow::Result<Answer> {
        if self.process.is_none() {
            self.process = Some(self.spawn()?);
        }
        let call = self.api.call(event, function_arn, TIMEOUT);
        let started = Instant::now();
        loop {
            if let Some(answer) = call.wait(TURN) {
                return Ok(answer);
            }
            let Some(process) = &mut self.process else { bail!("the bootstrap is gone") };
            if let Some(status) = process.try_wait().context("the bootstrap cannot be asked")? {
                self.process = None;
                if !self.api.was_asked() {
                    bail!("{} ended at its start: {}", self.path.display(), self.last_words());
                }
                self.api.forget();
                return Ok(Answer::Failed(format!("the bootstrap ended with {status}")));
            }
            if started.elapsed() > TIMEOUT {
                // Lambda ends the environment, too.
                let _ = process.kill();
                let _ = process.wait();
                self.process = None;
                self.api.forget();
                let seconds = TIMEOUT.as_secs();
                return Ok(Answer::Failed(format!("the function took longer than {seconds} s")));
            }
        }
    }
}

impl Target for Bootstrap {
    fn refuses(&self, record: &Record) -> Option<&'static str> {
        function_refuses(record)
    }

    fn limits(&self, records: usize) -> Limits {
        call_limits(records)
    }

    fn take(&mut self, batch: &[Envelope]) -> anyhow::Result<Vec<Fate>> {
        let mut fates = deliver(self, batch)?;
        if self.is_trial {
            for (envelope, fate) in batch.iter().zip(&mut fates) {
                if let Some(reason) = self.poison_again(envelope).filter(|_| *fate == Fate::Taken) {
                    *fate = Fate::PoisonAgain(reason);
                }
            }
        }
        Ok(fates)
    }

    fn is_function(&self) -> bool {
        true
    }
}

impl Drop for Bootstrap {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.scratch);
    }
}
