//! What a stream's owner says in the stream's tags: they override the function's settings.
//!
//! A tag's value takes letters, digits, white space and `_ . / = + - % @ :` ("Tag restrictions",
//! Kinesis Data Streams Developer Guide, 2026-11). A tag that cannot be read holds the stream, and
//! so does a name that begins with [`PREFIX`] and means nothing: a bound that is misspelt is a bound
//! that is not there.

use std::collections::BTreeMap;

use crate::history::CALLS_TAG;
use crate::limits::MAX_SHARDS;
use crate::policy::{HotShards, MissingIteratorAge, Mode, Policy};
use crate::port::OPT_IN_TAG;
use crate::schedule;

/// What the names of all our tags begin with.
pub const PREFIX: &str = "tidegate:";

/// The tag that pauses the autoscaler for a stream, with any value but `false`.
pub const PAUSED_TAG: &str = "tidegate:paused";

/// Never fewer shards.
pub const MIN_SHARDS_TAG: &str = "tidegate:min-shards";

/// Never more shards.
pub const MAX_SHARDS_TAG: &str = "tidegate:max-shards";

/// `shadow` or `active`; a function in shadow mode changes nothing whatever the tag says.
pub const MODE_TAG: &str = "tidegate:mode";

/// `hold` or `allow`.
pub const MISSING_ITERATOR_AGE_TAG: &str = "tidegate:missing-iterator-age";

/// The names of the schedules that the stream takes part in, separated by blanks, or `none`.
pub const SCHEDULE_TAG: &str = "tidegate:schedule";

/// `split`, `report` or `off`.
pub const HOT_SHARDS_TAG: &str = "tidegate:hot-shards";

/// Every tag that means something on a stream.
pub const TAGS: [&str; 9] = [
    OPT_IN_TAG,
    CALLS_TAG,
    HOT_SHARDS_TAG,
    MAX_SHARDS_TAG,
    MIN_SHARDS_TAG,
    MISSING_ITERATOR_AGE_TAG,
    MODE_TAG,
    PAUSED_TAG,
    SCHEDULE_TAG,
];

/// What holds for a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// What the owner wants.
    pub policy: Policy,
    /// Whether anything may be changed.
    pub mode: Mode,
}

/// A tag that holds its stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tag {tag} holds {value:?}: expected {expected}")]
pub struct UnreadableTag {
    /// The tag's name.
    pub tag: String,
    /// What it holds.
    pub value: String,
    /// What it should hold.
    pub expected: String,
}

impl Wishes {
    /// The function's settings with what the tags override.
    ///
    /// # Errors
    /// The first tag, by its name, that cannot be used.
    pub fn with_tags(&self, tags: &BTreeMap<String, String>) -> Result<Self, UnreadableTag> {
        let wrong = |tag: &str, expected: String| UnreadableTag {
            tag: tag.to_owned(),
            value: tags.get(tag).cloned().unwrap_or_default(),
            expected,
        };
        let ours = |tag: &&String| tag.starts_with(PREFIX) && !TAGS.contains(&tag.as_str());
        if let Some(unknown) = tags.keys().find(ours) {
            let known = TAGS.join(", ");
            return Err(wrong(unknown, format!("a tag that means something, one of {known}")));
        }
        let value = |tag: &str| tags.get(tag).map(|value| value.trim());
        let mut wishes = self.clone();
        for (tag, bound) in [
            (MAX_SHARDS_TAG, &mut wishes.policy.max_shards),
            (MIN_SHARDS_TAG, &mut wishes.policy.min_shards),
        ] {
            let Some(text) = value(tag) else { continue };
            *bound = text
                .parse()
                .ok()
                .filter(|count| (1..=MAX_SHARDS).contains(count))
                .ok_or_else(|| wrong(tag, format!("a whole number from 1 to {MAX_SHARDS}")))?;
        }
        let Policy { min_shards, max_shards, .. } = wishes.policy;
        if min_shards > max_shards {
            let (tag, expected) = if tags.contains_key(MAX_SHARDS_TAG) {
                (MAX_SHARDS_TAG, format!("at least the minimum, which is {min_shards}"))
            } else {
                (MIN_SHARDS_TAG, format!("at most the maximum, which is {max_shards}"))
            };
            return Err(wrong(tag, expected));
        }
        wishes.policy.missing_iterator_age = match value(MISSING_ITERATOR_AGE_TAG) {
            None => wishes.policy.missing_iterator_age,
            Some("hold") => MissingIteratorAge::Hold,
            Some("allow") => MissingIteratorAge::Allow,
            Some(_) => return Err(wrong(MISSING_ITERATOR_AGE_TAG, "hold or allow".to_owned())),
        };
        schedule::take_part(&mut wishes.policy.schedules, value(SCHEDULE_TAG))
            .map_err(|expected| wrong(SCHEDULE_TAG, expected))?;
        wishes.policy.hot_shards = match value(HOT_SHARDS_TAG).map(HotShards::from_word) {
            None => wishes.policy.hot_shards,
            Some(Some(hot_shards)) => hot_shards,
            Some(None) => return Err(wrong(HOT_SHARDS_TAG, "split, report or off".to_owned())),
        };
        wishes.mode = match (self.mode, value(MODE_TAG)) {
            (mode, None) => mode,
            (_, Some("shadow")) | (Mode::Shadow, Some("active")) => Mode::Shadow,
            (Mode::Active, Some("active")) => Mode::Active,
            (_, Some(_)) => return Err(wrong(MODE_TAG, "shadow or active".to_owned())),
        };
        Ok(wishes)
    }
}

