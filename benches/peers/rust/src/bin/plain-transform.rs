//! A Firehose transformation of access log lines, as one writes it with `aws_lambda_events`, `regex`,
//! `serde_json`, `chrono` and `maxminddb`.

use std::net::IpAddr;

use aws_lambda_events::firehose::{
    KinesisFirehoseEvent, KinesisFirehoseResponse, KinesisFirehoseResponseRecord,
};
use chrono::{DateTime, SecondsFormat, Utc};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use maxminddb::{Reader, geoip2};
use regex::Regex;
use serde::Serialize;

const LINE: &str = r#"^(\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\s*$"#;

#[derive(Serialize)]
struct Row<'a> {
    client: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ident: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'a str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    geo_country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    geo_region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    geo_city: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    geo_latitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    geo_longitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    geo_time_zone: Option<&'a str>,
}

struct Transform {
    line: Regex,
    places: Reader<Vec<u8>>,
    /// Whether only requests that failed and are no images are kept.
    filter: bool,
}

enum Made {
    Ok(Vec<u8>),
    Dropped,
    Failed,
}

impl Transform {
    fn convert(&self, data: &[u8]) -> Made {
        let Some(found) = std::str::from_utf8(data).ok().and_then(|line| self.line.captures(line))
        else {
            return Made::Failed;
        };
        let part = |at| found.get(at).map_or("", |part| part.as_str());
        let optional = |at| Some(part(at)).filter(|text| *text != "-");
        let Ok(time) = DateTime::parse_from_str(part(4), "%d/%b/%Y:%H:%M:%S %z") else {
            return Made::Failed;
        };
        let mut request = part(5).splitn(3, ' ');
        let mut row = Row {
            client: part(1),
            ident: optional(2),
            user: optional(3),
            time: time.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Secs, true),
            method: request.next(),
            path: request.next(),
            protocol: request.next(),
            status: part(6).parse().unwrap_or_default(),
            bytes: part(7).parse().ok(),
            referer: optional(8),
            user_agent: optional(9),
            geo_country: None,
            geo_region: None,
            geo_city: None,
            geo_latitude: None,
            geo_longitude: None,
            geo_time_zone: None,
        };
        if self.filter
            && !(row.status >= 400 && !row.path.unwrap_or_default().starts_with("/images"))
        {
            return Made::Dropped;
        }
        let address = row.client.parse::<IpAddr>().ok();
        let entry = address.and_then(|address| self.places.lookup(address).ok());
        if let Some(Ok(Some(city))) = entry.map(|entry| entry.decode::<geoip2::City<'_>>()) {
            row.geo_country = city.country.iso_code;
            row.geo_region = city.subdivisions.first().and_then(|region| region.names.english);
            row.geo_city = city.city.names.english;
            row.geo_latitude = city.location.latitude;
            row.geo_longitude = city.location.longitude;
            row.geo_time_zone = city.location.time_zone;
            return write(&row);
        }
        write(&row)
    }
}

fn write(row: &Row<'_>) -> Made {
    match serde_json::to_vec(row) {
        Ok(mut line) => {
            line.push(b'\n');
            Made::Ok(line)
        }
        Err(_) => Made::Failed,
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let transform = Transform {
        line: Regex::new(LINE)?,
        places: Reader::open_readfile(std::env::var("PLACES")?)?,
        filter: std::env::var_os("FILTER").is_some(),
    };
    let transform = &transform;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<KinesisFirehoseEvent>| {
        let mut response = KinesisFirehoseResponse::default();
        for record in &event.payload.records {
            let mut answer = KinesisFirehoseResponseRecord::default();
            answer.record_id.clone_from(&record.record_id);
            let (result, data) = match transform.convert(&record.data.0) {
                Made::Ok(line) => ("Ok", line),
                Made::Dropped => ("Dropped", Vec::new()),
                Made::Failed => ("ProcessingFailed", record.data.0.clone()),
            };
            answer.result = Some(result.to_owned());
            answer.data.0 = data;
            response.records.push(answer);
        }
        Ok::<_, Error>(response)
    }))
    .await
}
