//! `tidegate quarantine` as a person runs it, on folders.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde_json::{Map, Value, json};
use tidegate_consumer::{Call, Consumer, Folder, Json, Outcome, Record};

const CALL: Call<'_> = Call {
    function_arn: "arn:aws:lambda:eu-central-1:111122223333:function:bill",
    request_id: "r-1",
    now: jiff::Timestamp::UNIX_EPOCH,
    deadline: None,
};

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("quarantine").args(arguments).current_dir(folder);
    command
}

fn quarantine(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn printed(output: &Output) -> String {
    let (out, error) = said(output);
    assert!(output.status.success(), "{out}{error}");
    out
}

/// A record of the event: the shard, its place there, a key and a payload.
fn entry(shard: u32, index: usize, key: &str, payload: &[u8]) -> Value {
    let number = format!("4967120451833291746002154778309118640725531886201451{index:04}");
    let shard = format!("shardId-{shard:012}");
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": key, "sequenceNumber": number,
            "data": base64_simd::STANDARD.encode_to_string(payload),
            "approximateArrivalTimestamp": 1_763_683_200.25,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record",
        "eventID": format!("{shard}:{number}"), "awsRegion": "eu-central-1",
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:111122223333:stream/orders",
    })
}

/// Lets the consumer quarantine what is no JSON, in batches of ten, below which it takes no batch of
/// poison for an outage.
fn consume(store: &Path, entries: &[Value]) {
    let done = async |_: Map<String, Value>, _: &Record<'_>| Outcome::Done;
    let consumer = Consumer::new(Json::new(), done, Folder::create(store).unwrap());
    for batch in entries.chunks(10) {
        let event = json!({"Records": batch}).to_string();
        let processed = pollster::block_on(consumer.process(event.as_bytes(), &CALL)).unwrap();
        assert_eq!(processed.response.first_unsettled(), None);
    }
}

/// So many poison records of so many keys in two shards.
fn poison(store: &Path, records: usize, keys: usize) {
    let entries = (0..records).map(|index| {
        let key = format!("user-{}", index % keys);
        entry((index % keys % 2) as u32, index, &key, format!("no JSON {index}").as_bytes())
    });
    consume(store, &entries.collect::<Vec<_>>());
}

/// The files below a folder, by their names in it.
fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != ".redrive.lock") {
                found.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What Lambda writes into the bucket of an on-failure destination.
fn given_up(entries: Option<&[Value]>) -> Value {
    let mut document = json!({
        "requestContext": {
            "requestId": "r-2", "functionArn": CALL.function_arn,
            "condition": "RecordAgeExceeded", "approximateInvokeCount": 7,
        },
        "version": "1.0", "timestamp": "2026-11-21T09:00:00.123Z",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000001", "startSequenceNumber": "1",
            "endSequenceNumber": "3",
            "approximateArrivalOfFirstRecord": "2026-11-20T09:00:00Z",
            "approximateArrivalOfLastRecord": "2026-11-20T09:00:01Z", "batchSize": 3,
            "streamArn": "arn:aws:kinesis:eu-central-1:111122223333:stream/orders",
        },
    });
    if let Some(entries) = entries {
        document["payload"] = json!({"Records": entries});
    }
    document
}

