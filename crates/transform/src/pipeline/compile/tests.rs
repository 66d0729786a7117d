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
    let plain = "Pipeline { format: ApacheCombined, steps: 0, newline: true }";
    check(&[
        ("input: {format: apache_combined}", plain),
        ("steps: []\noutput: {}\ninput:\n  format: apache_combined\n", plain),
        (
            "input: {format: apache_combined}\nsteps:\n- keep: status >= 400\n- drop: \
             'path.startsWith(\"/health\")'\n- geoip: {address: client, when_missing: skip}\n\
             output:\n  newline: false",
            "Pipeline { format: ApacheCombined, steps: 2, newline: false }",
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
  format: nginx
  encoding: utf-8
outputs: {}
";
    check(&[(
        yaml,
        "\
line 2, steps[0].keep: there is no field \"stauts\" here (there are client, ident, user, time, \
         method, path, protocol, request, status, bytes, referer, user_agent)
line 3, steps[1].kep: this means nothing here (known are keep, drop, geoip)
line 4, steps[2].geoip.adress: this means nothing here (known are address, when_missing)
line 5, steps[3]: a step has exactly one key (write one of keep, drop, geoip each, each with its \
         own -)
line 7, input.format: \"nginx\" means nothing here (known are apache_combined)
line 8, input.encoding: this means nothing here (known are format)
line 9, outputs: this means nothing here (known are input, steps, output)",
    )]);
    let error = Pipeline::compile(yaml, Tables::default()).unwrap_err().to_string();
    assert!(error.starts_with("the pipeline has 7 mistakes: line 2, steps[0].keep: "), "{error}");
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
        ("- input", "line 1: this is not a mapping (write key: value, of input, steps, output)"),
        ("{}", "line 1: there is no input (write input: {format: apache_combined})"),
        ("input:", "line 1, input: this is not a mapping (write key: value, of format)"),
        ("input: {}", "line 1, input: there is no format (known are apache_combined)"),
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
            "line 3, steps[0]: this is not a mapping (write key: value, of keep, drop, geoip)",
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
             write when_missing: skip to go on without places)",
        ),
        (
            "{when_missing: skip}",
            "line 3, steps[0].geoip: the step does not say which field holds the address (write \
             address: client)",
        ),
        (
            "{address: path, when_missing: ignore}",
            "line 3, steps[0].geoip.address: \"path\" means nothing here (known are client)\n\
             line 3, steps[0].geoip.when_missing: \"ignore\" means nothing here (known are fail, \
             skip)",
        ),
    ];
    for (step, expected) in cases {
        assert_eq!(mistakes(&yaml(step)), expected, "{step}");
    }
}

#[test]
fn geo_fields_are_known_after_the_step_that_adds_them() {
    let geoip = "- geoip: {address: client, when_missing: skip}\n";
    let keep = "- keep: geo_country == \"SE\"\n";
    let input = "input: {format: apache_combined}\nsteps:\n";
    assert_eq!(
        mistakes(&format!("{input}{geoip}{keep}")),
        "Pipeline { format: ApacheCombined, steps: 1, newline: true }"
    );
    let before = mistakes(&format!("{input}{keep}{geoip}"));
    let expected = "line 3, steps[0].keep: there is no field \"geo_country\" here";
    assert!(before.starts_with(expected), "{before}");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(
        any in "\\PC{0,200}",
        near in "(input|steps|output|keep|drop|geoip|[:{}\\[\\]\n ,!&*|>'\"-]|a|status){0,40}",
    ) {
        let _ = mistakes(&any);
        let _ = mistakes(&near);
    }
}
