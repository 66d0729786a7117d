//! As much of CBOR (RFC 8949) as the CloudWatch client speaks: JSON's values, and points in time.
//!
//! A point in time is tag 1 over seconds of the epoch; here it is a number when it was read, and
//! `{"@": seconds}` when it is to be written. Millions of points are written from
//! `{"@minutes": [first second, count]}` and `{"@repeat": [value, count]}`, which are lists.

use serde_json::{Map, Number, Value};

/// Writes a value.
pub fn write(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(value, &mut bytes);
    bytes
}

fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(false) => out.push(0xf4),
        Value::Bool(true) => out.push(0xf5),
        Value::Number(number) => match number.as_u64() {
            Some(number) => head(0, number, out),
            None => {
                out.push(0xfb);
                out.extend(number.as_f64().unwrap_or_default().to_be_bytes());
            }
        },
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            head(4, items.len() as u64, out);
            items.iter().for_each(|item| put(item, out));
        }
        Value::Object(fields) => match fields.iter().next().map(|(key, of)| (key.as_str(), of)) {
            Some(("@", seconds)) => {
                head(6, 1, out);
                put(seconds, out);
            }
            Some(("@minutes", of)) => {
                let first = of[0].as_u64().unwrap_or_default();
                list(&of[1], out, |minute, out| {
                    head(6, 1, out);
                    head(0, first + minute * 60, out);
                });
            }
            Some(("@repeat", of)) => list(&of[1], out, |_, out| put(&of[0], out)),
            _ => {
                head(5, fields.len() as u64, out);
                for (name, field) in fields {
                    string(name, out);
                    put(field, out);
                }
            }
        },
    }
}

fn list(count: &Value, out: &mut Vec<u8>, put: impl Fn(u64, &mut Vec<u8>)) {
    let count = count.as_u64().unwrap_or_default();
    head(4, count, out);
    (0..count).for_each(|at| put(at, out));
}

fn string(text: &str, out: &mut Vec<u8>) {
    head(3, text.len() as u64, out);
    out.extend(text.as_bytes());
}

fn head(major: u8, number: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    let bytes = number.to_be_bytes();
    match number {
        0..24 => out.push(major | bytes[7]),
        24..=0xff => out.extend([major | 24, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend(&bytes[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend(bytes);
        }
    }
}

/// Reads a value; nothing when the bytes are not one.
pub fn read(mut bytes: &[u8]) -> Option<Value> {
    let value = take(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

/// The byte that ends what was begun without a length.
const BREAK: u8 = 0xff;

fn take(bytes: &mut &[u8]) -> Option<Value> {
    let first = next(bytes)?;
    let (major, short) = (first >> 5, first & 0x1f);
    if major == 7 {
        return match short {
            20 => Some(Value::Bool(false)),
            21 => Some(Value::Bool(true)),
            22 => Some(Value::Null),
            26 => {
                let single = f32::from_be_bytes(split(bytes, 4)?.try_into().ok()?);
                Some(Number::from_f64(f64::from(single))?.into())
            }
            27 => {
                let double = f64::from_be_bytes(split(bytes, 8)?.try_into().ok()?);
                Some(Number::from_f64(double)?.into())
            }
            _ => None,
        };
    }
    let length = match short {
        0..24 => Some(u64::from(short)),
        24..=27 => {
            let wide = split(bytes, 1 << (short - 24))?;
            Some(wide.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
        }
        31 => None,
        _ => return None,
    };
    match major {
        0 => Some(length?.into()),
        1 => Some((-1 - i64::try_from(length?).ok()?).into()),
        3 => {
            let text = split(bytes, usize::try_from(length?).ok()?)?;
            Some(Value::String(String::from_utf8(text.to_vec()).ok()?))
        }
        4 => {
            let mut items = Vec::new();
            while !ended(bytes, length, items.len())? {
                items.push(take(bytes)?);
            }
            Some(Value::Array(items))
        }
        5 => {
            let (mut fields, mut read) = (Map::new(), 0);
            while !ended(bytes, length, read)? {
                let Value::String(name) = take(bytes)? else { return None };
                fields.insert(name, take(bytes)?);
                read += 1;
            }
            Some(Value::Object(fields))
        }
        6 => take(bytes),
        _ => None,
    }
}

fn ended(bytes: &mut &[u8], length: Option<u64>, read: usize) -> Option<bool> {
    match length {
        Some(length) => Some(read as u64 >= length),
        None if *bytes.first()? == BREAK => next(bytes).map(|_| true),
        None => Some(false),
    }
}

fn next(bytes: &mut &[u8]) -> Option<u8> {
    split(bytes, 1).map(|byte| byte[0])
}

fn split<'b>(bytes: &mut &'b [u8], at: usize) -> Option<&'b [u8]> {
    let (first, rest) = bytes.split_at_checked(at)?;
    *bytes = rest;
    Some(first)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let values = [
            json!(null),
            json!([true, false]),
            json!([0, 23, 24, 255, 256, 65_536, 4_294_967_296_u64]),
            json!({"Values": [0.5, -1.25e300], "Id": "s0m1"}),
            json!("x".repeat(70_000)),
        ];
        for value in values {
            assert_eq!(read(&write(&value)), Some(value));
        }
    }

    #[test]
    fn what_is_written_short_is_read_at_length() {
        let points = json!([{"@minutes": [60, 3]}, {"@repeat": [0.5, 2]}, {"@": 7}]);
        assert_eq!(read(&write(&points)), Some(json!([[60, 120, 180], [0.5, 0.5], 7])));
    }

    #[test]
    fn what_clients_write_is_read() {
        // RFC 8949, appendix A.
        let cases: [(&[u8], Value); 5] = [
            (&[0x20], json!(-1)),
            (&[0xc1, 0x1a, 0x51, 0x4b, 0x67, 0xb0], json!(1_363_896_240)),
            (&[0xfa, 0x47, 0xc3, 0x50, 0x00], json!(100_000.0)),
            (&[0x9f, 0x01, 0x82, 0x02, 0x03, 0xff], json!([1, [2, 3]])),
            (&[0xbf, 0x61, 0x61, 0x01, 0xff], json!({"a": 1})),
        ];
        for (bytes, value) in cases {
            assert_eq!(read(bytes), Some(value), "{bytes:x?}");
        }
        for bytes in [&[][..], &[0x61], &[0x9f, 0x01], &[0x1c], &[0x00, 0x00]] {
            assert_eq!(read(bytes), None, "{bytes:x?}");
        }
    }
}