#[test]
fn records_are_listed_counted_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("q");
    let secret = entry(0, 0, "ann", br#"{"card": "4242-11", "open"#);
    consume(&store, &[secret, entry(1, 1, "bob", b"[1, 2]"), entry(1, 2, "bob", b"J\xfcrgen")]);
    let list = |more: &[&str]| {
        let arguments = [&["list", "--from", "q", "--json"], more].concat();
        lines(&printed(&quarantine(folder.path(), &arguments)))
    };
    let all = list(&[]);
    let reasons: Vec<_> = all.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["parse", "schema", "utf8"]);
    let hash = all[1]["key_hash"].as_str().unwrap();
    let id = all[0]["id"].as_str().unwrap();
    // a filter, and how many pass it
    for (filter, count) in [
        (["--reason", "parse"], 1),
        (["--key", "bob"], 2),
        (["--key", hash], 2),
        (["--shard", "1"], 2),
        (["--shard", "shardId-000000000000"], 1),
        (["--stream", "orders"], 3),
        (["--function", "other"], 0),
        (["--since", "1h"], 0),
        (["--until", "2026-01-01T00:00:00Z"], 3),
        (["--id", &id[..8]], 1),
    ] {
        assert_eq!(list(&filter).len(), count, "{filter:?}");
    }
    let table = printed(&quarantine(folder.path(), &["list", "--from", "q", "--limit", "2"]));
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(!table.contains("bob") && table.contains(hash), "{table}");

    let stats = printed(&quarantine(folder.path(), &["stats", "--from", "q", "--json"]));
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["records"], 3);
    assert_eq!(stats["by_reason"], json!({"parse": 1, "schema": 1, "utf8": 1}));
    assert_eq!(stats["by_shard"]["shardId-000000000001"], 2);
    assert_eq!(stats["by_key_hash"][hash], 2);
    assert_eq!(stats["by_hour"], json!({"1970-01-01T00Z": 3}));

    let show = |more: &[&str]| {
        let arguments = [&["show", &id[..8], "--from", "q"], more].concat();
        printed(&quarantine(folder.path(), &arguments))
    };
    let shown = show(&[]);
    assert!(shown.contains(r#"{"card": "0000-00", "xxxx"#), "{shown}");
    assert!(!shown.contains("4242") && !shown.contains("ann"), "{shown}");
    let raw = show(&["--raw"]);
    assert!(raw.contains(r#"{"card": "4242-11", "open"#) && raw.contains("ann"), "{raw}");
    assert!(!show(&["--json"]).contains("payload\":"), "{}", show(&["--json"]));
    assert_eq!(show(&["--out", "-"]), r#"{"card": "4242-11", "open"#);
    show(&["--out", "payload"]);
    assert_eq!(fs::read(folder.path().join("payload")).unwrap(), br#"{"card": "4242-11", "open"#);
}

#[test]
fn a_redrive_to_a_file_is_dry_until_it_is_applied_and_keeps_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("q");
    poison(&store, 50, 7);
    let before = files(&store);
    let redrive = |more: &[&str]| {
        let arguments = [&["redrive", "--from", "q", "--to", "file:again.ndjson"], more].concat();
        quarantine(folder.path(), &arguments)
    };
    let dry = printed(&redrive(&[]));
    let expected = "would send 50 records in 2 batches to file:again.ndjson\n\
                    nothing was changed: --apply does it\n";
    assert_eq!(dry, expected);
    assert_eq!(files(&store), before);
    assert!(!folder.path().join("again.ndjson").exists());

    let done = printed(&redrive(&["--apply", "--batch", "8", "--key", "user-3"]));
    assert_eq!(done, "redriven   7 of 7 records to file:again.ndjson\n");
    let done = printed(&redrive(&["--apply", "--json"]));
    let summary: Value = serde_json::from_str(&done).unwrap();
    assert_eq!((&summary["taken"], &summary["records"]), (&json!(43), &json!(43)), "{summary}");
    let moved: BTreeSet<_> = before.iter().map(|name| format!("redriven/{name}")).collect();
    assert_eq!(files(&store), moved);
    let mark = fs::read(store.join(moved.first().unwrap())).unwrap();
    let mark: Value = serde_json::from_slice(&mark).unwrap();
    assert_eq!(mark["redrive"]["to"], "file:again.ndjson");

    let written = lines(&fs::read_to_string(folder.path().join("again.ndjson")).unwrap());
    let mut of_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in &written {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        of_key.entry(text("partition_key")).or_default().push(text("sequence_number"));
    }
    assert_eq!(written.len(), 50);
    assert!(of_key.values().all(|numbers| numbers.is_sorted()), "{of_key:?}");
    assert_eq!(
        printed(&redrive(&["--apply"])),
        "redriven   nothing; 0 records to file:again.ndjson\n"
    );
}

/// Whatever the moment of a kill: in the end each record is in the file once, and moved once.
#[test]
fn a_redrive_that_is_killed_goes_on_where_it_was() {
    const RECORDS: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("q");
    poison(&store, RECORDS, 11);
    let before = files(&store);
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut dice = Pcg64Mcg::seed_from_u64(seed);
    let arguments =
        ["redrive", "--from", "q", "--to", "file:again.ndjson", "--apply", "--batch", "3"];
    let mut kills = 0;
    while files(&store).iter().any(|name| !name.starts_with("redriven/")) && kills < 200 {
        let mut child = command(folder.path(), &arguments).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice.random_range(5..80)));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 3, "seed {seed}: {kills} kills are none");
    printed(&quarantine(folder.path(), &arguments));
    let text = fs::read_to_string(folder.path().join("again.ndjson")).unwrap();
    let ids: Vec<_> = lines(&text).iter().map(|line| line["id"].to_string()).collect();
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (RECORDS, RECORDS), "seed {seed}, {kills} kills");
    let left: BTreeSet<_> = files(&store).into_iter().filter(|name| !name.contains("/.")).collect();
    let moved: BTreeSet<_> = before.iter().map(|name| format!("redriven/{name}")).collect();
    assert_eq!(left, moved, "seed {seed}, {kills} kills");
}

#[test]
fn what_lambda_gave_up_is_read_and_marked_record_by_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("q/aws/lambda/1/shardId-000000000001");
    fs::create_dir_all(&store).unwrap();
    let entries =
        [entry(1, 1, "ann", b"one"), entry(1, 2, "bob", b"two"), entry(1, 3, "ann", b"three")];
    fs::write(store.join("2026-11-21T09.00.00-x"), given_up(Some(&entries)).to_string()).unwrap();
    fs::write(store.join("metadata"), given_up(None).to_string()).unwrap();
    // A topic in front of a queue wraps what it passes on.
    let wrapped = json!({"Type": "Notification", "Message": given_up(None).to_string()});
    fs::write(store.join("wrapped"), wrapped.to_string()).unwrap();
    let list = || lines(&printed(&quarantine(folder.path(), &["list", "--from", "q", "--json"])));
    let found = list();
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|line| line["reason"] == "record_age_exceeded"));
    assert_eq!(found[0]["partition_key"], "ann");
    assert_eq!(found[3]["records"], 3);

    let redrive = |key: &str| {
        let to = "file:again.ndjson";
        let arguments = ["redrive", "--from", "q", "--to", to, "--apply", "--key", key];
        printed(&quarantine(folder.path(), &arguments))
    };
    assert_eq!(redrive("ann"), "redriven   2 of 2 records to file:again.ndjson\n");
    // The document stays for the sake of the one that is left of it.
    assert_eq!(list().iter().filter(|line| line["partition_key"] == "bob").count(), 1);
    assert_eq!(list().len(), 3);
    assert!(store.join("2026-11-21T09.00.00-x").exists());
    redrive("bob");
    assert!(!store.join("2026-11-21T09.00.00-x").exists());
    let data: Vec<_> = lines(&fs::read_to_string(folder.path().join("again.ndjson")).unwrap())
        .iter()
        .map(|line| line["data"].clone())
        .collect();
    assert_eq!(data, ["one", "three", "two"]);
}

