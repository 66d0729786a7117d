use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let vars: BTreeMap<String, String> =
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Settings::read(&vars).map_err(|error| error.to_string())
}

/// A file of a folder that goes away with the test.
fn file(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_pipeline_is_built_in_or_a_file() {
    let folder = TempDir::new().unwrap();
    let own = file(&folder, "own.yaml", "input: {format: apache_combined}\nsteps: []\n");
    let cases = [
        (None, "builtin:access-log"),
        (Some(""), "builtin:access-log"),
        (Some("builtin:access-log-errors"), "builtin:access-log-errors"),
        (Some(own.as_str()), own.as_str()),
    ];
    for (value, name) in cases {
        let pairs: Vec<_> = value.map(|value| (PIPELINE, value)).into_iter().collect();
        let settings = read(&pairs).unwrap();
        assert_eq!(settings.name, name);
        assert!(settings.database.is_none());
    }
}

#[test]
fn what_cannot_be_used_is_said_all_at_once() {
    let folder = TempDir::new().unwrap();
    let wrong = file(&folder, "wrong.yaml", "input: {format: xml}\nsteps:\n- kep: true\n");
    let places = file(
        &folder,
        "needs-places.yaml",
        "input: {format: apache_combined}\nsteps:\n- geoip: {address: client}\n",
    );
    let empty = file(&folder, "empty.mmdb", "");
    let text = file(&folder, "text.mmdb", "not a database");
    let absent = folder.path().join("absent");
    let absent = absent.to_str().unwrap();
    let builtins: Vec<_> = pipelines::names().map(|name| format!("builtin:{name}")).collect();
    let builtins = builtins.join(", ");
    let gone = "No such file or directory (os error 2)";
    let database = "the path of a MaxMind database (.mmdb) of places, but ";
    let cases = [
        (
            vec![(PIPELINE, "builtin:access"), (GEOIP_DB, absent)],
            format!(
                "2 settings cannot be used: TIDEGATE_PIPELINE=\"builtin:access\": expected one of \
                 {builtins}, or the path of a YAML file; \
                 TIDEGATE_GEOIP_DB={absent:?}: expected {database}{gone}"
            ),
        ),
        (
            vec![(PIPELINE, "s3://bucket/pipeline.yaml")],
            "a setting cannot be used: TIDEGATE_PIPELINE=\"s3://bucket/pipeline.yaml\": expected \
             builtin:NAME or the path of a file; pipelines in S3 cannot be read yet: put the file \
             into a layer and name it /opt/FILE.yaml"
                .to_owned(),
        ),
        (
            vec![(PIPELINE, absent)],
            format!(
                "a setting cannot be used: TIDEGATE_PIPELINE={absent:?}: expected builtin:NAME or \
                 the path of a readable YAML file, but {gone}"
            ),
        ),
        (
            vec![(PIPELINE, wrong.as_str())],
            format!(
                "a setting cannot be used: TIDEGATE_PIPELINE={wrong:?}: expected a pipeline without \
                 mistakes, but the pipeline has 2 mistakes: line 1, input.format: \"xml\" means \
                 nothing here (known are apache_common, apache_combined, nginx, csv, tsv, json, \
                 logfmt, syslog_3164, syslog_5424, vpc_flow, alb, text, pattern, regex); line 3, \
                 steps[0].kep: this means nothing here (known are keep, drop, geoip, asn, \
                 user_agent, lookup, timestamp, set, rename, remove, cast, redact, sample)"
            ),
        ),
        (
            vec![(PIPELINE, places.as_str())],
            format!(
                "a setting cannot be used: TIDEGATE_PIPELINE={places:?}: expected a pipeline \
                 without mistakes, but the pipeline has a mistake: line 3, steps[0].geoip: there is \
                 no database (name one in TIDEGATE_GEOIP_DB, or write when_missing: skip to go on \
                 without)"
            ),
        ),
        (
            vec![(GEOIP_DB, text.as_str())],
            format!(
                "a setting cannot be used: TIDEGATE_GEOIP_DB={text:?}: expected {database}it is not a \
                 MaxMind database (.mmdb), or a damaged one: invalid database: could not find \
                 MaxMind DB metadata in file"
            ),
        ),
        (
            vec![(GEOIP_DB, empty.as_str())],
            format!(
                "a setting cannot be used: TIDEGATE_GEOIP_DB={empty:?}: expected {database}it is not a \
                 MaxMind database (.mmdb), or a damaged one: invalid database: could not find \
                 MaxMind DB metadata in file"
            ),
        ),
    ];
    for (pairs, expected) in cases {
        assert_eq!(read(&pairs).unwrap_err(), expected);
    }
}

#[test]
fn a_database_is_mapped() {
    let Some(folder) = std::env::var_os("TIDEGATE_DATA") else {
        eprintln!("skipped: TIDEGATE_DATA does not name a folder with GeoIP2-City-Test.mmdb");
        return;
    };
    let path = Path::new(&folder).join("GeoIP2-City-Test.mmdb");
    let settings = read(&[(GEOIP_DB, path.to_str().unwrap())]).unwrap();
    let database = settings.database.map(|database| database.database_type().to_owned());
    assert_eq!(database.as_deref(), Some("GeoIP2-City"));
}
