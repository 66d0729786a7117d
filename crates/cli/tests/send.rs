//! `tidegate send` as a person runs it, with requests that are printed instead of made.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde_json::{Value, json};

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["send", "--stream", "orders", "--dry-run"]).args(arguments).current_dir(folder);
    command
}

fn send(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = command(folder, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that reads no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn entries(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn lines_become_records_with_keys_and_ids() {
    let folder = tempfile::tempdir().unwrap();
    let input =
        b"{\"user\":\"ann\",\"n\":1}\n\n{\"user\":\"bob\",\"n\":2}\r\n{\"user\":\"ann\",\"n\":3}";
    let output = send(folder.path(), &["--key", "field:user", "--id", "field:id"], input);
    assert!(output.status.success(), "{}", said(&output));
    let sent = entries(&output);
    let mut ids = Vec::new();
    let found: Vec<_> = sent
        .iter()
        .map(|entry| {
            let data: Value = serde_json::from_str(entry["Data"].as_str().unwrap()).unwrap();
            ids.push(data["id"].as_str().unwrap().to_owned());
            (entry["PartitionKey"].clone(), data["n"].clone())
        })
        .collect();
    assert_eq!(
        found,
        [(json!("ann"), json!(1)), (json!("bob"), json!(2)), (json!("ann"), json!(3))]
    );
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    let summary = said(&output);
    assert!(summary.contains("orders: 3 of 3 records sent"), "{summary}");
    assert!(summary.contains("1 with 3 entries; 3 PUT payload units"), "{summary}");
}

#[test]
fn what_cannot_be_sent_is_in_a_file_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(2_000);
    let input =
        format!("{{\"user\":\"ann\"}}\nno json\n{{\"name\":\"b\"}}\n{{\"user\":\"{long}\"}}\n");
    let arguments = ["--key", "field:user", "--record-limit", "1KiB", "--rejected", "bad.ndjson"];
    let output = send(folder.path(), &arguments, input.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    let summary = said(&output);
    assert!(summary.contains("1 of 4 records sent"), "{summary}");
    let part = "rejected   3, in bad.ndjson: 1 key_too_long 1 no_key 1 not_an_object";
    assert!(summary.contains(part), "{summary}");
    let text = fs::read_to_string(folder.path().join("bad.ndjson")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["reason"], "not_an_object");
    assert_eq!(lines[0]["data"], "no json");
    assert_eq!(lines[0]["place"], "standard input, byte 15");
    let again = lines.iter().find(|line| line["reason"] == "key_too_long").unwrap();
    assert_eq!(again["data"], format!("{{\"user\":\"{long}\"}}"));
}

#[test]
fn aggregates_lines_joined_pipelines_and_gzip() {
    let folder = tempfile::tempdir().unwrap();
    let many: String = (0..1_000).map(|n| format!("line {n}\n")).collect();
    let output = send(folder.path(), &["--aggregate", "--json"], many.as_bytes());
    let summary: Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!(summary["sent"], 1_000);
    assert!(summary["entries"].as_u64().unwrap() < 5, "{summary}");
    for entry in entries(&output) {
        let data = entry["DataBase64"].as_str().unwrap();
        let data = base64_simd::STANDARD.decode_to_vec(data).unwrap();
        assert_eq!(data[..4], [0xF3, 0x89, 0x9A, 0xC2]);
    }
    let trace = b"ERROR a\n  at b\n  at c\nINFO d\n";
    let output = send(folder.path(), &["--join", "^[A-Z]+ "], trace);
    let data: Vec<_> = entries(&output).iter().map(|entry| entry["Data"].clone()).collect();
    assert_eq!(data, [json!("ERROR a\n  at b\n  at c"), json!("INFO d")]);

    let log =
        br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 12 "-" "curl/8""#;
    let arguments = ["--pipeline", "builtin:access-log", "--key", "template:{path}-{status}"];
    let output = send(folder.path(), &arguments, log);
    assert_eq!(entries(&output)[0]["PartitionKey"], "/a-200", "{}", said(&output));
    let output = send(folder.path(), &["--gzip"], b"text");
    let data = entries(&output)[0]["DataBase64"].as_str().unwrap().to_owned();
    assert!(data.starts_with("H4sI"), "{data}");
}

#[test]
fn mistakes_are_a_sentence_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.log"), "a\n").unwrap();
    fs::write(folder.path().join("other.checkpoint"), "{}").unwrap();
    // arguments, exit code, a part of what is said
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--key", "user"], 1, "expected field:NAME, template:TEXT, line or random"),
        (&["--follow", "a.log"], 2, "--checkpoint"),
        (&["--follow", "--checkpoint", "c"], 2, "need the names of files"),
        (&["none.log"], 1, "none.log cannot be read"),
        (&["--join", "(", "a.log"], 1, "--join is no regular expression"),
        (&["--checkpoint", "other.checkpoint", "a.log"], 1, "is no checkpoint of"),
        (&["--checkpoint", "none/c", "a.log"], 1, "none/c cannot be written"),
    ];
    for (arguments, code, part) in cases {
        let output = send(folder.path(), arguments, b"");
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}

#[test]
fn a_csv_file_names_its_columns_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "Order ID,City\r\n17,Bern\r\n18,\"Zug, ZG\"\r\n").unwrap();
    let arguments = ["--pipeline", "builtin:csv-to-json", "--key", "field:city"];
    let rows = |output: &Output| -> Vec<_> {
        assert!(output.status.success(), "{}", said(output));
        entries(output)
            .into_iter()
            .map(|e| (e["PartitionKey"].clone(), e["Data"].clone()))
            .collect()
    };
    let bern = (json!("Bern"), json!(r#"{"order_id":"17","city":"Bern"}"#));
    let zug = (json!("Zug, ZG"), json!(r#"{"order_id":"18","city":"Zug, ZG"}"#));
    let output = send(folder.path(), &arguments, &fs::read(&path).unwrap());
    assert_eq!(rows(&output), [bern.clone(), zug.clone()]);
    assert!(said(&output).contains("2 of 2 records sent"), "{}", said(&output));
    // And when a later run goes on in the middle.
    let arguments = [&arguments[..], &["--checkpoint", "c", "a.csv"]].concat();
    assert_eq!(rows(&send(folder.path(), &arguments, b"")), [bern, zug]);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"19,Chur\n").unwrap();
    let chur = (json!("Chur"), json!(r#"{"order_id":"19","city":"Chur"}"#));
    assert_eq!(rows(&send(folder.path(), &arguments, b"")), [chur]);
}

#[test]
fn a_reader_that_goes_away_and_a_disk_that_is_full_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let many = "a line\n".repeat(50_000);
    fs::write(folder.path().join("a.log"), &many).unwrap();
    let mut command = command(folder.path(), &["a.log"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("stopped    nobody reads standard output any more"), "{text}");
    assert!(text.contains("left       "), "{text}");
    let arguments = ["--key", "field:user", "--rejected", "/dev/full"];
    let output = send(folder.path(), &arguments, b"no json\n");
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("/dev/full cannot be written: rejected records go there"), "{text}");
    assert!(text.contains("No space left on device"), "{text}");
}

fn interrupt(child: &std::process::Child) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
}

#[test]
fn an_interruption_drains_and_says_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let many: String = (0..2_000).map(|n| format!("line {n}\n")).collect();
    fs::write(folder.path().join("a.log"), many).unwrap();
    // arguments, interruptions, exit code, a part of what is said
    let cases: [(&[&str], u32, i32, &str); 2] = [
        (&[], 1, 0, "2000 of 2000 records sent"),
        (&["--records-per-second", "100"], 2, 1, "stopped    interrupted twice"),
    ];
    for (number, (arguments, times, code, part)) in cases.into_iter().enumerate() {
        let checkpoint = format!("c{number}");
        let common = ["--follow", "--checkpoint", &checkpoint, "a.log"];
        let out = folder.path().join(format!("out{number}"));
        let mut command = command(folder.path(), &[&common, arguments].concat());
        command.stdout(File::create(&out).unwrap()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        while fs::metadata(&out).unwrap().len() == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        for _ in 0..times {
            interrupt(&child);
            std::thread::sleep(Duration::from_millis(300));
        }
        let output = child.wait_with_output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("interrupted: what was read is sent first"), "{text}");
        assert!(text.contains(part), "{text}");
        let sent = fs::read_to_string(&out).unwrap().lines().count();
        assert_eq!(text.contains("left       "), sent < 2_000, "{text}");
        // What is left is what the next run sends.
        let output = send(folder.path(), &["--checkpoint", &checkpoint, "a.log"], b"");
        assert_eq!(entries(&output).len() + sent, 2_000);
        let in_flight = said(&output).contains("what was in flight then is sent again");
        assert_eq!(in_flight, code != 0, "{}", said(&output));
    }
}

#[test]
fn a_file_is_gone_on_with_where_it_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let arguments = ["--checkpoint", "c", "--id", "envelope", "a.log"];
    fs::write(&path, "one\ntwo\n").unwrap();
    let first = entries(&send(folder.path(), &arguments, b""));
    assert_eq!(first.len(), 2);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"three\n").unwrap();
    let second = entries(&send(folder.path(), &arguments, b""));
    assert_eq!(second.len(), 1);
    assert!(second[0]["Data"].as_str().unwrap().contains("three"));
    // Rotated away and written anew: both are read.
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"four\n").unwrap();
    fs::rename(&path, folder.path().join("a.log.1")).unwrap();
    fs::write(&path, "five\n").unwrap();
    let third = send(folder.path(), &arguments, b"");
    let data: String = entries(&third).iter().map(|e| e["Data"].to_string()).collect();
    assert!(data.contains("four") && data.contains("five"), "{data} {}", said(&third));
    assert_eq!(entries(&send(folder.path(), &arguments, b"")).len(), 0);
}

