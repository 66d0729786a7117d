//! What a pipeline does with each record, in the order it names.

pub mod filter;
pub mod geoip;

use std::sync::Arc;

use cel::common::types::{CelDouble, CelInt, CelNull, CelString};
use cel::common::value::CowVal;
use cel::context::VariableResolver;

use self::filter::Filter;
use self::geoip::{Geoip, Place};
use crate::formats::apache::{AccessLine, Request, Text};
use crate::json::Object;
use crate::outcome::Outcome;

/// One step, ready to run.
pub(crate) enum Step {
    /// Keeps or drops records by an expression.
    Filter(Filter),
    /// Adds the place of an address.
    Geoip(Geoip),
}

impl Step {
    /// Runs the step; `Some` ends the record here.
    pub(crate) fn run(&mut self, record: &mut Record<'_>) -> Option<Outcome> {
        match self {
            Self::Filter(filter) => filter.run(record),
            Self::Geoip(geoip) => {
                geoip.run(record);
                None
            }
        }
    }
}

/// One record on its way through the steps.
pub(crate) struct Record<'a> {
    /// What the format read.
    pub(crate) line: AccessLine<'a>,
    /// What a geoip step found.
    pub(crate) place: Option<Arc<Place>>,
    /// Whether a geoip step could not read its database here.
    pub(crate) geoip_error: bool,
}

impl<'a> Record<'a> {
    pub(crate) fn new(line: AccessLine<'a>) -> Self {
        Self { line, place: None, geoip_error: false }
    }

    /// A record that has every field, to try an expression on.
    pub(crate) fn sample(line: AccessLine<'a>) -> Self {
        Self { line, place: Some(Arc::new(Place::sample())), geoip_error: false }
    }

    /// Writes the record as one JSON object.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        self.line.write(&mut object);
        if let Some(place) = &self.place {
            object.members(place.json());
        }
        object.end();
    }

    fn place_text(&self, field: impl FnOnce(&Place) -> Option<&str>) -> CowVal<'_, '_> {
        match self.place.as_deref().and_then(field) {
            Some(text) => CowVal::owned(CelString::from(text)),
            None => CowVal::owned(CelNull),
        }
    }
}

/// The fields as the variables of an expression. One that the record lacks is null.
///
/// The evaluator asks for each variable where it meets it, so that a field which the expression
/// does not use costs nothing.
impl VariableResolver for Record<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let line = &self.line;
        let (method, path, protocol, request) = match line.request {
            Request::Split { method, path, protocol } => {
                (Some(method), Some(path), Some(protocol), None)
            }
            Request::Whole(request) => (None, None, None, Some(request)),
        };
        Some(match variable {
            "client" => plain(Some(line.client)),
            "ident" => text(line.ident),
            "user" => text(line.user),
            "time" => CowVal::owned(CelString::from(line.time.to_string())),
            "method" => plain(method),
            "path" => text(path),
            "protocol" => plain(protocol),
            "request" => text(request),
            "status" => CowVal::owned(CelInt::from(i64::from(line.status))),
            "bytes" => match line.bytes {
                // More than 8 EiB are as good as 8 EiB.
                Some(bytes) => {
                    CowVal::owned(CelInt::from(i64::try_from(bytes).unwrap_or(i64::MAX)))
                }
                None => CowVal::owned(CelNull),
            },
            "referer" => text(line.referer),
            "user_agent" => text(line.user_agent),
            "geo_country" => self.place_text(|place| place.country.as_deref()),
            "geo_region" => self.place_text(|place| place.region.as_deref()),
            "geo_city" => self.place_text(|place| place.city.as_deref()),
            "geo_latitude" => number(self.place.as_ref().and_then(|place| place.latitude)),
            "geo_longitude" => number(self.place.as_ref().and_then(|place| place.longitude)),
            "geo_time_zone" => self.place_text(|place| place.time_zone.as_deref()),
            _ => return None,
        })
    }
}

fn plain(value: Option<&str>) -> CowVal<'_, '_> {
    match value {
        Some(value) => CowVal::owned(CelString::from(value)),
        None => CowVal::owned(CelNull),
    }
}

fn text(value: Option<Text<'_>>) -> CowVal<'_, '_> {
    match value {
        Some(value) => CowVal::owned(CelString::from(value.decoded())),
        None => CowVal::owned(CelNull),
    }
}

fn number(value: Option<f64>) -> CowVal<'static, 'static> {
    match value {
        Some(value) => CowVal::owned(CelDouble::from(value)),
        None => CowVal::owned(CelNull),
    }
}
