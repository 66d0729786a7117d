//! The README's `cargo lambda invoke`, on cargo-lambda's own Runtime API, with the built functions;
//! and AWS's own sample events, as `sam local generate-event` makes them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::place::{bootstrap, fixture, root, tool};
use tidegate_transform::contract::{self, Verdict};

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(command: &mut Command) -> Running {
    Running(
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
    )
}

fn function(name: &str, bootstrap: &Path, port: u16) -> Command {
    let mut command = Command::new(bootstrap);
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{port}/.rt/{name}"))
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1");
    command
}

/// cargo-lambda's Runtime API, without a build.
struct Lambda {
    cargo_lambda: PathBuf,
    port: u16,
    _watch: Running,
}

impl Lambda {
    fn start(cargo_lambda: PathBuf) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut watch = Command::new(&cargo_lambda);
        // Only its APIs: `watch` alone would compile what is built already.
        let only = ["lambda", "watch", "--only-lambda-apis", "--ignore-changes"];
        watch.current_dir(root()).args(only);
        let watch = spawn(watch.args(["-A", "127.0.0.1", "-P", &port.to_string()]));
        for _ in 0..200 {
            // Connected, and no more: a request would be taken for an invocation.
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            sleep(Duration::from_millis(50));
        }
        Self { cargo_lambda, port, _watch: watch }
    }

    /// What a function answers to the event in a file.
    fn invoke(&self, name: &str, event: &Path) -> Vec<u8> {
        let mut invoke = Command::new(&self.cargo_lambda);
        let port = self.port.to_string();
        invoke.args(["lambda", "invoke", name, "-A", "127.0.0.1", "-P", &port]);
        let output = invoke.arg("--data-file").arg(event).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {error}");
        output.stdout
    }
}

#[test]
fn each_function_answers_cargo_lambda_invoke() {
    let Some(cargo_lambda) = tool("sam/bin/cargo-lambda") else { return };
    let names = ["autoscaler", "consumer", "transform"];
    let found: Vec<_> = names.iter().filter_map(|name| Some((*name, bootstrap(name)?))).collect();
    if found.len() < names.len() {
        return;
    }
    let lambda = Lambda::start(cargo_lambda);
    let started = found.iter().map(|(name, path)| spawn(&mut function(name, path, lambda.port)));
    let _functions: Vec<_> = started.collect();
    let invoke = |name: &str, event: &str| -> Value {
        let file = root().join("tests/events").join(format!("{event}.json"));
        serde_json::from_slice(&lambda.invoke(name, &file)).unwrap()
    };
    assert_eq!(invoke("consumer", "kinesis-bad-json"), json!({"batchItemFailures": []}));
    let records = invoke("transform", "firehose-kinesis")["records"].clone();
    let handed = fixture("firehose-kinesis")["records"].as_array().unwrap().len();
    assert_eq!(records.as_array().unwrap().len(), handed);
    let decisions = invoke("autoscaler", "autoscaler-alarm-direct");
    assert_eq!(decisions[0]["reason"], "service_unavailable", "{decisions}");
}

/// The samples of Firehose that SAM holds, a pipeline for each, and what becomes of its records.
const SAMPLES: [(&str, &str, &[Verdict]); 5] = [
    ("apachelog", "input: {format: apache_common}", &[Verdict::Ok]),
    (
        "cloudwatch-logs-processor",
        "input: {format: text, unwrap: cloudwatch_logs}",
        &[Verdict::Dropped, Verdict::Ok, Verdict::Ok, Verdict::Ok],
    ),
    ("kinesis-firehose", "input: {format: text}", &[Verdict::Ok]),
    ("streams-as-source", "input: {format: text}", &[Verdict::Ok]),
    // Both of its records have the same id, to which there is one answer.
    ("syslog", "input: {format: text}", &[Verdict::Ok]),
];

#[test]
fn the_sample_events_of_aws_are_answered() {
    let Some(cargo_lambda) = tool("sam/bin/cargo-lambda") else { return };
    let (Some(sam), Some(transform)) = (tool("sam/bin/sam"), bootstrap("transform")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (sample, pipeline, expected) in SAMPLES {
        let mut generate = Command::new(&sam);
        generate.env("HOME", folder.path()).env("SAM_CLI_TELEMETRY", "0");
        let made = generate.args(["local", "generate-event", "kinesis", sample]).output().unwrap();
        assert!(made.status.success(), "{sample}: {}", String::from_utf8_lossy(&made.stderr));
        let event = folder.path().join(format!("{sample}.json"));
        std::fs::write(&event, &made.stdout).unwrap();
        let file = folder.path().join(format!("{sample}.yaml"));
        std::fs::write(&file, pipeline).unwrap();
        // One API a pipeline, since it only takes the names of functions that the project has.
        let lambda = Lambda::start(cargo_lambda.clone());
        let mut command = function("transform", &transform, lambda.port);
        let _function = spawn(command.env("TIDEGATE_PIPELINE", &file));
        let answers = contract::check(&made.stdout, &lambda.invoke("transform", &event));
        let answers = answers.unwrap_or_else(|violations| panic!("{sample}: {violations:?}"));
        let verdicts: Vec<_> = answers.iter().map(|answer| answer.verdict).collect();
        assert_eq!(verdicts, expected, "{sample}");
        for answer in answers.iter().filter(|answer| answer.verdict == Verdict::Ok) {
            for row in answer.data.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n') {
                let row: Value = serde_json::from_slice(row).unwrap();
                assert!(row["message"].is_string() || row["status"] == 200, "{sample}: {row}");
            }
        }
    }
}
