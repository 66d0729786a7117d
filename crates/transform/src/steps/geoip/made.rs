//! Databases made by tests: a writer of the format, small enough to be wrong on purpose.

/// One value of the format, which is how a database is made without a database at hand
/// ("MaxMind DB File Format Specification", 2.0).
pub enum V<'v> {
    /// UTF-8.
    Text(&'v str),
    /// Eight bytes.
    Double(f64),
    /// Four bytes.
    Float(f32),
    /// Unsigned.
    U16(u16),
    /// Unsigned.
    U32(u32),
    /// Signed.
    I32(i32),
    /// Keys and values.
    Map(&'v [(&'v str, V<'v>)]),
    /// Items.
    List(&'v [V<'v>]),
    /// Bytes as they are, right or wrong.
    Raw(&'v [u8]),
}

fn write(out: &mut Vec<u8>, value: &V<'_>) {
    let mut head = |kind: u8, size: usize| {
        let size = u8::try_from(size).unwrap();
        if kind > 7 {
            assert!(size < 29);
            out.extend([size, kind - 7]);
        } else if size > 28 {
            out.extend([kind << 5 | 29, size - 29]);
        } else {
            out.push(kind << 5 | size);
        }
    };
    match value {
        V::Text(text) => {
            head(2, text.len());
            out.extend(text.as_bytes());
        }
        V::Double(number) => {
            head(3, 8);
            out.extend(number.to_be_bytes());
        }
        V::Float(number) => {
            head(15, 4);
            out.extend(number.to_be_bytes());
        }
        V::U16(number) => {
            head(5, 2);
            out.extend(number.to_be_bytes());
        }
        V::U32(number) => {
            head(6, 4);
            out.extend(number.to_be_bytes());
        }
        V::I32(number) => {
            head(8, 4);
            out.extend(number.to_be_bytes());
        }
        V::Map(members) => {
            head(7, members.len());
            for (key, value) in *members {
                write(out, &V::Text(key));
                write(out, value);
            }
        }
        V::List(items) => {
            head(11, items.len());
            items.iter().for_each(|item| write(out, item));
        }
        V::Raw(bytes) => out.extend(*bytes),
    }
}

/// A database of IPv4 that knows 0.0.0.0/1 as the first entry, and 128.0.0.0/1 as the second if
/// there is one.
pub fn bytes(database_type: &str, low: &V<'_>, high: Option<&V<'_>>) -> Vec<u8> {
    let mut data = Vec::new();
    write(&mut data, low);
    let second = data.len();
    high.iter().for_each(|high| write(&mut data, high));
    // One node: its records are offsets into the data, past the node count and the separator.
    let record = |offset: usize| u32::try_from(1 + 16 + offset).unwrap().to_be_bytes();
    let right = if high.is_some() { record(second) } else { 1_u32.to_be_bytes() };
    let mut out = Vec::new();
    out.extend(&record(0)[1..]);
    out.extend(&right[1..]);
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = V::Map(&[
        ("node_count", V::U32(1)),
        ("record_size", V::U16(24)),
        ("ip_version", V::U16(4)),
        ("database_type", V::Text(database_type)),
        ("languages", V::List(&[V::Text("en")])),
        ("binary_format_major_version", V::U16(2)),
        ("binary_format_minor_version", V::U16(0)),
        ("build_epoch", V::Raw(&[0x04, 0x02, 1, 2, 3, 4])),
        ("description", V::Map(&[("en", V::Text("made by a test"))])),
    ]);
    write(&mut out, &metadata);
    out
}
