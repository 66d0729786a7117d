//! What a decision was made from, as a file: whoever has it can make the decision again.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidegate_autoscaler::{Decision, History, Mode, Observation, Policy, decide, schedule};

/// The form that this version writes and reads.
const FORMAT: u32 = 1;

/// Two days of minutes with a history of 15 days are well below this.
const LIMIT_BYTES: u64 = 64 << 20;

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    format: u32,
    /// When the decision was made.
    at: Timestamp,
    #[serde(default = "shadow")]
    mode: Mode,
    #[serde(default)]
    policy: Policy,
    /// The schedules that the stream took part in, as `TIDEGATE_SCHEDULES` has them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    schedules: Map<String, Value>,
    observation: Observation,
    #[serde(default)]
    history: History,
    /// What was decided then, if anybody wrote it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<Value>,
}

const fn shadow() -> Mode {
    Mode::Shadow
}

impl Snapshot {
    /// Of a decision and its inputs.
    #[cfg(any(feature = "aws", test))]
    pub fn new(
        inputs: tidegate_autoscaler::look::Inputs,
        decision: &Decision,
        schedules: Option<&str>,
    ) -> anyhow::Result<Self> {
        let tidegate_autoscaler::look::Inputs { observation, history, policy } = inputs;
        let mut schedules: Map<String, Value> =
            schedules.map(serde_json::from_str).transpose()?.unwrap_or_default();
        schedules.retain(|name, _| policy.schedules.iter().any(|part| part.name == *name));
        Ok(Self {
            format: FORMAT,
            at: decision.at,
            mode: decision.mode,
            policy,
            schedules,
            observation,
            history,
            decision: Some(serde_json::to_value(decision)?),
        })
    }

