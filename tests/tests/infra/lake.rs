//! The lake: its table is what the transform writes, and its options hang together.

use serde_json::{Value, json};
use tidegate_transform::{Pipeline, Tables, pipelines};

use crate::templates::{at, branches, each, list};

#[test]
fn the_table_has_the_columns_that_the_pipelines_write() {
    let Some(offered) = at("catalog", "/Parameters/TablePipeline/AllowedValues") else { return };
    let conditions = at("catalog", "/Conditions").unwrap_or_default();
    let columns = at("catalog", "/Resources/Table/Properties/TableInput/StorageDescriptor/Columns")
        .unwrap_or_default();
    let mut with_columns = Vec::new();
    for name in pipelines::names() {
        let yaml = pipelines::builtin(name).unwrap_or_default();
        let pipeline = Pipeline::compile(yaml, Tables::default()).expect("it is built in");
        let written: Vec<_> = pipeline
            .fields()
            .iter()
            .map(|field| json!({"Name": field.name, "Type": field.kind.column_type()}))
            .collect();
        // The columns of the file that comes, which nobody knows before.
        if written.is_empty() {
            continue;
        }
        let name = format!("builtin:{name}");
        assert_eq!(*list(chosen(&columns, &conditions, &name)), written, "{name} (right)");
        with_columns.push(name);
    }
    with_columns.sort();
    assert_eq!(*list(&offered), with_columns, "what catalog.yaml offers (left)");
}

/// Follows a choice by conditions on the parameter `TablePipeline` alone.
fn chosen<'v>(value: &'v Value, conditions: &Value, pipeline: &str) -> &'v Value {
    let Some([condition, yes, no]) = value["Fn::If"].as_array().map(Vec::as_slice) else {
        return value;
    };
    let condition = &conditions[condition.as_str().unwrap_or_default()];
    chosen(if holds(condition, pipeline) { yes } else { no }, conditions, pipeline)
}

fn holds(condition: &Value, pipeline: &str) -> bool {
    match condition["Fn::Or"].as_array() {
        Some(either) => either.iter().any(|condition| holds(condition, pipeline)),
        None => condition["Fn::Equals"] == json!([{"Ref": "TablePipeline"}, pipeline]),
    }
}

/// Firehose refuses these together, or loses something, at the first record and not before.
#[test]
fn firehose_is_asked_for_what_it_can_do() {
    let destination = "/Resources/Delivery/Properties/ExtendedS3DestinationConfiguration";
    let of = |key: &str| at("lake", &format!("{destination}/{key}"));
    let Some(compression) = of("CompressionFormat") else { return };
    assert_eq!(compression["Fn::If"][0], "Parquet");
    assert_eq!(compression["Fn::If"][1], "UNCOMPRESSED", "Parquet is compressed inside");
    // Both want 64 MiB ("Limits", Amazon Data Firehose Developer Guide, 2026-11).
    let buffer = at("lake", "/Parameters/BufferMiB/Default").and_then(|mib| mib.as_i64());
    assert!(buffer >= Some(64), "{buffer:?}");
    // The keys of the table are the folders of the prefix, in their order.
    let prefix = of("Prefix").unwrap_or_default();
    let prefix = prefix["Fn::Sub"].as_str().unwrap_or_default();
    let keys =
        at("catalog", "/Resources/Table/Properties/TableInput/PartitionKeys").unwrap_or_default();
    let folders: Vec<_> = prefix.split('/').filter_map(|part| part.split_once('=')).collect();
    let keys: Vec<_> = list(&keys).iter().filter_map(|key| key["Name"].as_str()).collect();
    let named: Vec<_> =
        folders.iter().map(|(name, _)| name.trim_start_matches("${PartitionPrefix}")).collect();
    assert_eq!(named, keys, "{prefix}");
    assert!(prefix.starts_with("data/${PartitionPrefix}"), "{prefix}");
    let errors = of("ErrorOutputPrefix").unwrap_or_default();
    assert!(errors.as_str().is_some_and(|prefix| prefix.contains("!{firehose:error-output-type}")));
}

/// Each Firehose stream, wherever it delivers to, keeps what it could not deliver, says so in a log,
/// and calls the transform with no more than an answer can hold.
#[test]
fn what_cannot_be_delivered_is_kept() {
    each("AWS::KinesisFirehose::DeliveryStream", 5, |_, properties| {
        let mut destinations = 0;
        for (key, value) in properties.as_object().into_iter().flatten() {
            if !key.ends_with("DestinationConfiguration") {
                continue;
            }
            for destination in branches(value).into_iter().filter(|branch| branch["Ref"].is_null())
            {
                destinations += 1;
                kept(destination).map_err(|problem| format!("{key}: {problem}"))?;
            }
        }
        if destinations > 0 { Ok(()) } else { Err("it delivers nowhere".into()) }
    });
}

fn kept(destination: &Value) -> Result<(), String> {
    let bucket = if destination["BucketARN"].is_null() {
        &destination["S3Configuration"]
    } else {
        destination
    };
    let errors = bucket["ErrorOutputPrefix"].as_str().unwrap_or_default();
    if !errors.contains("!{firehose:error-output-type}") {
        return Err(format!("its error prefix is {errors:?}"));
    }
    let mode = ["S3BackupMode", "s3BackupMode"].iter().find(|mode| !destination[**mode].is_null());
    if mode.is_none() || destination["CloudWatchLoggingOptions"]["Enabled"] != true {
        return Err("it leaves to a default what is kept or logged".into());
    }
    let processing = branches(&destination["ProcessingConfiguration"]);
    let parameters = processing[0].pointer("/Processors/0/Parameters").unwrap_or(&Value::Null);
    let size = list(parameters).iter().find(|p| p["ParameterName"] == "BufferSizeInMBs");
    let size = size.and_then(|p| p["ParameterValue"].as_str()?.parse::<f64>().ok());
    // Of 6,291,556 bytes, at four thirds for base64: records may grow threefold.
    if size.is_some_and(|mb| mb <= 1.5) { Ok(()) } else { Err(format!("it sends {size:?} MB")) }
}
