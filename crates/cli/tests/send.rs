//! `tidegate send`: what lines become, what cannot be sent, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sending;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use self::sending::{command, entries, said, send};

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

#[test]
fn hash_keys_rates_and_prices() {
    let folder = tempfile::tempdir().unwrap();
    let number = u128::MAX;
    let input = format!("{{\"u\":\"a\",\"h\":\"{number}\"}}\n{{\"u\":\"a\",\"h\":\"x\"}}\n");
    let output = send(
        folder.path(),
        &["--key", "field:u", "--hash-key", "field:h", "--json"],
        input.as_bytes(),
    );
    let sent = entries(&output);
    assert_eq!((sent.len(), &sent[0]["ExplicitHashKey"]), (1, &json!(number.to_string())));
    let summary: Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!(summary["rejected"], json!({"hash_key": 1}));
    // Units of 25 KB: one each, and two of the longest.
    let input = format!("{}\n{}\n", "x".repeat(25_000), "y".repeat(30_000));
    let output = send(folder.path(), &["--json"], input.as_bytes());
    let summary: Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!(summary["payload_units"], 3);
    let cost = summary["cost_usd"].as_f64().unwrap();
    assert!((cost - 3.0 * 0.014e-6).abs() < 1e-12, "{summary}");
    // A second's worth is sent at once, and the rest at the rate.
    let many = "a line of twenty by\n".repeat(300);
    for limit in [["--records-per-second", "100"], ["--bytes-per-second", "4KiB"]] {
        let output = send(
            folder.path(),
            &[&limit[..], &["--key", "line", "--json"]].concat(),
            many.as_bytes(),
        );
        let summary: Value = serde_json::from_str(&said(&output)).unwrap();
        let seconds = summary["seconds"].as_f64().unwrap();
        assert!((1.8..6.0).contains(&seconds), "{limit:?}: {summary}");
    }
}
