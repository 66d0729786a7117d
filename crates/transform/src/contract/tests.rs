use super::*;

/// The violations of a response to records with the ids a and b.
fn violations(response: &str) -> Vec<String> {
    let request = br#"{"records": [{"recordId": "a"}, {"recordId": "b"}, {"recordId": "a"}, {}]}"#;
    match check(request, response.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn what_keeps_the_contract_passes() {
    // {"x":1}\n{}\n
    let response = br#"{"records": [
        {"recordId": "a", "result": "Ok", "data": "eyJ4IjoxfQp7fQo=", "metadata": {}},
        {"recordId": "b", "result": "Dropped"}]}"#;
    let answers = check(br#"{"records": [{"recordId": "a"}, {"recordId": "b"}]}"#, response);
    assert_eq!(
        answers.unwrap(),
        [
            Answer {
                record_id: "a".into(),
                verdict: Verdict::Ok,
                data: b"{\"x\":1}\n{}\n".to_vec()
            },
            Answer { record_id: "b".into(), verdict: Verdict::Dropped, data: Vec::new() },
        ]
    );
}

#[test]
fn each_violation_is_named() {
    let failed = |id: &str| format!(r#"{{"recordId": "{id}", "result": "ProcessingFailed"}}"#);
    let (a, b) = (failed("a"), failed("b"));
    let ok = |data: &str| {
        format!(r#"{{"records": [{{"recordId": "a", "result": "Ok"{data}}}, {}]}}"#, failed("b"))
    };
    let not_lines = r#"the data for "a" is not JSON objects with a line break after each"#;
    let cases = [
        (format!(r#"{{"records": [{a}, {b}]}}"#), vec![]),
        (
            format!(r#"{{"records": [{b}, {a}]}}"#),
            vec![
                r#"answer 0 is to Some("b") instead of Some("a")"#,
                r#"answer 1 is to Some("a") instead of Some("b")"#,
            ],
        ),
        (format!(r#"{{"records": [{a}]}}"#), vec![r#"answer 1 is to None instead of Some("b")"#]),
        (
            format!(r#"{{"records": [{a}, {b}, {b}]}}"#),
            vec![r#"answer 2 is to Some("b") instead of None"#],
        ),
        (
            format!(r#"{{"records": [{a}, {b}, {{"result": "Ok"}}]}}"#),
            vec!["answer 2 is to None instead of None"],
        ),
        (
            r#"{"record": []}"#.to_owned(),
            vec![
                "the response is not an object with a list of records",
                r#"answer 0 is to None instead of Some("a")"#,
                r#"answer 1 is to None instead of Some("b")"#,
            ],
        ),
        (
            format!(r#"{{"records": [{{"recordId": "a", "result": "ok"}}, {b}]}}"#),
            vec![r#"the answer to "a" has the result "ok""#],
        ),
        (
            format!(r#"{{"records": [{{"recordId": "a", "result": "Dropped", "x": 1}}, {b}]}}"#),
            vec![r#"the answer to "a" has a member "x""#],
        ),
        (ok(""), vec![r#"the answer to "a" has no base64 data"#]),
        (ok(r#", "data": "e30K=""#), vec![r#"the answer to "a" has no base64 data"#]),
        // {}, then [1]\n, then {}\n\n, then nothing
        (ok(r#", "data": "e30=""#), vec![not_lines]),
        (ok(r#", "data": "WzFdCg==""#), vec![not_lines]),
        (ok(r#", "data": "e30KCg==""#), vec![not_lines]),
        (ok(r#", "data": """#), vec![not_lines]),
    ];
    for (response, expected) in cases {
        assert_eq!(violations(&response), expected, "{response}");
    }
    let large = format!(r#"{{"records": [{a}, {b}]}}{}"#, " ".repeat(RESPONSE_LIMIT_BYTES));
    assert_eq!(
        violations(&large),
        [format!("the response has {} bytes, more than 6291556", large.len())]
    );
}
