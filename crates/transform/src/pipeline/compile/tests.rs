use super::*;

/// The mistakes of a pipeline without tables, a line each.
fn mistakes(yaml: &str) -> String {
    match Pipeline::compile(yaml, Tables::default()) {
        Ok(pipeline) => format!("{pipeline:?}"),
        Err(error) => error.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (yaml, expected) in cases {
        assert_eq!(mistakes(yaml), *expected, "{yaml}");
    }
}

#[test]
fn what_may_be_left_out() {
    let plain = "Pipeline { inputs: [\"apache_combined\"], steps: 0, newline: true }";
    check(&[
        ("input: {format: apache_combined}", plain),
        ("steps: []\noutput: {}\ninput:\n  format: apache_combined\n", plain),
        (
            "input: {format: apache_combined}\nsteps:\n- keep: status >= 400\n- drop: \
             'path.startsWith(\"/health\")'\n- geoip: {address: client, when_missing: skip}\n\
             output:\n  newline: false",
            "Pipeline { inputs: [\"apache_combined\"], steps: 2, newline: false }",
        ),
    ]);
}

#[test]
fn all_mistakes_are_reported_together_in_order() {
    let yaml = "\
steps:
  - keep: stauts >= 400
  - kep: true
  - geoip: {adress: client}
  - {keep: status > 1, drop: status > 2}
input:
  format: apache_combined
  header: true
outputs: {}
";
    let kinds = "keep, drop, geoip, asn, user_agent, lookup, timestamp, set, rename, remove, \
                 cast, redact, sample";
    let expected = format!(
        "\
line 2, steps[0].keep: there is no field \"stauts\" here (there are client, ident, user, time, \
         method, path, protocol, request, status, bytes, referer, user_agent)
line 3, steps[1].kep: this means nothing here (known are {kinds})
line 4, steps[2].geoip.adress: this means nothing here (known are address, when_missing)
line 5, steps[3]: a step has exactly one key (write one of {kinds} each, each with its own -)
line 8, input.header: apache_combined has no such option (it has no options)
line 9, outputs: this means nothing here (known are input, steps, output, cases)"
    );
    check(&[(yaml, &expected)]);
    let error = Pipeline::compile(yaml, Tables::default()).unwrap_err().to_string();
    assert!(error.starts_with("the pipeline has 6 mistakes: line 2, steps[0].keep: "), "{error}");
}

#[test]
fn the_form_of_the_file() {
    check(&[
        ("", "line 1: it is empty (name at least the input's format)"),
        ("# nothing\n", "line 1: it is empty (name at least the input's format)"),
        (
            "input: {format: apache_combined}\n---\ninput: {format: apache_combined}",
            "line 1: it holds several documents (write one pipeline a file, without --- between)",
        ),
        (
            "- input",
            "line 1: this is not a mapping (write key: value, of input, steps, output, cases)",
        ),
        (
            "{}",
            "line 1: there is no input (write input: {format: apache_combined}, or another format)",
        ),
        (
            "input:",
            "line 1, input: this is not a mapping (write key: value, of format, any_of, unwrap, \
             columns, header, delimiter, fields, other, keys, flatten, pattern)",
        ),
        (
            "input: {}",
            "line 1, input: there is no format (known are apache_common, apache_combined, nginx, \
             csv, tsv, json, logfmt, syslog_3164, syslog_5424, vpc_flow, alb, text, pattern, regex)",
        ),
        ("input:\n  format:", "line 2, input.format: there is no value (write one)"),
        (
            "input: {format: [apache_combined]}",
            "line 1, input.format: this is not text (write one line of text)",
        ),
        (
            "input: {format: apache_combined}\nsteps: keep",
            "line 2, steps: this is not a list (begin each item with - on a line of its own)",
        ),
        (
            "input: {format: apache_combined}\nsteps:\n- keep",
            "line 3, steps[0]: this is not a mapping (write key: value, of keep, drop, geoip, asn, \
             user_agent, lookup, timestamp, set, rename, remove, cast, redact, sample)",
        ),
        (
            "input: {format: apache_combined}\noutput: {newline: yes}",
            "line 2, output.newline: \"yes\" means nothing here (known are true, false)",
        ),
        (
            "input: {format: apache_combined}\nsteps:\n- keep: !path",
            "line 3, steps[0].keep: this is a tag, not text (YAML takes a leading ! for a tag: \
             put the text in single quotes)",
        ),
    ]);
    let yaml =
        mistakes("input: {format: apache_combined}\nsteps:\n- keep: !path.startsWith(\"/\")");
    assert!(yaml.starts_with("line 3: not YAML: while scanning a tag"), "{yaml}");
    assert!(yaml.ends_with("in single quotes: keep: '!path.startsWith(\"/health\")')"), "{yaml}");
    let twice = mistakes("input: {format: apache_combined}\ninput: {format: apache_combined}");
    assert!(twice.starts_with("line 2: not YAML: duplicated key in mapping"), "{twice}");
    let deep = mistakes(&"[".repeat(10_000));
    assert!(deep.starts_with("line 1: not YAML: recursion limit exceeded"), "{deep}");
    let long = mistakes(&"#".repeat(300_000));
    assert_eq!(long, "line 1: it has 300000 bytes, more than 262144 (is this the right file?)");
    let many =
        format!("input: {{format: apache_combined}}\nsteps:\n{}", "- keep: true\n".repeat(65));
    assert_eq!(
        mistakes(&many),
        "line 2, steps: these are 65 steps (64 are the most: join expressions)"
    );
}

#[test]
fn a_geoip_step_needs_a_database_and_an_address() {
    let yaml = |step: &str| format!("input: {{format: apache_combined}}\nsteps:\n- geoip: {step}");
    let cases = [
        (
            "{address: client}",
            "line 3, steps[0].geoip: there is no database (name one in TIDEGATE_GEOIP_DB, or \
             write when_missing: skip to go on without)",
        ),
        (
            "{when_missing: skip}",
            "line 3, steps[0].geoip: the step does not say which field holds the address (write \
             address: and the name of a field, such as client)",
        ),
        (
            "{address: paths, when_missing: ignore}",
            "line 3, steps[0].geoip.address: there is no field \"paths\" here (there are client, \
             ident, user, time, method, path, protocol, request, status, bytes, referer, \
             user_agent)\n\
             line 3, steps[0].geoip.when_missing: \"ignore\" means nothing here (known are fail, \
             skip)",
        ),
    ];
    for (step, expected) in cases {
        assert_eq!(mistakes(&yaml(step)), expected, "{step}");
    }
}

#[test]
fn each_part_names_what_it_lacks() {
    let access = |rest: &str| format!("input: {{format: apache_common}}\n{rest}");
    let step = |step: &str| access(&format!("steps:\n- {step}"));
    let fields = "client, ident, user, time, method, path, protocol, request, status, bytes";
    let cases = [
        ("input: {format: csv}".to_owned(), "line 1, input: the columns have no names (write columns: [a, b], or header: true and unwrap: lines)".to_owned()),
        ("input: {format: csv, header: true}".to_owned(), "line 1, input: a header alone is no record (write unwrap: lines, or columns: [a, b])".to_owned()),
        ("input: {format: csv, columns: [a, A]}".to_owned(), "line 1, input.columns[1]: \"a\" is there twice (give each its own name)".to_owned()),
        ("input: {format: csv, columns: {a: number}}".to_owned(), "line 1, input.columns.a: \"number\" means nothing here (known are text, integer, float, boolean, timestamp)\nline 1, input.columns: these are 0 names (write 1 to 1024)".to_owned()),
        ("input: {format: csv, columns: [a], delimiter: ab}".to_owned(), "line 1, input.delimiter: this is not one character of ASCII (such as \";\")".to_owned()),
        ("input: {format: pattern}".to_owned(), "line 1, input: there is no pattern (write pattern: '{client} [{time}] {message}')".to_owned()),
        ("input: {format: pattern, pattern: '{a}{b}'}".to_owned(), "line 1, input.pattern: nothing separates two fields (write text and fields, such as {client} [{time}] {status:integer})".to_owned()),
        ("input: {any_of: []}".to_owned(), "line 1, input.any_of: these are 0 inputs (write 1 to 16)".to_owned()),
        ("input: {any_of: [{format: text}], flatten: true}".to_owned(), "line 1, input: any_of stands beside other options (write them in its items)".to_owned()),
        ("input: {format: json, other: drop, fields: {a: text}}\nsteps: [{keep: b == 1}]".to_owned(), "line 2, steps[0].keep: there is no field \"b\" here (there are a)".to_owned()),
        (step("rename: {status: bytes}"), "line 3, steps[0].rename.status: there is a field \"bytes\" already (remove it first, or choose another name)".to_owned()),
        (step("rename: {status: Status}"), "line 3, steps[0].rename.status: \"Status\" is no name of a field (write lower-case letters, digits and _, as columns have them)".to_owned()),
        (step("remove: [state]"), format!("line 3, steps[0].remove[0]: there is no field \"state\" here (there are {fields})")),
        (step("redact: {field: client, how: hash}"), "line 3, steps[0].redact: these options do not go together (write how: hash with a key, how: mask with or without keep_last, or how: truncate)".to_owned()),
        (step("sample: {percent: 101, by: client}"), "line 3, steps[0].sample.percent: this is no such number (write one from 0 to 100)".to_owned()),
        (step("sample: {percent: 10}"), "line 3, steps[0].sample: there is no by (write by: and the field that decides)".to_owned()),
        (step("lookup: {field: status}"), "line 3, steps[0].lookup: the step does not say what is added (write table, key and add, or map and into)".to_owned()),
        (step("lookup: {field: status, table: t.csv, key: k, add: {v: v}}"), "line 3, steps[0].lookup.table: the table \"t.csv\" was not found (name a file that is there when the function starts)".to_owned()),
        (step("timestamp: {field: client, formats: [iso]}"), "line 3, steps[0].timestamp.formats[0]: \"iso\" means nothing here (known are iso8601, apache, epoch_seconds, epoch_millis, or a pattern with %)".to_owned()),
        (step("set: {x: '[1]'}"), "line 3, steps[0].set.x: the expression is a list (a field holds text, a number, true or false: take one out of it)".to_owned()),
        (access("output: {partition_keys: {day: '{status:yyyy}'}}"), "line 2, output.partition_keys.day: status is not a time (read it with a timestamp step first)".to_owned()),
        (access("output: {partition_keys: {day: '{time:YYYY}'}}"), "line 2, output.partition_keys.day: \"YYYY\" is no form of a date (its letters are yyyy, MM, dd, HH, mm)".to_owned()),
        (access("output: {iceberg: {table: t, operation: upsert}}"), "line 2, output.iceberg: there is no database (Firehose needs both)\nline 2, output.iceberg.operation: there is no such operation (known are insert, update, delete)".to_owned()),
        (access("cases: [{name: x}]"), "line 2, cases[0]: there is no input (a case has a name and an input)".to_owned()),
    ];
    for (yaml, expected) in &cases {
        assert_eq!(mistakes(yaml), *expected, "{yaml}");
    }
}

#[test]
fn geo_fields_are_known_after_the_step_that_adds_them() {
    let geoip = "- geoip: {address: client, when_missing: skip}\n";
    let keep = "- keep: geo_country == \"SE\"\n";
    let input = "input: {format: apache_combined}\nsteps:\n";
    assert_eq!(
        mistakes(&format!("{input}{geoip}{keep}")),
        "Pipeline { inputs: [\"apache_combined\"], steps: 1, newline: true }"
    );
    let before = mistakes(&format!("{input}{keep}{geoip}"));
    let expected = "line 3, steps[0].keep: there is no field \"geo_country\" here";
    assert!(before.starts_with(expected), "{before}");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(
        any in "\\PC{0,200}",
        near in "(input|steps|output|format|json|csv|any_of|set|cast|lookup|keep|geoip|[:{}\\[\\]\n ,!&*|>'\"-]|a|status){0,40}",
    ) {
        let _ = mistakes(&any);
        let _ = mistakes(&near);
    }
}