#[test]
fn what_is_no_envelope_or_was_altered_is_said_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("q");
    poison(&store, 3, 1);
    let names: Vec<_> = files(&store).into_iter().collect();
    fs::write(store.join("broken.json"), "{\"version\": 1").unwrap();
    fs::write(store.join("other.json"), "{\"hello\": 1}").unwrap();
    let altered = fs::read_to_string(store.join(&names[0])).unwrap();
    fs::write(store.join(&names[0]), altered.replace("\"payload\":\"", "\"payload\":\"AAAA"))
        .unwrap();
    let output = quarantine(folder.path(), &["list", "--from", "q"]);
    let (table, told) = said(&output);
    assert_eq!((output.status.code(), table.lines().count()), (Some(1), 4));
    for part in [
        "2 documents are no envelopes and are left alone; look at them, and move them away\n",
        "  broken.json: it is not JSON: EOF while parsing",
        "  other.json: it is no envelope: missing field `version`",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let arguments = ["redrive", "--from", "q", "--to", "file:a", "--apply"];
    let output = quarantine(folder.path(), &arguments);
    let (text, _) = said(&output);
    assert_eq!(output.status.code(), Some(1));
    // Those behind the first are of its key.
    assert!(text.starts_with("redriven   0 of 3 records to file:a\nleft       3: "), "{text}");
    assert!(text.contains("the payload is not what was quarantined"), "{text}");
    assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), "");
}

