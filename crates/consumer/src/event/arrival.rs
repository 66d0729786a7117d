//! The time at which a stream took a record.

use jiff::Timestamp;

/// Decimal seconds of the epoch, as a JSON number or as text, exact to the nanosecond.
///
/// Floating point would not do: `1480641523.477` has no exact double, and a library that reads the
/// fraction as a count of milliseconds turns `.47` into 47 ms.
pub(super) fn decimal_seconds(json: &str) -> Option<Timestamp> {
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
}