/// Writes lines, and renames the file now and then as logrotate does.
fn write_and_rotate(folder: &Path, lines: u64) {
    let path = folder.join("app.log");
    let mut file = File::create(&path).unwrap();
    for n in 0..lines {
        if n % 1_500 == 1_499 {
            let older = folder.join(format!("app.log.{}", n / 1_500));
            fs::rename(&path, older).unwrap();
            // The writer goes on with the file that it has open for a while.
            writeln!(file, "line {n}").unwrap();
            file = File::create(&path).unwrap();
        } else {
            writeln!(file, "line {n}").unwrap();
        }
        if n % 10 == 0 {
            std::thread::sleep(Duration::from_millis(4));
        }
    }
}

#[test]
fn nothing_is_lost_when_it_is_killed_while_it_follows() {
    const LINES: u64 = 15_000;
    const KILLS: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut dice = Pcg64Mcg::seed_from_u64(seed);
    let out = folder.path().join("sent");
    let start = || {
        let out = OpenOptions::new().create(true).append(true).open(&out).unwrap();
        let arguments =
            ["--follow", "--checkpoint", "c", "--records-per-second", "5000", "app.log"];
        let said = File::create(folder.path().join("said")).unwrap();
        command(folder.path(), &arguments).stdout(out).stderr(said).spawn().unwrap()
    };
    let seen = || {
        let text = fs::read_to_string(&out).unwrap_or_default();
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        // A kill may cut off the last line, which is then sent again behind it.
        for part in text.split("{\"Data\":\"").skip(1) {
            if let Some((line, _)) = part.split_once('"') {
                *seen.entry(line.to_owned()).or_default() += 1;
            }
        }
        seen
    };
    std::thread::scope(|scope| {
        scope.spawn(|| write_and_rotate(folder.path(), LINES));
        for _ in 0..KILLS {
            let mut child = start();
            std::thread::sleep(Duration::from_millis(dice.random_range(1..120)));
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
    let mut child = start();
    for _ in 0..300 {
        if seen().len() as u64 == LINES {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let seen = seen();
    let missing: Vec<_> = (0..LINES).filter(|n| !seen.contains_key(&format!("line {n}"))).collect();
    let told = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    assert!(
        missing.is_empty(),
        "seed {seed}: {} are missing, from {:?} to {:?}; checkpoint {}; {}",
        missing.len(),
        missing.first(),
        missing.last(),
        told("c"),
        told("said")
    );
    let twice: u64 = seen.values().map(|count| count - 1).sum();
    // What is in flight: at most four requests of five hundred, here far less.
    assert!(twice <= KILLS as u64 * 2_000, "seed {seed}: {twice} twice");
}