#[test]
fn mistakes_are_a_sentence_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    poison(&folder.path().join("q"), 2, 2);
    fs::write(folder.path().join("file"), "x").unwrap();
    // arguments, exit code, a part of what is said
    let cases: [(&[&str], i32, &str); 13] = [
        (&["list"], 2, "--from"),
        (&["list", "--from", "none"], 1, "none cannot be read: name the folder that holds"),
        (&["list", "--from", "file"], 1, "file is no folder"),
        (&["list", "--from", "ftp://x"], 2, "ftp://x is no store: name a folder, s3://"),
        (&["list", "--from", "q", "--since", "yesterday"], 2, "expected a time ago, such as 6h"),
        (&["show", "zz", "--from", "q"], 1, "has an id that begins with zz"),
        (&["show", "", "--from", "q"], 1, "2 records have an id that begins with"),
        (&["redrive", "--from", "q", "--to", "nowhere"], 2, "nowhere is no target: name file:PATH"),
        (&["redrive", "--from", "q", "--to", "file:a", "--delete"], 2, "--apply"),
        (&["redrive", "--from", "q", "--to", "bootstrap:none"], 1, "none is no file"),
        (&["redrive", "--from", "q", "--to", "pipeline:none.yaml"], 1, "none.yaml cannot be read"),
        (
            &["redrive", "--from", "q", "--to", "pipeline:builtin:json", "--apply"],
            2,
            "a pipeline is only tried",
        ),
        (
            &["redrive", "--from", "q", "--to", "file:none/a", "--apply"],
            1,
            "none/a cannot be written",
        ),
    ];
    for (arguments, code, part) in cases {
        let output = quarantine(folder.path(), arguments);
        let (_, told) = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
    }
}

#[test]
fn what_was_put_back_too_often_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("q");
    let mut tired = entry(0, 1, "ann", b"no JSON");
    tired["tidegate"] = json!({"redriveCount": 3});
    consume(&store, &[tired, entry(0, 2, "bob", b"no JSON")]);
    let redrive = |more: &[&str]| {
        let arguments = [&["redrive", "--from", "q", "--to", "file:a"], more].concat();
        said(&quarantine(folder.path(), &arguments)).0
    };
    let text = redrive(&[]);
    assert!(text.contains("would send 1 records"), "{text}");
    assert!(text.contains("held back  1: 1 redriven_too_often"), "{text}");
    assert!(redrive(&["--max-redrives", "4"]).contains("would send 2 records"));
}

/// The second is told so, and the first goes on.
#[test]
fn two_redrives_of_a_store_are_not_at_work_at_once() {
    let folder = tempfile::tempdir().unwrap();
    poison(&folder.path().join("q"), 6, 2);
    let redrive = |to: &str, more: &[&str]| {
        let arguments = ["redrive", "--from", "q", "--to", to, "--apply"];
        command(folder.path(), &[&arguments[..], more].concat())
    };
    let slow = ["--batch", "1", "--rate", "4"];
    let first = redrive("file:a.ndjson", &slow).stdout(Stdio::piped()).spawn().unwrap();
    while !folder.path().join("a.ndjson").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (_, error) = said(&redrive("file:b.ndjson", &[]).output().unwrap());
    assert!(error.contains("another redrive is at work on q"), "{error}");
    printed(&first.wait_with_output().unwrap());
    let text = fs::read_to_string(folder.path().join("a.ndjson")).unwrap();
    assert_eq!(lines(&text).len(), 6);
    assert!(!folder.path().join("b.ndjson").exists());
}
