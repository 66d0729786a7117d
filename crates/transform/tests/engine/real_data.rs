//! Data that the repository does not hold: `TIDEGATE_DATA` names the folder.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tidegate_transform::formats::apache::{self, ParseError};
use tidegate_transform::{Reason, Tables, geoip};

use crate::support::{self, request, transform};

fn read(file: &str) -> Option<Vec<u8>> {
    let Some(folder) = std::env::var_os("TIDEGATE_DATA") else {
        eprintln!("skipped: TIDEGATE_DATA does not name a folder with {file}");
        return None;
    };
    let path = PathBuf::from(folder).join(file);
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

#[test]
fn of_a_real_log_only_the_truncated_line_fails() {
    let Some(log) = read("apache_combined.log") else { return };
    let lines: Vec<_> = log.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 10_000);
    let failed: Vec<_> = lines
        .iter()
        .enumerate()
        .filter_map(|(index, line)| Some((index + 1, apache::parse(line).err()?)))
        .collect();
    assert_eq!(failed, [(8_899, ParseError::UnclosedQuote("user_agent"))]);

    // The same through requests of the size that a delivery stream buffers by default.
    let mut engine = support::builtin("access-log", Tables::default());
    let (mut ok, mut objects) = (0, Vec::new());
    for batch in lines.chunks(4_000) {
        let (answers, report) = transform(&mut engine, &request(batch));
        ok += report.ok;
        assert_eq!(report.reasons.of(Reason::UnclosedQuote), report.processing_failed);
        objects.extend(answers.iter().filter_map(|answer| answer.object()));
    }
    assert_eq!((ok, objects.len()), (9_999, 9_999));
    let count =
        |pick: &dyn Fn(&serde_json::Value) -> bool| objects.iter().filter(|o| pick(o)).count();
    assert_eq!(count(&|o| o.get("bytes").is_none()), 669);
    assert_eq!(count(&|o| o.get("referer").is_none()), 4_072);
    assert_eq!(count(&|o| o.get("request").is_some()), 0);
    assert_eq!(count(&|o| o["method"] == "GET"), 9_951);
    assert_eq!(count(&|o| o["protocol"] == "HTTP/1.0"), 700);
    assert_eq!(
        count(&|o| o["time"].as_str().is_some_and(|time| time.starts_with("2015-05-"))),
        9_999
    );
}

