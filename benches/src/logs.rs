//! Requests of Firehose full of access log lines: real ones where there are any, else lines of our
//! own that are as long and as various.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::dice::Dice;

/// Records of 1 MB of lines, Firehose's default buffer for a transformation.
pub const RECORDS: usize = 4_314;

/// Clients that appear among as many lines.
const CLIENTS: u64 = 1_100;

/// How a request is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As Firehose lays it out.
    Usual,
    /// With white space, the members in another order, and one that says where the record was.
    Other,
}

/// Lines of a log, endlessly.
///
/// # Errors
/// When the folder has no such log.
pub fn lines(folder: Option<&Path>, count: usize) -> anyhow::Result<Vec<String>> {
    let Some(folder) = folder else {
        let mut dice = Dice(7);
        return Ok((0..count).map(|number| line(number, &mut dice)).collect());
    };
    let path = folder.join("apache_combined.log");
    let text =
        std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| line.ends_with('"')).map(|line| format!("{line}\n"));
    Ok(lines.collect::<Vec<_>>().into_iter().cycle().take(count).collect())
}

/// A request with these lines, a record each.
pub fn request(lines: &[String], layout: Layout) -> Vec<u8> {
    let mut out = String::from(
        "{\"invocationId\":\"2d9e3a3a-6a4f-4f4e-8f5c-0d7a6f1b2c3d\",\"deliveryStreamArn\":\
         \"arn:aws:firehose:eu-west-1:123456789012:deliverystream/access-logs\",\
         \"region\":\"eu-west-1\",\"records\":[",
    );
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        let id = format!("49546986683135544286507{number:026}000000");
        let data = base64_simd::STANDARD.encode_to_string(line);
        let at = 1_763_683_200_000 + number as u64;
        // A string takes whatever is written to it.
        let _ = match layout {
            Layout::Usual => write!(
                out,
                "{{\"recordId\":\"{id}\",\"approximateArrivalTimestamp\":{at},\"data\":\"{data}\"}}"
            ),
            Layout::Other => write!(
                out,
                "\n  {{ \"data\" : \"{data}\",\n    \"kinesisRecordMetadata\" : {{ \"shardId\" : \
                 \"shardId-000000000000\" }},\n    \"approximateArrivalTimestamp\" : {at},\n    \
                 \"recordId\" : \"{id}\" }}"
            ),
        };
    }
    out.push_str("]}");
    out.into_bytes()
}

/// A line such as a web server writes, 236 bytes in the mean.
fn line(number: usize, dice: &mut Dice) -> String {
    // Few clients ask often, many once.
    let rank = dice.below(CLIENTS).min(dice.below(CLIENTS));
    let client = crate::places::address(crate::dice::mix(rank));
    let second = number as u64 / 4;
    let [method, status] = match dice.below(100) {
        0..90 => ["GET", "200"],
        90..94 => ["GET", "304"],
        94..96 => ["HEAD", "301"],
        96..97 => ["POST", "500"],
        _ => ["GET", "404"],
    };
    let path = match dice.below(6) {
        0 => format!("/images/posts/{}/figure-{}.png", dice.below(400), dice.below(9)),
        1 => format!("/blog/tags/{}?flav=rss20", dice.one(&TOPICS)),
        2 => "/style2.css".to_owned(),
        3 => format!("/presentations/{}/slides/{}.html", dice.one(&TOPICS), dice.below(60)),
        4 => format!("/articles/{}-in-production/?page={}", dice.one(&TOPICS), dice.below(20)),
        _ => "/favicon.ico".to_owned(),
    };
    let referer = match dice.below(3) {
        0 => "-".to_owned(),
        1 => format!("https://www.example.com/articles/{}-in-production/", dice.one(&TOPICS)),
        _ => format!("https://search.example.net/find?q={}&source=web", dice.one(&TOPICS)),
    };
    let bytes = match dice.below(15) {
        0 => "-".to_owned(),
        _ => (200 + dice.below(200_000)).to_string(),
    };
    format!(
        "{client} - - [{:02}/Nov/2025:{:02}:{:02}:{:02} +0000] \"{method} {path} HTTP/1.1\" {status} \
         {bytes} \"{referer}\" \"{}\"\n",
        17 + second / 86_400 % 12,
        second / 3_600 % 24,
        second / 60 % 60,
        second % 60,
        dice.one(&AGENTS),
    )
}

const TOPICS: [&str; 12] = [
    "kinesis",
    "firehose",
    "lambda",
    "queues",
    "monitoring",
    "logging",
    "parquet",
    "sharding",
    "backpressure",
    "postmortem",
    "on-call",
    "capacity",
];

const AGENTS: [&str; 9] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://www.example.com/bot.html)",
    "curl/8.9.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
];
