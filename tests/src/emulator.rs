//! Emulators of AWS that other projects wrote, started for one test and ended with it.
//!
//! kinesis-local refuses what Kinesis refuses: more than double, less than half, a stream that is
//! being resharded, more shards than the account has. ministack has CloudWatch (in CBOR, as the Rust
//! client speaks) and S3 (with conditional writes).

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{http, place};

/// How long an emulator may take to answer its first request.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running emulator; dropping it ends it.
#[derive(Debug)]
pub struct Emulator {
    child: Child,
    port: u16,
    /// Its home, its scratch space and its log.
    folder: TempDir,
}

impl Emulator {
    /// Its port on this machine.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What `AWS_ENDPOINT_URL` must be for a client to find it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts what `command` says for a port and a folder, and waits for `health` to answer. The port
    /// is chosen before the emulator takes it, so that another process may be quicker: then once
    /// more.
    fn start(health: &str, command: impl Fn(u16, &Path) -> Command) -> Self {
        for _ in 0..3 {
            let folder = TempDir::new().expect("a folder for an emulator can be made");
            let port = free_port();
            let mut command = command(port, folder.path());
            let log = File::create(folder.path().join("log")).expect("a log can be made");
            let errors = log.try_clone().expect("a log can be shared");
            command.stdin(Stdio::null()).stdout(log).stderr(errors);
            let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            let mut emulator = Self { child, port, folder };
            if emulator.answers(health) {
                return emulator;
            }
            eprintln!("{command:?} ended at its start:\n{}", emulator.log());
        }
        panic!("an emulator did not start");
    }

    /// Whether it answers; not, when it ended.
    fn answers(&mut self, health: &str) -> bool {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if self.child.try_wait().expect("an emulator can be asked for its status").is_some() {
                return false;
            }
            let answer = http::request(self.port, "GET", health, &[], b"");
            if answer.is_some_and(|answer| answer.status == 200) {
                return true;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("an emulator did not answer within {START_LIMIT:?}:\n{}", self.log());
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// kinesis-local; nothing when the tools are not there. `settings` are its variables, such as
/// `("SHARD_LIMIT", "50")` or `("UPDATE_SHARD_COUNT_DURATION", "500ms")`.
pub fn kinesis(settings: &[(&str, &str)]) -> Option<Emulator> {
    let package = place::tool("node/node_modules/kinesis-local")?;
    // It listens on every interface, and has no setting for it.
    let loopback = place::root().join("tests/src/loopback.js");
    Some(Emulator::start("/healthcheck", |port, folder| {
        let mut command = quiet("node", folder);
        command.arg("--require").arg(&loopback).arg(package.join("main.js"));
        command.env("KINESIS_MOCK_CERT_PATH", package.join("server.json"));
        command.env("KINESIS_MOCK_PLAIN_PORT", port.to_string());
        command.env("KINESIS_MOCK_TLS_PORT", free_port().to_string());
        command.envs(settings.iter().copied());
        command
    }))
}

/// ministack, for CloudWatch and S3; nothing when the tools are not there.
pub fn ministack() -> Option<Emulator> {
    started_ministack(None)
}

/// ministack, with the transform of SAM, so that it takes templates as they are written; nothing when
/// the tools are not there.
///
/// # Panics
/// When the tools are there and hold no SAM.
pub fn ministack_with_sam() -> Option<Emulator> {
    let libraries = fs::read_dir(place::tool("sam/lib")?).expect("SAM's libraries can be listed");
    let packages = libraries.flatten().map(|python| python.path().join("site-packages"));
    let mut packages = packages.filter(|folder| folder.join("samtranslator").is_dir());
    started_ministack(Some(&packages.next().expect("SAM's translator is among its packages")))
}

fn started_ministack(packages: Option<&Path>) -> Option<Emulator> {
    let program = place::tool("emulators/bin/ministack")?;
    Some(Emulator::start("/_ministack/health", |port, folder| {
        let mut command = quiet(&program, folder);
        command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
        command.envs(packages.map(|packages| ("PYTHONPATH", packages)));
        command
    }))
}

/// ferrokinesis; nothing when the tools are not there. `arguments` are such as `--enforce-limits`.
pub fn ferrokinesis(arguments: &[&str]) -> Option<Emulator> {
    let program = place::tool("ferrokinesis/tidegate-ferrokinesis")?;
    Some(Emulator::start("/_health/ready", |port, folder| {
        let mut command = quiet(&program, folder);
        command.arg("--port").arg(port.to_string()).args(arguments);
        command
    }))
}

/// A program that knows nothing of this environment but where programs are, and that writes into
/// `folder` only.
fn quiet(program: impl AsRef<Path>, folder: &Path) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(folder).env_clear().env("HOME", folder).env("TMPDIR", folder);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine is free");
    listener.local_addr().expect("a listener has an address").port()
}