    /// Reads a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let cannot = || format!("{shown} cannot be read");
        let length = fs::metadata(path).with_context(cannot)?.len();
        ensure!(length <= LIMIT_BYTES, "{shown} is larger than {LIMIT_BYTES} bytes");
        let text = fs::read_to_string(path).with_context(cannot)?;
        Self::parse(&text).with_context(|| format!("{shown} is no observation that can be used"))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        // The form first: the fields of another one would only be misunderstood.
        let value: Value = serde_json::from_str(text).context("it is not JSON")?;
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => bail!("its format is {format}, and this version reads {FORMAT}"),
            None => bail!("it has no \"format\": write {FORMAT}"),
        }
        let mut snapshot: Self = serde_json::from_str(text)?;
        crate::policy_file::check(&snapshot.policy)?;
        let schedules = Value::Object(snapshot.schedules.clone()).to_string();
        snapshot.policy.schedules = schedule::parse(&schedules).context("its schedules")?;
        ensure!(
            snapshot.observation.minutes.keys().next_back().is_none_or(|last| *last <= snapshot.at),
            "its minutes go on after \"at\", which is when the decision is made"
        );
        Ok(snapshot)
    }

    /// The text of the file.
    #[cfg(any(feature = "aws", test))]
    pub fn text(&self) -> anyhow::Result<String> {
        serde_json::to_string_pretty(self).context("the observation cannot be written")
    }

    /// Makes the decision again, with another policy where one is given. The schedules stay.
    pub fn decide(&self, policy: Option<&Policy>) -> Decision {
        let schedules = || self.policy.schedules.clone();
        let policy = policy.map(|policy| Policy { schedules: schedules(), ..policy.clone() });
        let policy = policy.as_ref().unwrap_or(&self.policy);
        decide(&self.observation, policy, &self.history, self.mode, self.at)
    }

    /// What was written down of the decision, where that says something else.
    pub fn differs(&self, decision: &Decision) -> Option<String> {
        let recorded = self.decision.as_ref()?;
        let made = serde_json::to_value(decision).ok()?;
        let same =
            ["action", "target", "reason"].iter().all(|key| recorded.get(key) == made.get(key));
        let word = |key: &str| match recorded.get(key) {
            Some(Value::String(word)) => word.clone(),
            Some(other) => other.to_string(),
            None => "nothing".to_owned(),
        };
        (!same).then(|| {
            format!(
                "the decision that the file holds was another: {} at {}, {}",
                word("action"),
                word("target"),
                word("reason")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::SignedDuration;
    use tidegate_autoscaler::Reason;
    use tidegate_autoscaler::look::Inputs;
    use tidegate_autoscaler::observation::{Account, Capacity, Description, Minute, Status};

    use super::*;

    fn inputs(now: Timestamp) -> Inputs {
        let minutes: BTreeMap<_, _> = (2..200)
            .map(|ago| {
                let minute = Minute {
                    bytes: Some(30_000_000),
                    records: Some(240_000 + ago),
                    rejected: (ago % 7 == 0).then_some(ago),
                    iterator_age_ms: Some(0),
                    read_bytes: None,
                };
                (now - SignedDuration::from_mins(ago.cast_signed()), minute)
            })
            .collect();
        let calls = [now - SignedDuration::from_hours(3)].into_iter().collect();
        Inputs {
            history: History::new(calls, &minutes),
            observation: Observation {
                stream: "orders".to_owned(),
                description: Description {
                    status: Status::Active,
                    capacity: Capacity::Provisioned,
                    open_shards: 4,
                },
                account: Some(Account { shard_limit: 500, open_shards: 40 }),
                paused: false,
                minutes,
                shards: tidegate_autoscaler::hot::SeenShards::default(),
                absurd_points: 0,
            },
            policy: Policy { max_shards: 64, ..Policy::default() },
        }
    }

    #[test]
    fn what_is_written_is_read_and_decided_alike() {
        let now = Timestamp::from_second(1_763_683_200).unwrap();
        let Inputs { observation, history, policy } = inputs(now);
        let decision = decide(&observation, &policy, &history, Mode::Active, now);
        assert_eq!(decision.reason, Reason::DemandAboveCapacity, "{}", decision.message);
        let snapshot = Snapshot::new(inputs(now), &decision, None).unwrap();
        let read = Snapshot::parse(&snapshot.text().unwrap()).unwrap();
        assert_eq!(read, snapshot);
        assert_eq!(read.decide(None), decision);
        assert_eq!(read.differs(&decision), None);
        let bounded = Policy { max_shards: 4, ..Policy::default() };
        let other = read.decide(Some(&bounded));
        assert_eq!(other.target, Some(4));
        let said = read.differs(&other).unwrap();
        assert!(said.contains(", demand_above_capacity"), "{said}");
    }

    #[test]
    fn schedules_come_along() {
        let now = Timestamp::from_second(1_763_683_200).unwrap();
        let text = r#"{"always": {"cron": "0 * * * *", "time_zone": "UTC", "duration": "2h",
            "min_shards": 12}, "other": {"cron": "0 8 * * *", "time_zone": "UTC",
            "duration": "1h", "min_shards": 40}}"#;
        let mut inputs = inputs(now);
        inputs.policy.schedules = schedule::parse(text).unwrap();
        inputs.policy.schedules.retain(|schedule| schedule.name == "always");
        let Inputs { observation, history, policy } = &inputs;
        let decision = decide(observation, policy, history, Mode::Active, now);
        assert!(decision.message.contains("always"), "{}", decision.message);
        let snapshot = Snapshot::new(inputs, &decision, Some(text)).unwrap();
        let written = snapshot.text().unwrap();
        assert!(!written.contains("other"), "{written}");
        let read = Snapshot::parse(&written).unwrap();
        assert_eq!(read, snapshot);
        assert_eq!(read.decide(None), decision);
        let bounded = Policy { max_shards: 200, ..Policy::default() };
        assert_eq!(read.decide(Some(&bounded)).target, decision.target);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let good = r#"{"format": 1, "at": "2026-11-21T00:00:00Z", "observation": {"stream": "orders",
            "description": {"status": "active", "capacity": "provisioned", "open_shards": 4},
            "paused": false, "minutes": {"2026-11-20T23:58:00Z": {"records": 9}}, "absurd_points": 0}}"#;
        assert!(Snapshot::parse(good).is_ok(), "{:?}", Snapshot::parse(good));
        let cases = [
            ("\"format\": 1", "\"format\": 7", "its format is 7, and this version reads 1"),
            ("\"format\": 1, ", "", "it has no \"format\": write 1"),
            ("\"records\": 9", "\"rows\": 9", "unknown field `rows`"),
            ("\"records\": 9", "\"records\": -9", "invalid value: integer `-9`"),
            ("\"stream\": \"orders\",", "", "missing field `stream`"),
            ("23:58", "23:59:30", "2026-11-20T23:59:30"),
            ("2026-11-20T", "2026-11-29T", "its minutes go on after \"at\""),
            ("\"observation\"", "\"policy\": {\"min_shards\": 0}, \"observation\"", "min_shards"),
            ("\"observation\"", "\"schedules\": {\"a\": 1}, \"observation\"", "its schedules: a: "),
            ("{\"format\"", "[\"format\"", "it is not JSON"),
        ];
        for (from, to, message) in cases {
            let error = Snapshot::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert!(format!("{error:#}").contains(message), "{message}: {error:#}");
        }
    }
}
