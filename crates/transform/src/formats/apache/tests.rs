use super::*;

/// A line in one readable form: what is absent is left out.
fn read(line: &[u8]) -> String {
    if let Err(error) = parse(line) {
        return format!("{}: {error}", error.reason().name());
    }
    let yaml = "input: {format: apache_combined}\noutput: {newline: false}";
    let pipeline = crate::Pipeline::compile(yaml, crate::Tables::default()).unwrap();
    let mut json = Vec::new();
    let outcome = crate::Engine::new(pipeline).convert(line, &mut json);
    assert_eq!(outcome, crate::Outcome::Ok);
    String::from_utf8(json).unwrap()
}

fn check(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(read(line.as_bytes()), *expected, "{line}");
    }
}

#[test]
fn whole_lines() {
    check(&[
        (
            r#"192.0.2.7 - frank [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.0" 200 2326 "http://example.com/start" "Mozilla/4.08 [en] (Win98; I ;Nav)""#,
            r#"{"client":"192.0.2.7","user":"frank","time":"2000-10-10T20:55:36Z","method":"GET","path":"/a?b=c","protocol":"HTTP/1.0","status":200,"bytes":2326,"referer":"http://example.com/start","user_agent":"Mozilla/4.08 [en] (Win98; I ;Nav)"}"#,
        ),
        (
            r#"host.example.com - - [10/Oct/2000:13:55:36 +0000] "HEAD / HTTP/2" 304 - "-" "-""#,
            r#"{"client":"host.example.com","time":"2000-10-10T13:55:36Z","method":"HEAD","path":"/","protocol":"HTTP/2","status":304}"#,
        ),
        (
            r#"2001:db8::7 id "" [10/Oct/2000:13:55:36 +0000] "GET /\xc3\xa9 \"x\" HTTP/1.1" 404 0 "" "a\\b""#,
            r#"{"client":"2001:db8::7","ident":"id","user":"","time":"2000-10-10T13:55:36Z","method":"GET","path":"/é \"x\"","protocol":"HTTP/1.1","status":404,"bytes":0,"referer":"","user_agent":"a\\b"}"#,
        ),
        (
            r#"h - John Q. [x] Doe [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#,
            "bad_time: the time is not of the form 10/Oct/2000:13:55:36 -0700",
        ),
        (
            r#"h - John Doe[1] [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#,
            r#"{"client":"h","user":"John Doe[1]","time":"2000-10-10T13:55:36Z","method":"GET","path":"/","protocol":"HTTP/1.1","status":200,"bytes":5}"#,
        ),
    ]);
}

#[test]
fn a_line_ending_is_not_part_of_the_line() {
    let line = r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "u""#;
    for ending in ["\n", "\r\n", "\r"] {
        assert_eq!(parse(format!("{line}{ending}").as_bytes()), parse(line.as_bytes()));
    }
}

#[test]
fn a_request_that_cannot_be_split_is_kept_whole() {
    let requests = [
        "-",
        "",
        "GET /",
        "GET  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/11",
        "GET / SPDY/3",
        "G(T / HTTP/1.1",
        " / HTTP/1.1",
        r"\x16\x03\x01",
        r"\n",
    ];
    for request in requests {
        let line = format!(r#"h - - [10/Oct/2000:13:55:36 +0000] "{request}" 408 - "-" "-""#);
        let parsed = parse(line.as_bytes()).unwrap();
        assert_eq!(parsed.request, Request::Whole(Text::new(request)), "{request:?}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let good = r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "u""#;
    assert!(read(good.as_bytes()).starts_with('{'));
    let time = "bad_time: the time is not of the form 10/Oct/2000:13:55:36 -0700";
    check(&[
        ("", "empty: the line is empty"),
        ("\n", "empty: the line is empty"),
        (" ", "missing_field: the line has no client"),
        ("{\"client\":\"h\"}", "missing_field: the line has no ident"),
        ("h", "missing_field: the line has no ident"),
        ("h  - [", "missing_field: the line has no ident"),
        ("h - [10/Oct/2000:13:55:36 +0000]", "missing_field: the line has no user"),
        ("h -  [10/Oct/2000:13:55:36 +0000]", "missing_field: the line has no user"),
        ("h - -", "missing_field: the line has no time"),
        ("h - - [", time),
        ("h - - [10/Oct/2000:13:55:36 +0000", time),
        ("h - - [10/Oct/2000:13:55:36 +00000]", time),
        ("h - - [10/Oct/2000:13:55:36]", time),
        ("h - - [10/Oct/2000:13:55:36 +0000]", "missing_field: the line has no request"),
        ("h - - [10/Oct/2000:13:55:36 +0000] GET", "missing_field: the line has no request"),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1"#,
            "unclosed_quote: the quote around request does not close",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1\"#,
            "unclosed_quote: the quote around request does not close",
        ),
        (
            "h - - [10/Oct/2000:13:55:36 +0000] \"GET /\nHTTP/1.1\" 200 5 \"-\" \"u\"",
            "unclosed_quote: the quote around request does not close",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1""#,
            "missing_field: the line has no status",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1"200 5 "-" "u""#,
            "missing_field: the line has no status",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" - 5 "-" "u""#,
            "bad_status: the status is not three digits",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 2000 5 "-" "u""#,
            "bad_status: the status is not three digits",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200"#,
            "missing_field: the line has no bytes",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 +5 "-" "u""#,
            "bad_bytes: the size is neither a number of bytes nor -",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 99999999999999999999 "-" "u""#,
            "bad_bytes: the size is neither a number of bytes nor -",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5"#,
            "missing_field: the line has no referer",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 - "u""#,
            "missing_field: the line has no referer",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-""#,
            "missing_field: the line has no user_agent",
        ),
        (
            r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "u\""#,
            "unclosed_quote: the quote around user_agent does not close",
        ),
        (&format!("{good} 17"), "trailing_bytes: 3 bytes follow the last field"),
        (&format!("{good} "), "trailing_bytes: 1 bytes follow the last field"),
        (&format!("{good}\n\n"), "trailing_bytes: 1 bytes follow the last field"),
        (&format!("{good}\n{good}"), "trailing_bytes: 66 bytes follow the last field"),
    ]);
    assert_eq!(read(b"h - \xff"), "not_utf8: the line is not UTF-8 after byte 4");
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(line: Vec<u8>, near in "[h\\- \\[\\]\"\\\\x0-9/:+Octé\\n]{0,120}") {
        let _ = read(&line);
        let _ = read(near.as_bytes());
    }

    #[test]
    fn no_damage_to_a_line_panics(at in 0_usize..110, with: u8, cut: bool) {
        let mut line = br#"192.0.2.7 - fr\x41nk [10/Oct/2000:13:55:36 -0700] "GET /\xc3\xa9 HTTP/1.0" 200 2326 "a" "b""#.to_vec();
        if let Some(byte) = line.get_mut(at) {
            *byte = with;
        }
        if cut {
            line.truncate(at);
        }
        let _ = read(&line);
    }
}
