//! A built bootstrap on a Runtime API that is not ours.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lambda_simulator::{
    InvocationBuilder, InvocationState, InvocationStatus, Simulator, SimulatorError,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The time that an invocation may take where a test says nothing else.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What is waited beyond it; a hang ends the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the simulator is asked to wait at a time.
const TURN: Duration = Duration::from_millis(20);

/// A function that runs.
pub struct Lambda {
    runtime: Runtime,
    simulator: Simulator,
    process: Child,
    folder: TempDir,
}

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// With this response.
    Response(Value),
    /// With an error: its type and its message.
    Error(String, String),
}

impl Lambda {
    /// Starts a bootstrap with the settings of a deployment, and nothing else of this process'
    /// environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(bootstrap: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let simulator = runtime
            .block_on(Simulator::builder().function_name("under-test").build())
            .context("the Runtime API does not start")?;
        let folder = tempfile::tempdir()?;
        let process = Command::new(bootstrap)
            .env_clear()
            .envs(simulator.lambda_env_vars())
            .env("AWS_LAMBDA_RUNTIME_API", simulator.addr().to_string())
            .envs(settings.iter().copied())
            .stdout(File::create(folder.path().join("out"))?)
            .stderr(File::create(folder.path().join("err"))?)
            .spawn()
            .with_context(|| format!("{} does not start", bootstrap.display()))?;
        Ok(Self { runtime, simulator, process, folder })
    }

    /// Calls the function once.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn invoke(&self, event: Value) -> anyhow::Result<Ended> {
        self.invoke_within(event, TIMEOUT)
    }

    /// Calls the function once, with its timeout.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn invoke_within(&self, event: Value, timeout: Duration) -> anyhow::Result<Ended> {
        self.runtime.block_on(async {
            let invocation = InvocationBuilder::new()
                .payload(event)
                .timeout_ms(u64::try_from(timeout.as_millis())?)
                .function_arn("arn:aws:lambda:us-east-1:111122223333:function:under-test")
                .build()?;
            let request_id = self.simulator.enqueue(invocation).await;
            let state = self.wait(&request_id, timeout + PATIENCE).await?;
            match (state.status, state.response, state.error) {
                (InvocationStatus::Success, Some(response), _) => {
                    Ok(Ended::Response(response.payload))
                }
                (_, _, Some(error)) => Ok(Ended::Error(error.error_type, error.error_message)),
                (status, ..) => bail!("the invocation ended as {status:?}"),
            }
        })
    }

    /// Waits for an invocation to end, in short turns: the simulator can miss an end that falls
    /// between its look and its wait, and sees it at the next look.
    async fn wait(&self, request_id: &str, most: Duration) -> anyhow::Result<InvocationState> {
        let started = Instant::now();
        loop {
            match self.simulator.wait_for_invocation_complete(request_id, TURN).await {
                Err(SimulatorError::Timeout(_)) if started.elapsed() < most => {}
                ended => return Ok(ended?),
            }
        }
    }

    /// Calls the function and expects a response.
    ///
    /// # Errors
    /// When it ends in an error.
    pub fn respond(&self, event: Value) -> anyhow::Result<Value> {
        match self.invoke(event)? {
            Ended::Response(response) => Ok(response),
            Ended::Error(kind, message) => bail!("{kind}: {message}\n{}", self.output()?),
        }
    }

    /// What it wrote, both streams.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn output(&self) -> anyhow::Result<String> {
        let read = |name| std::fs::read_to_string(self.folder.path().join(name));
        Ok(format!("{}{}", read("out")?, read("err")?))
    }

    /// The log lines of an event.
    ///
    /// # Errors
    /// When a line is not JSON.
    pub fn events(&self, event: &str) -> anyhow::Result<Vec<Value>> {
        let mut found = Vec::new();
        for line in self.output()?.lines() {
            let line: Value = serde_json::from_str(line)
                .with_context(|| format!("the line is not JSON: {line}"))?;
            if line["event"] == event {
                found.push(line);
            }
        }
        Ok(found)
    }

    /// What the process used since its start: seconds of processor time, and bytes of memory at the
    /// peak.
    ///
    /// # Errors
    /// When the system does not say, as only Linux does.
    pub fn used(&self) -> anyhow::Result<(f64, u64)> {
        let of = |name| std::fs::read_to_string(format!("/proc/{}/{name}", self.process.id()));
        let stat = of("stat")?;
        // proc(5): after the name in parentheses, the 12th and 13th field are the time in user and in
        // system mode, in hundredths of a second.
        let fields = stat.rsplit(") ").next().context("stat has no name")?.split(' ');
        let hundredths: Vec<u32> =
            fields.skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        let status = of("status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak: u64 = peak.context("no peak")?.trim().trim_end_matches(" kB").parse()?;
        Ok((f64::from(hundredths.iter().sum::<u32>()) / 100.0, peak * 1024))
    }

    /// Waits for the process to end by itself, and says with which code.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn exit_code(&mut self) -> anyhow::Result<i32> {
        for _ in 0..600 {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status.code().unwrap_or(-1));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("it still runs")
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
