//! The README's `cargo lambda invoke`, on cargo-lambda's own Runtime API, with the built functions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::place::{bootstrap, fixture, root, tool};

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

fn start(name: &str, bootstrap: &Path, port: u16) -> Running {
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
    spawn(&mut command)
}

#[test]
fn each_function_answers_cargo_lambda_invoke() {
    let Some(cargo_lambda) = tool("sam/bin/cargo-lambda") else { return };
    let names = ["autoscaler", "consumer", "transform"];
    let found: Vec<_> = names.iter().filter_map(|name| Some((*name, bootstrap(name)?))).collect();
    if found.len() < names.len() {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = port.to_string();
    // Only its APIs: `watch` alone would compile what is built already.
    let mut watch = Command::new(&cargo_lambda);
    watch.current_dir(root()).args(["lambda", "watch", "--only-lambda-apis", "--ignore-changes"]);
    let _watch = spawn(watch.args(["-A", "127.0.0.1", "-P", &at]));
    for _ in 0..200 {
        // Connected, and no more: a request would be taken for an invocation.
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    let _functions: Vec<_> = found.iter().map(|(name, path)| start(name, path, port)).collect();
    let invoke = |name: &str, event: &str| -> Value {
        let file = root().join("tests/events").join(format!("{event}.json"));
        let mut invoke = Command::new(&cargo_lambda);
        invoke.args(["lambda", "invoke", name, "-A", "127.0.0.1", "-P", &at]);
        let output = invoke.arg("--data-file").arg(file).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {error}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(invoke("consumer", "kinesis-bad-json"), json!({"batchItemFailures": []}));
    let records = invoke("transform", "firehose-kinesis")["records"].clone();
    let handed = fixture("firehose-kinesis")["records"].as_array().unwrap().len();
    assert_eq!(records.as_array().unwrap().len(), handed);
    let decisions = invoke("autoscaler", "autoscaler-alarm-direct");
    assert_eq!(decisions[0]["reason"], "service_unavailable", "{decisions}");
}
