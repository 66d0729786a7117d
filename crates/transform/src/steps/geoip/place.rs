//! What is taken from one entry of the database.

use std::fmt;

use maxminddb::{LookupResult, MaxMindDbError};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::json;

/// The fields that the step adds, in the order of the output.
pub const FIELDS: &[&str] =
    &["geo_country", "geo_region", "geo_city", "geo_latitude", "geo_longitude", "geo_time_zone"];

/// A place, as far as the database knows it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Place {
    /// The country's code by ISO 3166-1.
    pub(crate) country: Option<Box<str>>,
    /// The English name of the largest subdivision of the country.
    pub(crate) region: Option<Box<str>>,
    /// The English name of the city.
    pub(crate) city: Option<Box<str>>,
    /// Degrees north.
    pub(crate) latitude: Option<f64>,
    /// Degrees east.
    pub(crate) longitude: Option<f64>,
    /// The time zone's name in the IANA database.
    pub(crate) time_zone: Option<Box<str>>,
    json: Box<[u8]>,
}

impl Place {
    /// Reads the entry that a lookup found.
    pub(crate) fn read<S: AsRef<[u8]>>(
        found: &LookupResult<'_, S>,
    ) -> Result<Self, MaxMindDbError> {
        let entry = found.decode::<Entry<'_>>()?.unwrap_or_default();
        let owned = |text: Option<&str>| text.map(Box::from);
        let mut place = Self {
            country: owned(entry.country.iso_code),
            region: owned(entry.subdivisions.first().and_then(|region| region.names.en)),
            city: owned(entry.city.names.en),
            latitude: entry.location.latitude.0,
            longitude: entry.location.longitude.0,
            time_zone: owned(entry.location.time_zone),
            json: Box::default(),
        };
        place.json = place.render().into();
        Ok(place)
    }

    /// A place of which everything is known.
    pub(crate) fn sample() -> Self {
        Self {
            country: Some("SE".into()),
            region: Some("Stockholm".into()),
            city: Some("Stockholm".into()),
            latitude: Some(59.3),
            longitude: Some(18.1),
            time_zone: Some("Europe/Stockholm".into()),
            json: Box::default(),
        }
    }

    /// The fields as members of a JSON object, each with the comma before it.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    fn render(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let [country, region, city, latitude, longitude, time_zone] = FIELDS else {
            return out;
        };
        text(&mut out, country, self.country.as_deref());
        text(&mut out, region, self.region.as_deref());
        text(&mut out, city, self.city.as_deref());
        number(&mut out, latitude, self.latitude);
        number(&mut out, longitude, self.longitude);
        text(&mut out, time_zone, self.time_zone.as_deref());
        out
    }
}

fn text(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(format!(",\"{key}\":").as_bytes());
        json::string(out, value);
    }
}

fn number(out: &mut Vec<u8>, key: &str, value: Option<f64>) {
    if let Some(value) = value {
        // A number in JSON, with no more digits than it takes to read the same one back.
        out.extend_from_slice(format!(",\"{key}\":{}", serde_json::Value::from(value)).as_bytes());
    }
}

/// As much of the layout of GeoIP2 entries as is used, borrowed.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry<'a> {
    #[serde(borrow)]
    country: Country<'a>,
    #[serde(borrow)]
    subdivisions: Vec<Named<'a>>,
    #[serde(borrow)]
    city: Named<'a>,
    #[serde(borrow)]
    location: Location<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    names: Names<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Location<'a> {
    latitude: Degrees,
    longitude: Degrees,
    time_zone: Option<&'a str>,
}

/// A number of any width: databases made by hand hold integers and floats where MaxMind's hold
/// doubles.
#[derive(Default)]
struct Degrees(Option<f64>);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DegreesVisitor)
    }
}

struct DegreesVisitor;

impl Visitor<'_> for DegreesVisitor {
    type Value = Degrees;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Degrees, E> {
        Ok(Degrees(value.is_finite().then_some(value)))
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<Degrees, E> {
        self.visit_f64(f64::from(value))
    }

    fn visit_i32<E: de::Error>(self, value: i32) -> Result<Degrees, E> {
        self.visit_f64(f64::from(value))
    }

    fn visit_u16<E: de::Error>(self, value: u16) -> Result<Degrees, E> {
        self.visit_f64(f64::from(value))
    }

    fn visit_u32<E: de::Error>(self, value: u32) -> Result<Degrees, E> {
        self.visit_f64(f64::from(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Degrees, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Degrees, E> {
        self.visit_f64(value as f64)
    }
}
