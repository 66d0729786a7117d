use super::made::{V, bytes};
use super::*;

fn step(low: &V<'_>, high: Option<&V<'_>>) -> Geoip<Place> {
    let database = Database::open(Arc::new(bytes("Test-City", low, high))).unwrap();
    let into = (1..=Place::FIELDS.len()).collect();
    Geoip::new(database, 0, into)
}

/// What the step adds to the record of an address, as members of JSON.
fn run(step: &mut Geoip<Place>, address: &str) -> String {
    let mut values = vec![Value::Bool(true); Place::FIELDS.len() + 1];
    values[0] = Value::Text(address);
    let mut record =
        Record { values, others: Vec::new(), at: None, geoip_error: false, written: None };
    step.run(&mut record);
    let mut json = Vec::new();
    for ((name, _), value) in Place::FIELDS.iter().zip(&record.values[1..]) {
        if !value.is_null() {
            json.extend_from_slice(format!(",\"{name}\":").as_bytes());
            value.write(&mut json);
        }
    }
    if record.geoip_error {
        assert_eq!(json, b"");
        return "error".to_owned();
    }
    String::from_utf8(json).unwrap()
}

#[test]
fn an_entry_becomes_flat_fields() {
    let full = V::Map(&[
        ("continent", V::Map(&[("code", V::Text("EU"))])),
        ("country", V::Map(&[("geoname_id", V::U32(7)), ("iso_code", V::Text("SE"))])),
        (
            "subdivisions",
            V::List(&[
                V::Map(&[("names", V::Map(&[("de", V::Text("O")), ("en", V::Text("Ö\"st"))]))]),
                V::Map(&[("names", V::Map(&[("en", V::Text("second"))]))]),
            ]),
        ),
        ("city", V::Map(&[("names", V::Map(&[("en", V::Text("Linköping"))]))])),
        (
            "location",
            V::Map(&[
                ("latitude", V::Double(58.4167)),
                ("longitude", V::Double(15.0)),
                ("accuracy_radius", V::U16(76)),
                ("time_zone", V::Text("Europe/Stockholm")),
            ]),
        ),
    ]);
    let mut step = step(&full, None);
    let place = r#","geo_country":"SE","geo_region":"Ö\"st","geo_city":"Linköping","geo_latitude":58.4167,"geo_longitude":15.0,"geo_time_zone":"Europe/Stockholm""#;
    // Twice: read from the database, then from what was kept ready.
    assert_eq!(run(&mut step, "89.160.20.112"), place);
    assert_eq!(run(&mut step, "10.0.0.1"), place);
    assert_eq!(step.entries.len(), 1);
    // Unknown to the database, of another family, no address at all.
    for client in ["192.0.2.7", "2001:db8::7", "host.example.com", "1.2.3", "-"] {
        assert_eq!(run(&mut step, client), "", "{client}");
    }
}

