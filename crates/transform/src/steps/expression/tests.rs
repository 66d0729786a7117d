use proptest::prelude::*;

use super::*;
use crate::formats::{Format, Reader};
use crate::outcome::{Outcome, Reason};
use crate::record::Memory;
use crate::scope::Field;
use crate::steps::filter::{Filter, Verdict};

const FULL: &str = r#"192.0.2.7 id frank [10/Oct/2000:13:55:36 -0700] "GET /images/a%20b.gif?x=1 HTTP/1.1" 404 2326 "https://example.com/" "Mozilla/5.0 \"x\"""#;
const BARE: &str = r#"host - - [10/Oct/2000:13:55:36 -0700] "-" 408 - "-" "-""#;

/// The fields of access lines and of places.
fn scope() -> (Scope, Vec<usize>) {
    let mut scope = Scope::default();
    let slots = scope.input(&Format::ApacheCombined.fields());
    for (name, kind) in <crate::geoip::Place as crate::geoip::Entry>::FIELDS {
        scope.define(Field::new(name, *kind));
    }
    (scope, slots)
}

fn compile(verdict: Verdict, expression: &str) -> Result<Filter, Vec<Wrong>> {
    Filter::compile(verdict, expression, &mut scope().0)
}

/// What a filter makes of a line.
fn run(verdict: Verdict, expression: &str, line: &str) -> Option<Outcome> {
    let (mut scope, slots) = scope();
    let filter = Filter::compile(verdict, expression, &mut scope);
    let mut reader = Reader::plain(Format::ApacheCombined, slots).unwrap();
    let mut record = Record::new(&mut Memory::default(), scope.slots, None);
    reader.read(line.as_bytes(), &mut record).unwrap();
    filter.unwrap_or_else(|wrong| panic!("{wrong:?}")).run(&record)
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

/// Conditions over three fields of which nothing is known beforehand.
fn condition() -> impl Strategy<Value = String> {
    let field = || prop_oneof![Just("a"), Just("b"), Just("c")];
    let literal = || {
        prop_oneof![
            (-3_i64..4).prop_map(|n| n.to_string()),
            prop_oneof![Just("''"), Just("'a'"), Just("'ab'"), Just("'é'")].prop_map(str::to_owned),
            prop_oneof![Just("null"), Just("true"), Just("false"), Just("1.0")]
                .prop_map(str::to_owned),
        ]
    };
    let operator =
        || prop_oneof![Just("=="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")];
    let test = prop_oneof![Just("startsWith"), Just("endsWith"), Just("contains")];
    let simple = prop_oneof![
        4 => (field(), operator(), literal()).prop_map(|(f, o, l)| format!("{f} {o} {l}")),
        1 => (literal(), operator(), field()).prop_map(|(l, o, f)| format!("{l} {o} {f}")),
        2 => (field(), test, literal()).prop_map(|(f, t, l)| format!("{f}.{t}({l})")),
        2 => (field(), prop::collection::vec(literal(), 0..4))
            .prop_map(|(f, items)| format!("{f} in [{}]", items.join(", "))),
        1 => field().prop_map(str::to_owned),
        1 => prop_oneof![Just("true".to_owned()), Just("false".to_owned())],
    ];
    simple.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

fn value() -> impl Strategy<Value = crate::value::Value<'static>> {
    use crate::formats::apache::Text;
    use crate::value::Value as V;
    prop_oneof![
        Just(V::Null),
        any::<bool>().prop_map(V::Bool),
        (-3_i64..4).prop_map(V::Integer),
        Just(V::Float(1.0, "1.0")),
        prop_oneof![Just(""), Just("a"), Just("ab"), Just("abc"), Just("é")].prop_map(V::Text),
        prop_oneof![Just("ab"), Just("\\x61b"), Just("\\xc3\\xa9")]
            .prop_map(|text| V::Logged(Text::new(text))),
        Just(V::Escaped("\"\\u0061b\"")),
        Just(V::Json("[1]")),
        Just(V::Time(crate::moment::Moment::EPOCH)),
    ]
}

#[test]
fn simple_conditions_mean_what_they_mean_in_cel() {
    let lowered = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 4_000, ..ProptestConfig::default() };
    proptest!(config, |(text in condition(), values in prop::collection::vec(value(), 3))| {
        let mut scope = Scope { open: true, ..Scope::default() };
        for name in ["a", "b", "c"] {
            scope.define(Field::new(name, Kind::Any));
        }
        let Ok((expression, _)) = Expression::compile(&text, &mut scope) else { return Ok(()) };
        let record = Record { values, others: Vec::new(), at: None, geoip_error: false, written: None };
        let meant = match expression.evaluate(&record) {
            Ok(Value::Bool(value)) => Truth::from(value),
            _ => Truth::Unknown,
        };
        if let Some(native) = expression.native.as_ref().and_then(|native| native.holds(&record)) {
            prop_assert_eq!(native, meant, "{} of {:?}", text, record.values);
            lowered.set(lowered.get() + 1);
        }
    });
    let lowered = lowered.get();
    assert!(lowered > 400, "only {lowered} were evaluated natively");
}

#[test]
fn what_people_write_is_lowered() {
    for text in [
        "status >= 400",
        "status >= 400 && !path.startsWith('/images')",
        "path == null || path.contains('/health') || user_agent.endsWith('bot')",
        "method in ['GET', 'HEAD'] && 499 < status",
    ] {
        let (expression, _) = Expression::compile(text, &mut scope().0).unwrap();
        assert!(expression.native.is_some(), "{text}");
    }
}
