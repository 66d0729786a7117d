//! Records in batches, as Firehose hands them over.

mod lines;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use self::lines::Lines;
pub use self::lines::Rows;

/// More than Firehose takes (Firehose Developer Guide, "Quota", 2026-11): 1,000 KiB.
pub const RECORD_LIMIT_BYTES: usize = 1_000 << 10;

/// Files are read whole up to this, and lines too.
const READ_LIMIT_BYTES: u64 = 256 << 20;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Each line; of CSV each row, with the header before it where there is one
    Lines,
    /// Each file as a whole
    Files,
    /// The records of a request of Firehose
    Event,
}

/// One record, and where it came from.
pub struct Record {
    pub place: String,
    pub data: Vec<u8>,
}

/// A file, or standard input for `-`.
pub fn open(name: &str) -> anyhow::Result<(Box<dyn BufRead>, Option<u64>)> {
    if name == "-" {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(name).with_context(|| format!("{name} cannot be read"))?;
    let len = file.metadata().ok().map(|metadata| metadata.len());
    Ok((Box::new(BufReader::new(file)), len))
}

/// Hands the records of files over, one after the other.
pub fn each(
    files: &[String],
    form: Form,
    rows: Rows,
    read: &mut dyn FnMut(u64),
    record: &mut dyn FnMut(Record) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for name in files {
        let (mut input, _) = open(name)?;
        let failed = || format!("{name} cannot be read");
        if form == Form::Lines {
            let mut lines = Lines::new(&mut *input, rows);
            while let Some((number, data)) = lines.next().with_context(failed)? {
                read(data.len() as u64);
                let data = [&lines.header[..], &data].concat();
                record(Record { place: format!("{name}:{number}"), data })?;
            }
            continue;
        }
        let mut data = Vec::new();
        input.take(READ_LIMIT_BYTES).read_to_end(&mut data).with_context(failed)?;
        read(data.len() as u64);
        match form {
            Form::Event => {
                for (index, data) in event(&data).with_context(failed)?.into_iter().enumerate() {
                    record(Record { place: format!("{name}: record {}", index + 1), data })?;
                }
            }
            _ => record(Record { place: name.clone(), data })?,
        }
    }
    Ok(())
}

/// The data of the records of a request.
fn event(bytes: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let records = tidegate_transform::record_data(bytes)?.into_iter().enumerate();
    let data = records.map(|(index, data)| {
        data.with_context(|| format!("record {} has no base64 data", index + 1))
    });
    data.collect()
}

/// A request with these records, whose ids are as long as Firehose's own.
pub fn request(records: &[Record], number: u64, arrived_millis: i64) -> Vec<u8> {
    let records: Vec<_> = records
        .iter()
        .enumerate()
        .map(|(index, record)| {
            json!({
                "recordId": format!("shardId-{number:0>96}{index:0>56}"),
                "approximateArrivalTimestamp": arrived_millis,
                "data": base64_simd::STANDARD.encode_to_string(&record.data),
            })
        })
        .collect();
    let event = json!({
        "invocationId": format!("{number:032x}"),
        "deliveryStreamArn": "arn:aws:firehose:eu-west-1:000000000000:deliverystream/local",
        "region": "eu-west-1",
        "records": records,
    });
    event.to_string().into_bytes()
}

/// The paths, or standard input when there are none.
pub fn files(paths: &[PathBuf]) -> Vec<String> {
    match paths {
        [] => vec!["-".to_owned()],
        paths => paths.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
    }
}
