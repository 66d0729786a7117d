//! What a user agent says of itself: program, version, system, kind of device.
//!
//! Agents imitate each other, so that the order of the names matters: the most particular comes
//! first. What none of the names fits gets no fields.

use std::collections::HashMap;

use crate::record::Record;
use crate::value::{Kind, Value};

/// The fields that the step adds, in the order of the output.
pub(crate) const FIELDS: &[(&str, Kind)] = &[
    ("ua_name", Kind::Text),
    ("ua_version", Kind::Text),
    ("ua_os", Kind::Text),
    ("ua_device", Kind::Text),
];

/// Agents that are kept ready, of at most this length each.
const CACHED_AGENTS: usize = 4_096;
const CACHED_AGENT_BYTES: usize = 512;

/// What marks a program, in order, and its name. The version follows the mark.
const PROGRAMS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPiOS/", "Opera"),
    ("Opera/", "Opera"),
    ("Opera ", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("Vivaldi/", "Vivaldi"),
    ("UCBrowser/", "UC Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("SeaMonkey/", "SeaMonkey"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("MSIE ", "Internet Explorer"),
    ("Trident/7.0; rv:", "Internet Explorer"),
    ("Trident/7.0", "Internet Explorer"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("PostmanRuntime/", "Postman"),
    ("python-requests/", "python-requests"),
    ("Python-urllib/", "Python-urllib"),
    ("python-httpx/", "python-httpx"),
    ("aiohttp/", "aiohttp"),
    ("Go-http-client/", "Go-http-client"),
    ("okhttp/", "okhttp"),
    ("Apache-HttpClient/", "Apache-HttpClient"),
    ("Java/", "Java"),
    ("axios/", "axios"),
    ("node-fetch/", "node-fetch"),
    ("Dalvik/", "Dalvik"),
    ("CFNetwork/", "CFNetwork"),
    ("ELB-HealthChecker/", "ELB-HealthChecker"),
    ("Amazon-Route53-Health-Check-Service", "Route 53 health check"),
    ("kube-probe/", "kube-probe"),
    ("Version/", "Safari"),
];

/// What marks a robot, in lower case.
const ROBOTS: &[&str] = &[
    "bot",
    "crawl",
    "spider",
    "slurp",
    "facebookexternalhit",
    "feedfetcher",
    "monitor",
    "preview",
    "scanner",
    "health",
    "kube-probe",
    "headless",
    "archiver",
    "validator",
    "feedburner",
];

/// What marks a system, in order.
const SYSTEMS: &[(&str, &str)] = &[
    ("Windows Phone", "Windows Phone"),
    ("Windows", "Windows"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("iPod", "iOS"),
    ("Android", "Android"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
];

/// What an agent comes to.
#[derive(Debug, Clone, Default, PartialEq)]
struct Agent {
    name: Option<Box<str>>,
    version: Option<Box<str>>,
    os: Option<&'static str>,
    device: Option<&'static str>,
}

/// The step.
pub(crate) struct UserAgent {
    field: usize,
    into: Vec<usize>,
    known: HashMap<Box<str>, Agent>,
    /// One that is too long to be kept.
    other: Agent,
}

impl UserAgent {
    pub(crate) fn new(field: usize, into: Vec<usize>) -> Self {
        Self { field, into, known: HashMap::new(), other: Agent::default() }
    }

    pub(crate) fn reset(&mut self) {
        self.known.clear();
    }

    pub(crate) fn run<'r>(&'r mut self, record: &mut Record<'r>) {
        let Self { field, into, known, other } = self;
        let text = record.values[*field].text();
        let agent = match text.as_deref() {
            None => {
                *other = Agent::default();
                &*other
            }
            Some(text) if text.len() > CACHED_AGENT_BYTES => {
                *other = Agent::read(text);
                &*other
            }
            Some(text) => {
                if !known.contains_key(text) {
                    if known.len() >= CACHED_AGENTS {
                        known.clear();
                    }
                    known.insert(text.into(), Agent::read(text));
                }
                known.get(text).unwrap_or(other)
            }
        };
        let value = |text: Option<&'r str>| text.map_or(Value::Null, Value::Text);
        let values = [
            value(agent.name.as_deref()),
            value(agent.version.as_deref()),
            value(agent.os),
            value(agent.device),
        ];
        for (slot, value) in into.iter().zip(values) {
            record.values[*slot] = value;
        }
    }
}

impl Agent {
    fn read(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let robot = ROBOTS.iter().any(|mark| lower.contains(mark));
        let program = match robot {
            true => robot_name(text).or_else(|| program(text)),
            false => program(text),
        };
        let os = SYSTEMS.iter().find(|(mark, _)| text.contains(mark)).map(|(_, name)| *name);
        let device = if robot {
            Some("robot")
        } else if text.contains("iPad")
            || text.contains("Tablet")
            || text.contains("Android") && !text.contains("Mobile")
        {
            Some("tablet")
        } else if text.contains("Mobi") || text.contains("iPhone") {
            Some("phone")
        } else {
            os.is_some().then_some("computer")
        };
        let (name, version) = match program {
            Some((name, version)) => (Some(name.into()), version.map(Box::from)),
            None => (None, None),
        };
        Self { name, version, os, device }
    }
}

/// The program and its version, as far as digits and points go.
fn program(text: &str) -> Option<(&str, Option<&str>)> {
    let (mark, name) = PROGRAMS.iter().find(|(mark, name)| {
        text.contains(mark) && (*name != "Safari" || text.contains("Safari/"))
    })?;
    let after = text.split_once(mark).map_or("", |(_, after)| after);
    Some((name, version(after)))
}

/// The word of a robot that says that it is one: `Googlebot/2.1`.
fn robot_name(text: &str) -> Option<(&str, Option<&str>)> {
    let word = text.split([' ', ';', '(', ')', ',', '+']).find(|word| {
        let lower = word.to_ascii_lowercase();
        !lower.contains("http") && ROBOTS.iter().any(|mark| lower.contains(mark))
    })?;
    let (name, after) = word.split_once('/').unwrap_or((word, ""));
    (!name.is_empty()).then_some((name, version(after)))
}

fn version(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let version = text[..end].trim_end_matches('.');
    (!version.is_empty()).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_told_apart() {
        let cases = [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36",
                "Chrome 137.0.0.0 Windows computer",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36 Edg/137.0.3296.62",
                "Edge 137.0.3296.62 Windows computer",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox 140.0 Linux computer",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
                "Safari 18.5 iOS phone",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
                "Safari 18.5 macOS computer",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Safari/537.36",
                "Samsung Internet 28.0 Android tablet",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile Safari/537.36",
                "Chrome 137.0.0.0 Android phone",
            ),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Googlebot 2.1 - robot",
            ),
            (
                "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)",
                "Internet Explorer 8.0 Windows computer",
            ),
            (
                "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko",
                "Internet Explorer 11.0 Windows computer",
            ),
            ("curl/8.9.1", "curl 8.9.1 - -"),
            ("ELB-HealthChecker/2.0", "ELB-HealthChecker 2.0 - robot"),
            ("Mozilla/5.0", "- - - -"),
            ("", "- - - -"),
        ];
        for (text, expected) in cases {
            let Agent { name, version, os, device } = Agent::read(text);
            let shown = [name.as_deref(), version.as_deref(), os, device]
                .map(|part| part.unwrap_or("-"))
                .join(" ");
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn the_agents_kept_ready_are_bounded() {
        let mut step = UserAgent::new(0, vec![1, 2, 3, 4]);
        for n in 0..=CACHED_AGENTS {
            let text = format!("curl/{n}");
            let mut values = vec![Value::Null; 5];
            values[0] = Value::Text(&text);
            let mut record =
                Record { values, others: Vec::new(), at: None, geoip_error: false, written: None };
            step.run(&mut record);
            assert_eq!(record.values[1], Value::Text("curl"));
        }
        assert_eq!(step.known.len(), 1);
    }
}
