//! A database of places in MaxMind's format, about 10 MB, that knows 95 of 100 addresses
//! ("MaxMind DB File Format Specification", 2.0).

use std::net::Ipv4Addr;

use crate::dice::{Dice, mix};

/// Networks of so many bits have an entry each, or none.
const PREFIX_BITS: u32 = 20;

/// Entries, which networks share.
const ENTRIES: u64 = 9_000;

/// Of a hundred networks.
const KNOWN_PERCENT: u64 = 95;

/// Bytes between the tree and the data.
const SEPARATOR: usize = 16;

/// An address of a client, made from any number: none of a private or a reserved network.
pub fn address(number: u64) -> Ipv4Addr {
    let [a, b, c, d, ..] = mix(number).to_le_bytes();
    Ipv4Addr::new(11 + a % 80, b, c, d)
}

/// The whole file.
pub fn database() -> Vec<u8> {
    let (data, offsets) = entries();
    // A complete tree of 24-bit records: the children of a node lie at twice its place.
    let nodes = (1_usize << PREFIX_BITS) - 1;
    let mut out = Vec::with_capacity(nodes * 6 + data.len());
    let mut record = |value: usize| out.extend_from_slice(&(value as u32).to_be_bytes()[1..]);
    for child in 1..=2 * nodes {
        if child < nodes {
            record(child);
            continue;
        }
        let network = mix((child - nodes) as u64);
        if network % 100 < KNOWN_PERCENT {
            let entry = offsets[(network / 100 % ENTRIES) as usize];
            record(nodes + SEPARATOR + entry);
        } else {
            record(nodes);
        }
    }
    out.extend_from_slice(&[0; SEPARATOR]);
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    metadata(&mut out, nodes);
    out
}

/// The data section, and where each entry begins.
fn entries() -> (Vec<u8>, Vec<usize>) {
    let mut out = Vec::new();
    let mut dice = Dice(11);
    let offsets = (0..ENTRIES).map(|number| {
        let offset = out.len();
        entry(&mut out, number, &mut dice);
        offset
    });
    let offsets = offsets.collect();
    (out, offsets)
}

/// An entry as a City database has it: names in several languages, numbers of every kind.
fn entry(out: &mut Vec<u8>, number: u64, dice: &mut Dice) {
    let code = ["DE", "US", "FR", "JP", "BR", "SE", "IN", "ZA"][(number % 8) as usize];
    map(out, 6);
    text(out, "city");
    map(out, 2);
    text(out, "geoname_id");
    uint(out, 6, 2_000_000 + number);
    text(out, "names");
    names(out, &format!("Town of {}", dice.below(100_000)));
    text(out, "continent");
    map(out, 2);
    text(out, "code");
    text(out, "EU");
    text(out, "geoname_id");
    uint(out, 6, 6_255_148);
    text(out, "country");
    map(out, 3);
    text(out, "geoname_id");
    uint(out, 6, 3_000_000 + number % 8);
    text(out, "iso_code");
    text(out, code);
    text(out, "names");
    names(out, &format!("Land of {code}"));
    text(out, "location");
    map(out, 4);
    text(out, "accuracy_radius");
    uint(out, 5, 20);
    for (name, range) in [("latitude", 180), ("longitude", 360)] {
        text(out, name);
        let degrees = dice.below(range * 10_000) as f64 / 10_000.0 - range as f64 / 2.0;
        out.push(3 << 5 | 8);
        out.extend_from_slice(&degrees.to_be_bytes());
    }
    text(out, "time_zone");
    text(out, "Europe/Stockholm");
    text(out, "postal");
    map(out, 1);
    text(out, "code");
    text(out, &format!("{:05}", dice.below(100_000)));
    text(out, "subdivisions");
    // A list is an extended type: its number goes into a byte of its own.
    out.extend_from_slice(&[1, 11 - 7]);
    map(out, 2);
    text(out, "iso_code");
    text(out, "XY");
    text(out, "names");
    names(out, &format!("Province {}", dice.below(400)));
}

fn names(out: &mut Vec<u8>, name: &str) {
    map(out, 4);
    for language in ["de", "en", "fr", "ja"] {
        text(out, language);
        text(out, &format!("{name}{}", if language == "en" { "" } else { " (x)" }));
    }
}

fn metadata(out: &mut Vec<u8>, nodes: usize) {
    map(out, 9);
    text(out, "binary_format_major_version");
    uint(out, 5, 2);
    text(out, "binary_format_minor_version");
    uint(out, 5, 0);
    text(out, "build_epoch");
    // 64 bits are an extended type too.
    out.extend_from_slice(&[8, 9 - 7]);
    out.extend_from_slice(&1_763_683_200_u64.to_be_bytes());
    text(out, "database_type");
    text(out, "Made-City");
    text(out, "description");
    map(out, 1);
    text(out, "en");
    text(out, "made to be measured with");
    text(out, "ip_version");
    uint(out, 5, 4);
    text(out, "languages");
    out.extend_from_slice(&[1, 11 - 7]);
    text(out, "en");
    text(out, "node_count");
    uint(out, 6, nodes as u64);
    text(out, "record_size");
    uint(out, 5, 24);
}

fn map(out: &mut Vec<u8>, members: u8) {
    out.push(7 << 5 | members);
}

fn text(out: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(len @ 0..29) => out.push(2 << 5 | len),
        len => out.extend_from_slice(&[2 << 5 | 29, len.unwrap_or(u8::MAX) - 29]),
    }
    out.extend_from_slice(text.as_bytes());
}

/// 16 bits are type 5, 32 bits type 6.
fn uint(out: &mut Vec<u8>, kind: u8, value: u64) {
    let len = if kind == 5 { 2 } else { 4 };
    out.push(kind << 5 | len);
    out.extend_from_slice(&value.to_be_bytes()[8 - usize::from(len)..]);
}
