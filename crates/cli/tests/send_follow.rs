//! `tidegate send` that is interrupted, killed and started again, on files that are rotated and cut
//! off meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sending;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde_json::{Value, json};

use self::sending::{command, entries, said, send};

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

/// A follower in a folder; what it prints is appended to a file.
fn follow(folder: &Path, arguments: &[&str], out: &Path) -> std::process::Child {
    let out = OpenOptions::new().create(true).append(true).open(out).unwrap();
    let said = File::create(folder.join("said")).unwrap();
    let arguments = [&["--follow"], arguments].concat();
    command(folder, &arguments).stdout(out).stderr(said).spawn().unwrap()
}

/// Waits until so many lines were printed.
#[track_caller]
fn wait_for(out: &Path, lines: usize) {
    let count = || fs::read_to_string(out).unwrap_or_default().lines().count();
    for _ in 0..200 {
        if count() >= lines {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} of {lines} lines were sent", count());
}

/// A log that is copied and cut off: what was not read of it is read from the copy, also when that
/// happened while nobody looked. The checkpoint has a name as rotation gives it.
#[test]
fn a_log_that_is_copied_and_cut_off_is_sent_once() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("a.log"), folder.path().join("out"));
    let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
    let mut write = |from: u32, to: u32| {
        for n in from..to {
            writeln!(file, "line {n} of those that are sent").unwrap();
        }
    };
    let rotate = || {
        let copy = |n: u32| folder.path().join(format!("a.log.{n}"));
        if copy(1).exists() {
            fs::rename(copy(1), copy(2)).unwrap();
        }
        fs::copy(&path, copy(1)).unwrap();
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    };
    let arguments = ["--checkpoint", "a.log.sent", "a.log"];
    let mut child = follow(folder.path(), &arguments, &out);
    write(0, 50);
    wait_for(&out, 50);
    write(50, 60);
    rotate();
    // More than there was, so that the length says nothing.
    write(60, 200);
    wait_for(&out, 200);
    interrupt(&child);
    assert!(child.wait().unwrap().success());
    write(200, 210);
    rotate();
    write(210, 220);
    let mut child = follow(folder.path(), &arguments, &out);
    wait_for(&out, 220);
    // It is quiet, and what was sent is known.
    std::thread::sleep(Duration::from_secs(6));
    interrupt(&child);
    assert!(child.wait().unwrap().success());
    let text = fs::read_to_string(&out).unwrap();
    let mut numbers: Vec<u32> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["Data"].to_string())
        .map(|data| data.split(' ').nth(1).unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    let said = fs::read_to_string(folder.path().join("said")).unwrap();
    assert_eq!(numbers, (0..220).collect::<Vec<_>>(), "{said}");
}

/// Every file that a checkpoint is written to is full; then there is room again.
#[test]
fn a_checkpoint_that_cannot_be_written_ends_it_and_a_later_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("a.log"), folder.path().join("out"));
    let full = folder.path().join("c.tmp");
    let arguments = ["--checkpoint", "c", "a.log"];
    fs::write(&path, "one\n").unwrap();
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let output = send(folder.path(), &arguments, b"");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("c cannot be written, and without it nothing is sent: make"), "{text}");
    assert!(text.contains("No space left on device"), "{text}");
    assert_eq!(entries(&output).len(), 0);
    fs::remove_file(&full).unwrap();

    let mut child = follow(folder.path(), &arguments, &out);
    wait_for(&out, 1);
    // Between two writes of it there is no such file.
    while std::os::unix::fs::symlink("/dev/full", &full).is_err() {}
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"two\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let text = fs::read_to_string(folder.path().join("said")).unwrap();
    assert!(text.contains("stopped    c cannot be written"), "{text}");
    fs::remove_file(&full).unwrap();
    let output = send(folder.path(), &arguments, b"");
    assert!(said(&output).contains("what was in flight then is sent again"), "{}", said(&output));
    let again: Vec<_> = entries(&output).iter().map(|entry| entry["Data"].clone()).collect();
    assert!(again.contains(&json!("two")), "{again:?}");
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