/// Whether the stream's owner paused the autoscaler.
pub fn is_paused(tags: &BTreeMap<String, String>) -> bool {
    tags.get(PAUSED_TAG).is_some_and(|value| value != "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVE: Mode = Mode::Active;
    const SHADOW: Mode = Mode::Shadow;

    fn read(mode: Mode, pairs: &[(&str, &str)]) -> Result<Wishes, String> {
        let policy = Policy { min_shards: 2, max_shards: 16, ..Policy::default() };
        let tags = pairs.iter().map(|(tag, value)| ((*tag).into(), (*value).into())).collect();
        Wishes { policy, mode }.with_tags(&tags).map_err(|error| error.to_string())
    }

    #[test]
    fn a_tag_overrides_a_setting() {
        let tags = [
            ("tidegate:min-shards", "4"),
            ("tidegate:max-shards", " 64 "),
            ("tidegate:missing-iterator-age", "allow"),
            ("tidegate:autoscale", "yes"),
            ("team", "clicks"),
        ];
        let wishes = read(ACTIVE, &tags).unwrap();
        assert_eq!((wishes.policy.min_shards, wishes.policy.max_shards), (4, 64));
        assert_eq!(wishes.policy.missing_iterator_age, MissingIteratorAge::Allow);
        assert_eq!(wishes.mode, ACTIVE);
    }

    #[test]
    fn shadow_wins_on_either_side() {
        let cases = [
            (ACTIVE, None, ACTIVE),
            (SHADOW, None, SHADOW),
            (ACTIVE, Some("shadow"), SHADOW),
            (ACTIVE, Some("active"), ACTIVE),
            (SHADOW, Some("active"), SHADOW),
        ];
        for (function, tag, expected) in cases {
            let tags: Vec<_> = tag.map(|value| ("tidegate:mode", value)).into_iter().collect();
            assert_eq!(read(function, &tags).unwrap().mode, expected, "{function:?} {tag:?}");
        }
    }

    #[test]
    fn a_tag_that_cannot_be_read_is_named() {
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[("tidegate:min-shards", "few")], "tidegate:min-shards holds \"few\""),
            (&[("tidegate:max-shards", "0")], "a whole number from 1 to 10000"),
            (&[("tidegate:max-shards", "10001")], "a whole number from 1 to 10000"),
            (&[("tidegate:min-shards", "20")], "at most the maximum, which is 16"),
            (
                &[("tidegate:min-shards", "20"), ("tidegate:max-shards", "19")],
                "at least the minimum, which is 20",
            ),
            (&[("tidegate:mode", "on")], "expected shadow or active"),
            (&[("tidegate:max-shard", "8")], "tidegate:max-shard holds \"8\": expected a tag"),
        ];
        for (tags, message) in cases {
            let error = read(ACTIVE, tags).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
