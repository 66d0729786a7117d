//! The stores that need no service.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;

use tidegate_consumer::{
    Consumer, Envelope, Folder, Json, LogOnly, LogPayload, Quarantine, Record, Text,
};

use crate::batch::{ALL_SETTLED, Bench, CALL, FAULTS, Scripted, event, names, number, text, told};

fn batch() -> Vec<u8> {
    event(&[told(0, "deliver"), (FAULTS[2].make)(1), told(2, "deliver")])
}

fn process(store: impl Quarantine) -> tidegate_consumer::Processed {
    let handler = Scripted::default();
    let consumer = Consumer::new(Json::new(), &handler, store);
    pollster::block_on(consumer.process(&batch(), &CALL)).unwrap()
}

fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn a_folder_keeps_one_file_a_record_however_often_it_comes() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::create(root.path().join("new")).unwrap();
    let bench = Bench::default();
    let _ = bench.process(&batch()).unwrap();
    let expected = &bench.kept()[0];
    for _ in 0..2 {
        let processed = process(&folder);
        assert_eq!(text(&processed), ALL_SETTLED);
        assert_eq!(files(folder.root()), [expected.key()]);
        assert_eq!(
            expected.key(),
            format!("function=bill/stream=orders/shard=shardId-000000000006/{}.json", number(1))
        );
        let kept = fs::read(folder.root().join(expected.key())).unwrap();
        assert_eq!(serde_json::from_slice::<Envelope>(&kept).unwrap(), *expected);
    }
}

#[test]
fn a_folder_that_cannot_be_written_settles_nothing() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::create(root.path()).unwrap();
    // A file stands where the folder of the function belongs.
    fs::write(root.path().join("function=bill"), "").unwrap();
    let processed = process(&folder);
    assert_eq!(text(&processed), names(&number(1)));
    let error = processed.report.retry.unwrap().error;
    let expected = format!("{} did not take the envelope: ", root.path().display());
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn the_log_alone_settles() {
    let processed = process(LogOnly);
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(processed.report.poison.len(), 1, "which the host then logs");
}

#[test]
fn the_log_with_payload_settles_what_it_wrote() {
    let lines = RefCell::new(Vec::new());
    let processed = process(LogPayload::new(|envelope: &Envelope| {
        lines.borrow_mut().push(envelope.clone());
        Ok(())
    }));
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(lines.borrow()[0].payload_bytes().unwrap(), b"{\"name\":\"J\xfcrgen\"}");

    let processed =
        process(LogPayload::new(|_: &Envelope| Err(io::Error::other("the pipe is closed"))));
    assert_eq!(text(&processed), names(&number(1)));
    assert_eq!(
        processed.report.retry.unwrap().error,
        "the log did not take the envelope: the pipe is closed"
    );
}

#[test]
fn a_batch_may_change_its_thread() {
    fn crosses(future: impl Future<Output = ()> + Send) {
        pollster::block_on(future);
    }

    let root = tempfile::tempdir().unwrap();
    let folder = Folder::create(root.path()).unwrap();
    let consumer = Consumer::new(
        Text,
        async |line: &str, _: &Record<'_>| -> Result<(), io::Error> {
            std::future::ready(line.len()).await;
            Ok(())
        },
        folder,
    );
    let event = batch();
    crosses(async {
        let processed = consumer.process(&event, &CALL).await.unwrap();
        assert_eq!(processed.report.received, 3);
    });
}
