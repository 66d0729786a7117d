use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let vars: BTreeMap<String, String> =
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Settings::read(&vars, &Files::default()).map_err(|error| error.to_string())
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
    let database = "the path or s3:// URI of a MaxMind database (.mmdb) of places, but ";
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
            vec![(PIPELINE, absent)],
            format!(
                "a setting cannot be used: TIDEGATE_PIPELINE={absent:?}: expected builtin:NAME, or \
                 the path or s3:// URI of a readable YAML file, but {gone}"
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
fn a_bad_database_may_be_a_gap_that_is_counted() {
    let folder = TempDir::new().unwrap();
    let text = file(&folder, "text.mmdb", "not a database");
    let settings = read(&[(GEOIP_DB, text.as_str()), (ON_BAD_DB, "gap")]).unwrap();
    let [gap] = &settings.gaps[..] else { panic!("{:?}", settings.gaps) };
    assert!(gap.starts_with("TIDEGATE_GEOIP_DB: expected the path or s3:// URI of "), "{gap}");
    let mut engine = tidegate_transform::Engine::new(settings.pipeline);
    let line = r#"192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#;
    let data = base64_simd::STANDARD.encode_to_string(line);
    let event = format!(r#"{{"records": [{{"recordId": "1", "data": "{data}"}}]}}"#);
    let report = engine.transform(event.as_bytes(), &mut Vec::new()).unwrap();
    assert_eq!((report.ok, report.geoip_errors), (1, 1));
}

#[test]
fn a_refresh_is_not_too_often() {
    for (text, expected) in [("1h", Some(3_600)), ("10s", Some(10)), ("9s", None), ("1", None)] {
        let found = read(&[(REFRESH, text)]).map(|settings| settings.refresh.unwrap().as_secs());
        assert_eq!(found.ok(), expected, "{text}");
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