#[test]
fn databases_made_by_hand_are_read_too() {
    let cases = [
        (V::Map(&[]), ""),
        (V::Map(&[("country", V::Map(&[("iso_code", V::Text("SE"))]))]), r#","geo_country":"SE""#),
        (
            V::Map(&[("location", V::Map(&[("latitude", V::I32(-3)), ("longitude", V::U16(12))]))]),
            r#","geo_latitude":-3.0,"geo_longitude":12.0"#,
        ),
        (
            V::Map(&[(
                "location",
                V::Map(&[("latitude", V::Float(0.5)), ("longitude", V::Double(f64::NAN))]),
            )]),
            r#","geo_latitude":0.5"#,
        ),
        (V::Map(&[("subdivisions", V::List(&[])), ("city", V::Map(&[]))]), ""),
    ];
    for (entry, expected) in &cases {
        assert_eq!(run(&mut step(entry, None), "1.2.3.4"), *expected);
    }
}

#[test]
fn an_entry_that_cannot_be_read_is_an_error_and_no_other_is_touched() {
    let good = V::Map(&[("country", V::Map(&[("iso_code", V::Text("SE"))]))]);
    let cases = [
        // A list where the map should be; a map that goes on past the end; text that is not UTF-8.
        V::List(&[]),
        V::Map(&[("country", V::Text("SE"))]),
        V::Raw(&[7 << 5 | 20, 0x42, b'a']),
        V::Map(&[("country", V::Map(&[("iso_code", V::Raw(&[0x42, 0xff, 0xff]))]))]),
    ];
    for bad in &cases {
        let mut step = step(&good, Some(bad));
        for _ in 0..2 {
            assert_eq!(run(&mut step, "200.1.2.3"), "error");
            assert_eq!(run(&mut step, "1.2.3.4"), r#","geo_country":"SE""#);
        }
    }
}

#[test]
fn what_is_no_database_of_places_is_refused() {
    let open = |bytes: Vec<u8>| Database::open(Arc::new(bytes)).unwrap_err();
    let entry = V::Map(&[]);
    let whole = bytes("GeoLite2-City", &entry, None);
    for length in [0, 10, whole.len() / 2, whole.len() - 20] {
        let error = open(whole[..length].to_vec());
        assert!(matches!(error, DatabaseError::Unreadable(_)), "{length}: {error}");
    }
    let asn = open(bytes("GeoLite2-ASN", &entry, None));
    assert_eq!(
        asn.to_string(),
        "a database of type GeoLite2-ASN holds no places: use a City or Country database"
    );
    let database = Database::open(Arc::new(whole)).unwrap();
    assert_eq!(
        (database.database_type(), database.build_epoch_secs()),
        ("GeoLite2-City", 16_909_060)
    );
}

#[test]
fn the_entries_kept_ready_are_bounded() {
    let entry = V::Map(&[("country", V::Map(&[("iso_code", V::Text("SE"))]))]);
    let mut step = step(&entry, None);
    let other = (1_000_000..).take(CACHED_ENTRIES).map(|offset| (offset, Found::Unreadable));
    step.by_offset.extend(other);
    assert_eq!(run(&mut step, "1.2.3.4"), r#","geo_country":"SE""#);
    assert_eq!(step.by_offset.len(), 1);
}

#[test]
fn addresses_that_share_a_place_are_kept_apart() {
    let entry = V::Map(&[("country", V::Map(&[("iso_code", V::Text("SE"))]))]);
    let mut step = step(&entry, None);
    // More addresses than are kept, of which every second is known, twice over.
    for n in (0..20_000_u32).chain(0..20_000) {
        let (high, rest) = (if n % 2 == 0 { 10 } else { 200 }, n.to_be_bytes());
        let address = format!("{high}.{}.{}.{}", rest[1], rest[2], rest[3]);
        let expected = if n % 2 == 0 { r#","geo_country":"SE""# } else { "" };
        assert_eq!(run(&mut step, &address), expected, "{address}");
    }
}

#[test]
fn a_network_is_its_system() {
    let entry = V::Map(&[
        ("autonomous_system_number", V::U32(64_500)),
        ("autonomous_system_organization", V::Text("Example")),
    ]);
    let open = |kind| Database::open_networks(Arc::new(bytes(kind, &entry, None)));
    let mut step = Geoip::<Network>::new(open("GeoLite2-ASN").unwrap(), 0, vec![1, 2]);
    let values = vec![Value::Text("1.2.3.4"), Value::Null, Value::Null];
    let mut record =
        Record { values, others: Vec::new(), at: None, geoip_error: false, written: None };
    step.run(&mut record);
    assert_eq!(record.values[1..], [Value::Integer(64_500), Value::Text("Example")]);
    assert_eq!(
        open("GeoLite2-City").unwrap_err().to_string(),
        "a database of type GeoLite2-City holds no networks: use an ASN or ISP database"
    );
}
