//! What the demo's producers send: access log lines, and now and then a poison record.

use std::path::Path;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tidegate_local::stream::Put;

/// One record in so many is poison.
const POISON_ONE_IN: u32 = 700;

const PATHS: [(&str, u32); 9] = [
    ("/", 14),
    ("/products/{}", 30),
    ("/search?q=item+{}", 14),
    ("/cart", 8),
    ("/checkout", 3),
    ("/api/v2/stock/{}", 12),
    ("/images/{}.jpg", 22),
    ("/login", 5),
    ("/healthz", 4),
];

const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/137.0.0.0 Safari/537.36",
    "curl/8.14.1",
    "shop-probe/1.4 (\\\"internal\\\")",
];

const REFERERS: [&str; 4] =
    ["-", "https://shop.example/", "https://search.example/?q=shoes", "https://news.example/a/17"];

/// A source of records.
pub struct Lines {
    random: Pcg64Mcg,
    file: Option<Vec<Vec<u8>>>,
    next: usize,
}

impl Lines {
    /// Lines made from a seed.
    pub fn generated(seed: u64) -> Self {
        Self { random: Pcg64Mcg::seed_from_u64(seed ^ 0x6c69_6e65), file: None, next: 0 }
    }

    /// The lines of a file, in order and over again.
    ///
    /// # Errors
    /// When the file cannot be read, or is empty.
    pub fn from_file(path: &Path, seed: u64) -> anyhow::Result<Self> {
        let shown = path.display();
        let bytes = std::fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
        let lines: Vec<_> = bytes
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
            .filter(|line| !line.is_empty())
            .collect();
        ensure!(!lines.is_empty(), "{shown} has no lines to send");
        Ok(Self { file: Some(lines), ..Self::generated(seed) })
    }

    /// The next record.
    pub fn next(&mut self, now: Timestamp) -> Put {
        let data = match &self.file {
            Some(lines) => {
                let line = lines[self.next % lines.len()].clone();
                self.next += 1;
                line
            }
            None => self.line(now).into_bytes(),
        };
        let client = data.split(|byte| *byte == b' ').next().unwrap_or_default();
        let partition_key = match std::str::from_utf8(client) {
            Ok(client) if !client.is_empty() && client.len() <= 256 => client.to_owned(),
            _ => "unknown".to_owned(),
        };
        let data = if self.random.random_ratio(1, POISON_ONE_IN) { self.spoil(data) } else { data };
        Put { partition_key, data }
    }

    fn line(&mut self, now: Timestamp) -> String {
        let random = &mut self.random;
        let [c, d] = [random.random_range(0..64_u8), random.random_range(1..255_u8)];
        let (template, _) =
            PATHS.choose_weighted(random, |(_, weight)| *weight).copied().unwrap_or(PATHS[0]);
        let path = template.replace("{}", &random.random_range(1..4_000_u32).to_string());
        let status = match random.random_range(0..1_000_u32) {
            0..=4 => 500,
            5..=9 => 503,
            10..=39 => 404,
            40..=79 => 304,
            _ => 200,
        };
        let bytes = match status {
            304 => "-".to_owned(),
            200 => random.random_range(300..48_000_u32).to_string(),
            _ => random.random_range(120..900_u32).to_string(),
        };
        let method = if path == "/checkout" || path == "/login" { "POST" } else { "GET" };
        let referer = REFERERS.choose(random).copied().unwrap_or("-");
        let agent = AGENTS.choose(random).copied().unwrap_or("-");
        let time = now.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
        format!(
            "203.0.{c}.{d} - - [{time}] \"{method} {path} HTTP/1.1\" {status} {bytes} \
             \"{referer}\" \"{agent}\""
        )
    }

    /// Makes a line into one of the things that block a shard elsewhere.
    fn spoil(&mut self, line: Vec<u8>) -> Vec<u8> {
        match self.random.random_range(0..4_u8) {
            // Cut off within a quote.
            0 => line[..line.len() * 2 / 3].to_vec(),
            // Not text.
            1 => vec![0xff, 0xfe, 0x00, 0x80, 0x9f, 0x92],
            // Another application's record.
            2 => br#"{"event":"page_view","user":17}"#.to_vec(),
            // A stray byte in the middle.
            _ => {
                let mut line = line;
                let middle = line.len() / 2;
                line.insert(middle, 0xc3);
                line.insert(middle + 1, 0x28);
                line
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_transform::formats::apache;

    use super::*;

    #[test]
    fn generated_lines_are_access_log_lines_but_for_the_poison() {
        let mut lines = Lines::generated(1);
        let bad = (0..70_000)
            .filter(|_| apache::parse(&lines.next(Timestamp::UNIX_EPOCH).data).is_err())
            .count();
        assert!((50..200).contains(&bad), "{bad} of 70,000 are poison");
    }

    #[test]
    fn a_file_is_sent_over_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        std::fs::write(&path, "10.0.0.1 a\r\n\n10.0.0.2 b\n").unwrap();
        let mut lines = Lines::from_file(&path, 1).unwrap();
        let keys: Vec<_> =
            (0..3).map(|_| lines.next(Timestamp::UNIX_EPOCH).partition_key).collect();
        assert_eq!(keys, ["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
        std::fs::write(&path, "\n\n").unwrap();
        let empty = Lines::from_file(&path, 1).err().unwrap().to_string();
        assert!(empty.contains("has no lines"), "{empty}");
    }
}
