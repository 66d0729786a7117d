//! The time at which a stream took a record.

use jiff::Timestamp;

/// Decimal seconds of the epoch, as a JSON number or as text, exact to the nanosecond.
///
/// Floating point would not do: `1480641523.477` has no exact double, and a library that reads the
/// fraction as a count of milliseconds turns `.47` into 47 ms.
pub(super) fn decimal_seconds(json: &str) -> Option<Timestamp> {
    usual_seconds(json).or_else(|| any_seconds(json))
}

/// `1763683200.487`, as Lambda writes it: digits, and at most nine after the point.
fn usual_seconds(json: &str) -> Option<Timestamp> {
    // Ten are enough until the year 2286.
    const DIGITS_MAX: usize = 10;
    let number = |text: &str| {
        text.bytes().try_fold(0_i64, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })
    };
    let at = json.bytes().position(|byte| byte == b'.').unwrap_or(json.len());
    let (whole, fraction) = json.split_at_checked(at)?;
    let fraction = fraction.get(1..).unwrap_or_default();
    if whole.is_empty() || whole.len() > DIGITS_MAX || fraction.len() > 9 {
        return None;
    }
    let power = 10_i64.pow(9 - u32::try_from(fraction.len()).ok()?);
    let nanos = i32::try_from(number(fraction)? * power).ok()?;
    Timestamp::new(number(whole)?, nanos).ok()
}

fn any_seconds(json: &str) -> Option<Timestamp> {
    // No instant that can be named needs more; the limit keeps the powers of ten within `i128`.
    const DIGITS_MAX: usize = 28;
    let text = json.trim_matches('"');
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > DIGITS_MAX {
        return None;
    }
    let fraction = &fraction.as_bytes()[..fraction.len().min(DIGITS_MAX - whole.len())];
    let mut digits: i128 = 0;
    for byte in whole.bytes().chain(fraction.iter().copied()) {
        digits = digits * 10 + i128::from(char::from(byte).to_digit(10)?);
    }
    // Nanoseconds: nine places more, less those that the fraction used up.
    let places = exponent.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10_i128.checked_pow(places.unsigned_abs())?;
    let nanos = if places >= 0 { digits.checked_mul(power)? } else { digits / power };
    Timestamp::from_nanosecond(if negative { -nanos } else { nanos }).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arrival_is_exact() {
        let cases = [
            ("1480641523.477", Some("2016-12-02T01:18:43.477Z")),
            ("1480641523.4", Some("2016-12-02T01:18:43.4Z")),
            ("1763683200.5", Some("2025-11-21T00:00:00.5Z")),
            ("1480641523", Some("2016-12-02T01:18:43Z")),
            ("1480641523.123456789", Some("2016-12-02T01:18:43.123456789Z")),
            ("1480641523.1234567899", Some("2016-12-02T01:18:43.123456789Z")),
            ("1.480641523477E9", Some("2016-12-02T01:18:43.477Z")),
            ("148064152347.7e-2", Some("2016-12-02T01:18:43.477Z")),
            (r#""1480641523.477""#, Some("2016-12-02T01:18:43.477Z")),
            ("-0.5", Some("1969-12-31T23:59:59.5Z")),
            ("null", None),
            ("{}", None),
            (r#""""#, None),
            (r#""soon""#, None),
            (r#""1480641523.4x""#, None),
            (r#""-""#, None),
            ("1e999", None),
            ("1e2147483647", None),
            ("1e-2147483648", None),
            ("99999999999999999", None),
            ("99999999999999999999999999999999999", None),
        ];
        for (json, expected) in cases {
            let found = decimal_seconds(json).map(|at| at.to_string());
            assert_eq!(found.as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn what_lambda_writes_is_read_at_once() {
        for json in ["1763683200.487", "1763683200", "1.5", "9999999999.999999999"] {
            assert_eq!(usual_seconds(json), any_seconds(json), "{json}");
            assert!(usual_seconds(json).is_some(), "{json}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn both_ways_say_the_same(json in "\"?-?[0-9]{0,12}(\\.[0-9.e]{0,11})?\"?") {
            let usual = usual_seconds(&json);
            prop_assert!(usual.is_none() || usual == any_seconds(&json), "{usual:?}");
        }
    }
}
