//! The few settings of the policy that may differ from stream to stream, with what each weighs.
//!
//! The defaults are one policy for every stream: they were chosen on a plateau, where a change of a
//! few percent changes little, and not for one history (`docs/src/decisions/0008-*.md`).

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::history::CALLS_PER_DAY;

/// What is weighed against what.
///
/// In a policy file every setting may be left out, and stands at its default then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// What a shard that is missing for a minute costs, in shard-minutes. More: more room and less
    /// throttling.
    pub missing_price: u32,
    /// What a call costs while all ten are left, in shard-minutes. More: fewer and larger changes.
    pub call_price: u32,
    /// How the price of a call grows with each one spent, in percent: 178 doubles it every 1.2
    /// calls. More: calls are kept for emergencies sooner.
    pub call_price_growth_percent: u32,
    /// Demand above this share of the open shards is an emergency: more shards now, before
    /// anything is weighed. Below 100, since the newest minute that can be read ended a minute or
    /// two ago.
    pub emergency_percent: u32,
    /// What the newest demand may grow to before the next look can act.
    pub growth_percent: u32,
    /// The next hour is expected to be as busy as the busiest of these last minutes.
    pub recent_minutes: u32,
    /// Room on top of what the earlier days say.
    pub headroom_percent: u32,
    /// How much more or less than an earlier day says may come, in percent of what it differs
    /// from today by: each of the two counts for a quarter of that day.
    pub variation_percent: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            missing_price: 30,
            call_price: 15,
            call_price_growth_percent: 178,
            emergency_percent: 93,
            growth_percent: 110,
            recent_minutes: 45,
            headroom_percent: 105,
            variation_percent: 100,
        }
    }
}

/// The least and the most of each setting, by its name.
pub const RANGES: [(&str, u32, u32); 8] = [
    ("missing_price", 1, 1_000),
    ("call_price", 0, 10_000),
    ("call_price_growth_percent", 100, 400),
    ("emergency_percent", 50, 100),
    ("growth_percent", 105, 300),
    ("recent_minutes", 5, 240),
    ("headroom_percent", 100, 200),
    ("variation_percent", 0, 300),
];

impl Tuning {
    /// The values, in the order of [`RANGES`].
    pub const fn values(&self) -> [u32; 8] {
        [
            self.missing_price,
            self.call_price,
            self.call_price_growth_percent,
            self.emergency_percent,
            self.growth_percent,
            self.recent_minutes,
            self.headroom_percent,
            self.variation_percent,
        ]
    }

    /// From values in the order of [`RANGES`].
    pub const fn from_values(values: [u32; 8]) -> Self {
        let [
            missing_price,
            call_price,
            call_price_growth_percent,
            emergency_percent,
            growth_percent,
            recent_minutes,
            headroom_percent,
            variation_percent,
        ] = values;
        Self {
            missing_price,
            call_price,
            call_price_growth_percent,
            emergency_percent,
            growth_percent,
            recent_minutes,
            headroom_percent,
            variation_percent,
        }
    }

    /// Checks every setting against its range, and that an emergency ends with the call that it
    /// makes: the step that `growth_percent` sizes must bring demand below `emergency_percent` of
    /// the new shards, or the next look would call again.
    ///
    /// # Errors
    /// Names all settings that are outside of theirs.
    pub fn validate(&self) -> Result<(), TuningError> {
        let mut outside: Vec<_> = RANGES
            .iter()
            .zip(self.values())
            .filter(|((_, least, most), value)| !(least..=most).contains(&value))
            .map(|((name, least, most), value)| {
                format!("{name} is {value} and must be from {least} to {most}")
            })
            .collect();
        let (growth, emergency) = (self.growth_percent, self.emergency_percent);
        if outside.is_empty() && u64::from(growth) * u64::from(emergency) < 10_000 {
            outside.push(format!(
                "growth_percent {growth} of emergency_percent {emergency} is less than 100 %, so that \
                 one emergency would spend two calls: raise one of them"
            ));
        }
        if outside.is_empty() { Ok(()) } else { Err(TuningError(outside)) }
    }

    /// What differs from the default, in one line: `missing_price=40,call_price=20`. Empty where
    /// nothing does.
    pub fn differences(&self) -> String {
        let defaults = Self::default().values();
        let words: Vec<_> = RANGES
            .iter()
            .zip(self.values().iter().zip(defaults))
            .filter(|(_, (value, default))| *value != default)
            .map(|((name, _, _), (value, _))| format!("{name}={value}"))
            .collect();
        words.join(",")
    }

