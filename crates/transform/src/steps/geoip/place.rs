//! What is taken from one entry of the database.

use std::fmt;

use maxminddb::{LookupResult, MaxMindDbError};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::Entry;
use crate::value::{Kind, Value};

/// A place, as far as the database knows it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Place {
    /// The country's code by ISO 3166-1.
    country: Option<Box<str>>,
    /// The English name of the largest subdivision of the country.
    region: Option<Box<str>>,
    /// The English name of the city.
    city: Option<Box<str>>,
    /// Degrees north.
    latitude: Option<Number>,
    /// Degrees east.
    longitude: Option<Number>,
    /// The time zone's name in the IANA database.
    time_zone: Option<Box<str>>,
}

/// A number, and how it is written.
type Number = (f64, Box<str>);

impl Entry for Place {
    const FIELDS: &'static [(&'static str, Kind)] = &[
        ("geo_country", Kind::Text),
        ("geo_region", Kind::Text),
        ("geo_city", Kind::Text),
        ("geo_latitude", Kind::Float),
        ("geo_longitude", Kind::Float),
        ("geo_time_zone", Kind::Text),
    ];

    fn read<S: AsRef<[u8]>>(found: &LookupResult<'_, S>) -> Result<Self, MaxMindDbError> {
        let entry = found.decode::<Layout<'_>>()?.unwrap_or_default();
        let owned = |text: Option<&str>| text.map(Box::from);
        let number = |degrees: Degrees| {
            degrees.0.map(|value| (value, serde_json::Value::from(value).to_string().into()))
        };
        Ok(Self {
            country: owned(entry.country.iso_code),
            region: owned(entry.subdivisions.first().and_then(|region| region.names.en)),
            city: owned(entry.city.names.en),
            latitude: number(entry.location.latitude),
            longitude: number(entry.location.longitude),
            time_zone: owned(entry.location.time_zone),
        })
    }

    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        fn text(text: Option<&str>) -> Value<'_> {
            text.map_or(Value::Null, Value::Text)
        }
        fn number(number: Option<&Number>) -> Value<'_> {
            number.map_or(Value::Null, |(value, text)| Value::Float(*value, text))
        }
        [
            text(self.country.as_deref()),
            text(self.region.as_deref()),
            text(self.city.as_deref()),
            number(self.latitude.as_ref()),
            number(self.longitude.as_ref()),
            text(self.time_zone.as_deref()),
        ]
        .into_iter()
    }
}

/// As much of the layout of GeoIP2 entries as is used, borrowed.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Layout<'a> {
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