#[test]
fn places_are_those_of_the_database() {
    let Some(bytes) = read("GeoIP2-City-Test.mmdb") else { return };
    let database = geoip::Database::open(Arc::new(bytes)).unwrap();
    let mut engine =
        support::builtin("access-log", Tables { geoip: Some(database), ..Tables::default() });
    let cases = [
        (
            "81.2.69.142",
            r#""geo_country":"GB","geo_region":"England","geo_city":"London","geo_latitude":51.5142,"geo_longitude":-0.0931,"geo_time_zone":"Europe/London"}"#,
        ),
        (
            "2.125.160.216",
            r#""geo_country":"GB","geo_region":"England","geo_city":"Boxford","geo_latitude":51.75,"geo_longitude":-1.25,"geo_time_zone":"Europe/London"}"#,
        ),
        (
            "89.160.20.112",
            r#""geo_country":"SE","geo_region":"Östergötland County","geo_city":"Linköping","geo_latitude":58.4167,"geo_longitude":15.6167,"geo_time_zone":"Europe/Stockholm"}"#,
        ),
        (
            "216.160.83.64",
            r#""geo_country":"US","geo_region":"Washington","geo_latitude":47.7511,"geo_longitude":-120.7401,"geo_time_zone":"America/Los_Angeles"}"#,
        ),
        (
            "2001:218::1",
            r#""geo_country":"JP","geo_latitude":35.68536,"geo_longitude":139.75309,"geo_time_zone":"Asia/Tokyo"}"#,
        ),
        ("192.168.1.1", r#""bytes":5}"#),
        ("host.example.com", r#""bytes":5}"#),
    ];
    let line = |client| {
        format!(r#"{client} - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 5 "-" "-""#)
    };
    let lines = cases.map(|(client, _)| line(client));
    for _ in 0..2 {
        let (answers, report) = transform(&mut engine, &request(&lines));
        assert_eq!((report.ok, report.geoip_errors), (cases.len() as u64, 0));
        for (answer, (client, expected)) in answers.iter().zip(cases) {
            let text = std::str::from_utf8(&answer.data).unwrap().trim_end();
            assert!(text.ends_with(expected), "{client}: {text}");
        }
    }
}

/// A network in the notation `address/bits`, as the bits of IPv6; IPv4 lies at the bottom.
fn network(text: &str) -> (u128, u32) {
    let (address, bits) = text.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    match address.parse().unwrap() {
        IpAddr::V4(address) => (u128::from(address.to_bits()), bits + 96),
        IpAddr::V6(address) => (address.to_bits(), bits),
    }
}

/// What the source of a database says of a place, in the words of the step.
fn place(source: &Value) -> BTreeMap<&'static str, Value> {
    let members = [
        ("geo_country", "/country/iso_code"),
        ("geo_region", "/subdivisions/0/names/en"),
        ("geo_city", "/city/names/en"),
        ("geo_latitude", "/location/latitude"),
        ("geo_longitude", "/location/longitude"),
        ("geo_time_zone", "/location/time_zone"),
    ];
    let known = members.iter().filter_map(|(name, at)| {
        let value = source.pointer(at)?;
        // The source writes whole degrees without a point.
        Some((*name, value.as_f64().map_or(value.clone(), Value::from)))
    });
    known.collect()
}

#[test]
fn every_network_of_the_database_is_where_its_source_says() {
    let (Some(bytes), Some(source)) =
        (read("GeoIP2-City-Test.mmdb"), read("GeoIP2-City-Test.json"))
    else {
        return;
    };
    let source: Vec<BTreeMap<String, Value>> = serde_json::from_slice(&source).unwrap();
    let networks: Vec<_> = source.iter().flatten().collect();
    assert_eq!(networks.len(), 251);
    let database = geoip::Database::open(Arc::new(bytes)).unwrap();
    let tables = Tables { geoip: Some(database), ..Tables::default() };
    let mut engine = support::builtin("access-log", tables);
    let mut placed = 0;
    for (name, _) in &networks {
        // The first and the last address, each where the narrowest network around it is.
        let (start, bits) = network(name);
        let end = start | u128::MAX.checked_shr(bits).unwrap_or(0);
        for address in [start, end] {
            let around = |(name, _): &&(&String, &Value)| {
                let (start, bits) = network(name);
                address.checked_shr(128 - bits).unwrap_or(0)
                    == start.checked_shr(128 - bits).unwrap_or(0)
            };
            let narrowest = networks.iter().filter(around).max_by_key(|(name, _)| network(name).1);
            let expected = place(narrowest.unwrap().1);
            let text = match name.contains(':') {
                true => Ipv6Addr::from_bits(address).to_string(),
                false => Ipv4Addr::from_bits(address as u32).to_string(),
            };
            let line = format!(
                r#"{text} - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 5 "-" "-""#
            );
            let (answers, report) = transform(&mut engine, &request(&[line]));
            assert_eq!((report.ok, report.geoip_errors), (1, 0), "{text}");
            let row = answers[0].object().unwrap();
            let found: BTreeMap<_, _> = row
                .as_object()
                .unwrap()
                .iter()
                .filter(|(name, _)| name.starts_with("geo_"))
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect();
            assert_eq!(found, expected, "{text} of {name}");
            placed += found.len();
        }
    }
    assert!(placed > 1_000, "{placed}");
}

#[test]
fn a_database_of_networks_is_refused() {
    let Some(bytes) = read("GeoLite2-ASN-Test.mmdb") else { return };
    let error = geoip::Database::open(Arc::new(bytes)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a database of type GeoLite2-ASN holds no places: use a City or Country database"
    );
}
