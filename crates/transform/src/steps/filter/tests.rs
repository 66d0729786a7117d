use super::*;
use crate::formats::apache;

const FULL: &str = r#"192.0.2.7 id frank [10/Oct/2000:13:55:36 -0700] "GET /images/a%20b.gif?x=1 HTTP/1.1" 404 2326 "https://example.com/" "Mozilla/5.0 \"x\"""#;
const BARE: &str = r#"host - - [10/Oct/2000:13:55:36 -0700] "-" 408 - "-" "-""#;

fn compile(verdict: Verdict, expression: &str) -> Result<Filter, Vec<Wrong>> {
    let fields: Vec<_> = apache::FIELDS.iter().chain(crate::geoip::FIELDS).copied().collect();
    Filter::compile(verdict, expression, &fields, &Record::sample(apache::sample()))
}

/// What a filter makes of a line.
fn run(verdict: Verdict, expression: &str, line: &str) -> Option<Outcome> {
    let record = Record::new(apache::parse(line.as_bytes()).unwrap());
    compile(verdict, expression).unwrap_or_else(|wrong| panic!("{wrong:?}")).run(&record)
}

#[test]
fn every_field_is_a_variable_of_its_own_type() {
    let yes = [
        "client == '192.0.2.7' && ident == 'id' && user == 'frank'",
        "time == '2000-10-10T20:55:36Z' && time.startsWith('2000-10')",
        "method == 'GET' && protocol == 'HTTP/1.1' && request == null",
        "path.startsWith('/images/') && !path.endsWith('.png') && path.contains('a%20b')",
        "status >= 400 && status < 500 && status in [403, 404] && int(status / 100) == 4",
        "bytes == 2326 && double(bytes) / 2.0 == 1163.0",
        "referer.size() == 20 && size(referer) == 20",
        "user_agent == 'Mozilla/5.0 \"x\"'",
        "['/images/', '/css/'].exists(start, path.startsWith(start))",
        "['/images/', '/css/'].exists(path, path == '/css/')",
        "status == 404 ? true : path == ''",
        "type(status) == int && type(path) == string && type(geo_city) == null_type",
        "geo_country == null && geo_region == null && geo_latitude == null",
        "geo_longitude == null && geo_time_zone == null",
        "{'GET': true}[method]",
    ];
    for expression in yes {
        assert_eq!(run(Verdict::Keep, expression, FULL), None, "{expression}");
        let dropped = Some(Outcome::Dropped(Reason::DropStep));
        assert_eq!(run(Verdict::Drop, expression, FULL), dropped, "{expression}");
        let negated = format!("!({expression})");
        let dropped = Some(Outcome::Dropped(Reason::NotKept));
        assert_eq!(run(Verdict::Keep, &negated, FULL), dropped, "{negated}");
        assert_eq!(run(Verdict::Drop, &negated, FULL), None, "{negated}");
    }
}

#[test]
fn a_field_that_the_record_lacks_is_null_and_compares_with_nothing_else() {
    let failed = Some(Outcome::ProcessingFailed(Reason::Filter));
    let cases = [
        ("bytes == null && user == null && method == null && request == '-'", None),
        ("bytes != null && bytes > 1000 || status == 408", None),
        ("bytes > 1000", failed),
        ("bytes > 1000 || status == 408", None),
        ("bytes > 1000 && status == 200", Some(Outcome::Dropped(Reason::NotKept))),
        ("user_agent.contains('bot')", failed),
        ("int(client) > 0", failed),
        ("status == 200 || path", failed),
    ];
    for (expression, expected) in cases {
        assert_eq!(run(Verdict::Keep, expression, BARE), expected, "{expression}");
    }
}

#[test]
fn what_could_not_work_on_any_record_is_refused() {
    let cases = [
        ("", "not an expression: mismatched input '<EOF>' at column 1"),
        ("status >=", "not an expression: mismatched input '<EOF>' at column 10"),
        ("status = 4", "not an expression: token recognition error at: '= ' at column 8"),
        ("status", "the expression is a int, not true or false"),
        ("path", "the expression is a string, not true or false"),
        ("stauts == 404", "there is no field \"stauts\" here"),
        ("record.status == 404", "there is no field \"record\" here"),
        (".status == 404", "there is no field \".status\" here"),
        ("[1].all(x, y > x)", "there is no field \"y\" here"),
        ("[1].all(x, x > 0) && x > 0", "there is no field \"x\" here"),
        ("path.matches('^/a')", "there is no function \"matches\""),
        ("timestamp(time) > timestamp(time)", "there is no function \"timestamp\""),
        ("Place{city: path} == null", "there is no type \"Place\""),
        (
            "status > '400'",
            "the expression fails on an ordinary record: found no matching overload for '_>_' \
             applied to '(int, string)'",
        ),
        (
            "path.contains(4)",
            "the expression fails on an ordinary record: found no matching overload for \
             'contains' applied to 'string.(int)'",
        ),
        (
            "request.contains('x')",
            "the expression fails on an ordinary record: found no matching overload for \
             'contains' applied to 'null_type.(string)'",
        ),
    ];
    for (expression, expected) in cases {
        let wrong = compile(Verdict::Keep, expression).err().unwrap_or_default();
        assert_eq!(wrong.first().map(|(what, _)| what.as_str()), Some(expected), "{expression}");
    }
    // Whether text is a number is the record's affair.
    assert!(compile(Verdict::Keep, "int(user) > 0").is_ok());
}

#[test]
fn expressions_have_limits() {
    let nested = |depth: usize| format!("{}status > 1{}", "(".repeat(depth), ")".repeat(depth));
    let what =
        |expression: &str| compile(Verdict::Keep, expression).err().map(|wrong| wrong[0].0.clone());
    assert_eq!(what(&nested(NESTING_LIMIT)), None);
    let expected = Some("more than 10 brackets are open at once".to_owned());
    assert_eq!(what(&nested(NESTING_LIMIT + 1)), expected);
    assert_eq!(what("path != '((((((((((((((((((((' && path != \"\\\"[[[[[[[[[[[[[[[[[[[\""), None);
    let long = format!("status > 1{}", " || status > 1".repeat(300));
    let expected = Some("the expression is longer than 4096 bytes".to_owned());
    assert_eq!(what(&long), expected);
}