    /// What a call costs with so many left, this one included, in shard-minutes.
    ///
    /// Cheap at first and dearer with each one spent, so that the last ones are kept for
    /// emergencies. A fixed reserve was worse in simulation: it leaves a stream at its peak for a
    /// day after a spike.
    pub fn price(&self, left: u32) -> u64 {
        let spent = CALLS_PER_DAY.saturating_sub(left);
        (0..spent).fold(u64::from(self.call_price), |price, _| {
            price.saturating_mul(u64::from(self.call_price_growth_percent)) / 100
        })
    }
}

impl FromStr for Tuning {
    type Err = TuningError;

    /// From what [`differences`](Tuning::differences) writes.
    fn from_str(text: &str) -> Result<Self, TuningError> {
        let mut values = serde_json::Map::new();
        for word in text.split(',').map(str::trim) {
            let wrong = |what: String| TuningError(vec![what]);
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| wrong(format!("{word:?} is not of the form name=number")))?;
            let value: u32 = value
                .trim()
                .parse()
                .map_err(|_| wrong(format!("{name} is {value:?}, which is not a whole number")))?;
            if !RANGES.iter().any(|(known, _, _)| *known == name.trim()) {
                let known = RANGES.map(|(name, _, _)| name).join(", ");
                return Err(wrong(format!("{name} means nothing, known are {known}")));
            }
            values.insert(name.trim().to_owned(), value.into());
        }
        let tuning: Self = serde_json::from_value(values.into())
            .map_err(|error| TuningError(vec![error.to_string()]))?;
        tuning.validate()?;
        Ok(tuning)
    }
}

/// Settings outside of their ranges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tuning cannot be used: {}", .0.join("; "))]
pub struct TuningError(pub Vec<String>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_within_its_ranges_and_names_what_is_not() {
        assert_eq!(Tuning::default().validate(), Ok(()));
        let wild = Tuning { missing_price: 0, variation_percent: 301, ..Tuning::default() };
        assert_eq!(
            wild.validate().unwrap_err().to_string(),
            "the tuning cannot be used: missing_price is 0 and must be from 1 to 1000; \
             variation_percent is 301 and must be from 0 to 300"
        );
        // growth, emergency, whether one call is enough
        for (growth_percent, emergency_percent, enough) in
            [(105, 96, true), (105, 95, false), (200, 50, true), (199, 50, false)]
        {
            let tuning = Tuning { growth_percent, emergency_percent, ..Tuning::default() };
            let verdict = tuning.validate();
            assert_eq!(verdict.is_ok(), enough, "{growth_percent} {emergency_percent}");
            if let Err(error) = verdict {
                assert!(error.to_string().contains("would spend two calls"), "{error}");
            }
        }
    }

    #[test]
    fn a_file_may_name_some_settings_and_no_others() {
        let some: Tuning = serde_json::from_str(r#"{"missing_price": 40}"#).unwrap();
        assert_eq!(some, Tuning { missing_price: 40, ..Tuning::default() });
        let unknown = serde_json::from_str::<Tuning>(r#"{"missing_prize": 40}"#).unwrap_err();
        assert!(unknown.to_string().contains("unknown field `missing_prize`"), "{unknown}");
    }

    #[test]
    fn the_names_of_the_ranges_are_those_of_the_settings() {
        let json = serde_json::to_value(Tuning::default()).unwrap();
        for ((name, _, _), value) in RANGES.iter().zip(Tuning::default().values()) {
            assert_eq!(json[*name], value, "{name}");
        }
        assert_eq!(Tuning::from_values(Tuning::default().values()), Tuning::default());
        assert_eq!(json.as_object().unwrap().len(), RANGES.len());
    }

    #[test]
    fn what_differs_is_written_in_a_line_and_read_again() {
        let some = Tuning { missing_price: 40, variation_percent: 0, ..Tuning::default() };
        assert_eq!(some.differences(), "missing_price=40,variation_percent=0");
        assert_eq!("missing_price=40, variation_percent = 0".parse(), Ok(some));
        assert_eq!(Tuning::default().differences(), "");
        let cases = [
            ("fast", "\"fast\" is not of the form name=number"),
            ("missing_price=many", "missing_price is \"many\", which is not a whole number"),
            ("missing_prize=4", "missing_prize means nothing, known are missing_price, "),
            ("missing_price=0", "missing_price is 0 and must be from 1 to"),
        ];
        for (text, message) in cases {
            let error = text.parse::<Tuning>().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn the_price_rises_with_each_call() {
        let prices: Vec<_> = (1..=10).rev().map(|left| Tuning::default().price(left)).collect();
        assert_eq!(prices[..4], [15, 26, 46, 81]);
        assert!(prices.is_sorted());
    }
}
