//! The commands that talk to AWS, as a person runs them, against answers of our own.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tidegate_tests::account::{Account, Stream};
use tidegate_tests::canned::{Answer, Asked, Canned, by_operation};

/// A floor of twelve shards at all times.
const SCHEDULES: &str = r#"{"always": {"cron": "0 * * * *", "time_zone": "UTC", "duration": "2h",
    "min_shards": 12, "by_default": true}}"#;

/// Variables, name and value.
type Vars = &'static [(&'static str, &'static str)];

/// One stream of four shards.
fn account(load: f64, tags: &[(&str, &str)]) -> Account {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let stream = Stream { shards: 4, load, tags: tags.collect() };
    Account::new(BTreeMap::from([("orders".to_owned(), stream)]))
}

fn serve(account: Account) -> Canned {
    Canned::start(move |asked| account.answer(asked))
}

const OPTED_IN: [(&str, &str); 1] = [("tidegate:autoscale", "yes")];

/// Runs the command with nothing else of this process' environment.
fn tidegate(services: &Canned, vars: &[(&str, &str)], arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(arguments)
        .env_clear()
        .env("AWS_ENDPOINT_URL", services.endpoint())
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .env("AWS_REGION", "us-east-1")
        .envs(vars.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    command.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    command.wait_with_output().unwrap()
}

#[track_caller]
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn decision(output: &Output) -> Value {
    serde_json::from_str(&printed(output)).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn operations(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.operation.as_str()).collect()
}

#[test]
fn a_plan_sees_what_the_function_sees() {
    let services = serve(account(3.0, &OPTED_IN));
    let plan = |vars: &[(&str, &str)], more: &[&str], input: &str| {
        let arguments = [&["plan", "--stream", "orders", "--json"], more].concat();
        tidegate(&services, vars, &arguments, input)
    };
    // Nothing is set: the defaults, in shadow mode, and the tag for a ledger.
    let output = plan(&[], &[], "");
    assert_eq!(decision(&output)["action"], "hold", "{}", said(&output));
    assert!(said(&output).contains("without a ledger (--ledger-table)"), "{}", said(&output));
    assert!(!operations(&services.asked()).contains(&"BatchGetItem"));

    // What is set here, and the options over it.
    let schedules = ("TIDEGATE_SCHEDULES", SCHEDULES);
    let vars = [schedules, ("TIDEGATE_LEDGER_TABLE", "ledger"), ("TIDEGATE_MAX_SHARDS", "100")];
    let output = plan(&vars, &[], "");
    let raised = decision(&output);
    assert_eq!((&raised["target"], &raised["applied"]), (&json!(8), &json!("shadow")), "{raised}");
    assert!(raised["message"].as_str().unwrap().contains("always"), "{raised}");
    assert_eq!(said(&output), "nothing was changed\n");
    let asked = services.asked();
    let tables = &by_operation(&asked)["BatchGetItem"][0].input["RequestItems"];
    assert_eq!(tables["ledger"]["Keys"], json!([{"stream": {"S": "orders"}}]));
    let bounded = decision(&plan(&vars, &["--max-shards", "6", "--ledger-table", "other"], ""));
    assert_eq!(bounded["target"], 6, "{bounded}");
    assert!(services.asked().iter().any(|asked| !asked.input["RequestItems"]["other"].is_null()));

    // The variables of the function, instead of those set here.
    // In halves: nothing reads this name.
    let misspelt = concat!("TIDE", "GATE_MAX_SHARD");
    let of_function = json!({"TIDEGATE_MODE": "active", "TIDEGATE_LEDGER_TABLE": "ledger",
        "TIDEGATE_SCHEDULES": SCHEDULES, misspelt: "7", "AWS_LAMBDA_LOG_LEVEL": "INFO"});
    let vars = [("TIDEGATE_MAX_SHARDS", "5")];
    let output = plan(&vars, &["--environment", "-"], &of_function.to_string());
    let planned = decision(&output);
    assert_eq!((&planned["target"], &planned["applied"]), (&json!(8), &json!("planned")));
    let hint = format!("-: {misspelt} means nothing; was TIDEGATE_MAX_SHARDS meant?");
    assert!(said(&output).contains(&hint), "{}", said(&output));

    // A look changes nothing.
    let writes = ["PutItem", "AddTagsToStream", "UpdateShardCount", "SplitShard"];
    let asked = services.asked();
    assert!(asked.iter().all(|asked| !writes.contains(&asked.operation.as_str())), "{asked:?}");
}

#[test]
fn what_cannot_be_used_is_named() {
    let services = serve(account(3.0, &OPTED_IN));
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.json");
    fs::write(&list, "[1]").unwrap();
    let list = list.to_str().unwrap();
    let cases: [(Vars, &[&str], &str); 5] = [
        (&[("TIDEGATE_SCHEDULES", "7")], &[], "TIDEGATE_SCHEDULES=\"7\": expected a JSON object"),
        (&[("TIDEGATE_MIN_SHARDS", "9")], &["--max-shards", "4"], "expected at least"),
        (&[], &["--ledger-table", "my table"], "the name of a DynamoDB table"),
        (&[], &["--environment", list], "list.json is no JSON object of variables"),
        (&[], &["--environment", "-", "--apply"], "nobody is there to answer: add --yes"),
    ];
    for (vars, more, message) in cases {
        let arguments = [&["plan", "--stream", "orders"], more].concat();
        let output = tidegate(&services, vars, &arguments, "");
        assert!(!output.status.success());
        assert!(said(&output).contains(message), "{message}: {}", said(&output));
    }
    assert_eq!(operations(&services.asked()), Vec::<&str>::new());
}

#[test]
fn a_stream_that_the_function_leaves_alone_is_looked_at_and_said_so() {
    let services = serve(account(6.0, &[]));
    let output = tidegate(&services, &[], &["plan", "--stream", "orders", "--json"], "");
    assert_eq!(decision(&output)["target"], 8);
    assert!(said(&output).contains("if it were: orders is not in TIDEGATE_STREAMS"));
    let vars = [("TIDEGATE_STREAMS", "clicks,orders")];
    let output = tidegate(&services, &vars, &["plan", "--stream", "orders", "--json"], "");
    assert!(!said(&output).contains("TIDEGATE_STREAMS"), "{}", said(&output));
    // Whoever opted out is not looked at.
    let services = serve(account(6.0, &[("tidegate:autoscale", "false")]));
    let output = tidegate(&services, &[], &["plan", "--stream", "orders", "--json"], "");
    assert_eq!(decision(&output)["reason"], "not_opted_in");
    assert_eq!(said(&output).matches("has not opted in").count(), 0, "{}", said(&output));
}

const APPLY: [&str; 8] =
    ["plan", "--stream", "orders", "--ledger-table", "ledger", "--apply", "--yes", "--json"];

#[test]
fn what_is_carried_out_is_written_down_first() {
    let services = serve(account(6.0, &OPTED_IN));
    let output = tidegate(&services, &[], &APPLY, "");
    assert_eq!(decision(&output)["applied"], "done", "{}", said(&output));
    assert_eq!(said(&output), "it was carried out\n");
    let asked = services.asked();
    let order = operations(&asked);
    let writes = ["DescribeStreamSummary", "PutItem", "AddTagsToStream", "UpdateShardCount"];
    assert_eq!(order[order.len() - 4..], writes, "{order:?}");
    assert_eq!(asked.last().unwrap().input["TargetShardCount"], 8);
    let put = &by_operation(&asked)["PutItem"][0].input;
    assert_eq!(put["Item"]["revision"], json!({"N": "1"}));
    assert!(put["ConditionExpression"].is_string(), "{put}");
    // It has what it needs, and the ledger knows why.
    let again = decision(&tidegate(&services, &[], &APPLY, ""));
    assert_eq!((&again["action"], &again["calls_left"]), (&json!("hold"), &json!(9)), "{again}");
}

#[test]
fn another_run_that_was_quicker_has_the_last_word() {
    let account = account(6.0, &OPTED_IN);
    let services = Canned::start(move |asked| match asked.operation.as_str() {
        "PutItem" => refusal("ConditionalCheckFailedException"),
        _ => account.answer(asked),
    });
    let output = tidegate(&services, &[], &APPLY, "");
    let decision = decision(&output);
    assert_eq!(
        (&decision["applied"], &decision["reason"]),
        (&json!("refused"), &json!("acted_meanwhile"))
    );
    assert!(!operations(&services.asked()).contains(&"UpdateShardCount"));
}

fn refusal(code: &str) -> Answer {
    (400, json!({"__type": code, "message": "it is refused here"}))
}

#[test]
fn a_stream_is_paused_and_resumed() {
    let services = serve(account(6.0, &OPTED_IN));
    let run = |arguments: &[&str]| printed(&tidegate(&services, &[], arguments, ""));
    let text = run(&["pause", "--stream", "orders"]);
    assert!(text.starts_with("orders is paused (tag tidegate:paused=true)"), "{text}");
    let text = run(&["plan", "--stream", "orders"]);
    assert!(text.contains("paused"), "{text}");
    let text = run(&["resume", "--stream", "orders"]);
    assert_eq!(text, "orders is paused no longer (tag tidegate:paused=false)\n");
    let text = run(&["plan", "--stream", "orders"]);
    assert!(text.starts_with("orders: 4 to 8 shards"), "{text}");
}

#[test]
fn decisions_come_from_the_log_of_a_stack() {
    let line = |minute: u32, rest: &str| {
        let now = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minute.into());
        json!({"message": format!(
            r#"{{"timestamp":"x","level":"INFO","event":"decision","stream":"orders","at":"{now}","open_shards":4,{rest}}}"#
        )})
    };
    let hold = r#""target":4,"action":"hold","reason":"enough","message":"holds at 4 shards","applied":"nothing""#;
    let more = r#""target":6,"action":"resize","reason":"demand_above_capacity","message":"4 to 6 shards","applied":"done""#;
    let (first, second) = (line(9, hold), line(4, more));
    let services = Canned::start(move |asked| match asked.operation.as_str() {
        "DescribeLogGroups" => (
            200,
            json!({"logGroups": [
            {"logGroupName": "tidegate-Consumer-1-LogGroup-2"},
            {"logGroupName": "tidegate-Autoscaler-1-LogGroup-2"}]}),
        ),
        // A page may be empty, and more may follow.
        "FilterLogEvents" => match asked.input["nextToken"].as_str() {
            None => (200, json!({"events": [], "nextToken": "1"})),
            Some("1") => (200, json!({"events": [first], "nextToken": "2"})),
            Some(_) => (200, json!({"events": [second]})),
        },
        _ => refusal("UnknownOperationException"),
    });
    let arguments = ["decisions", "--stream", "orders", "--since", "1d", "--stack", "tidegate"];
    let text = printed(&tidegate(&services, &[], &arguments, ""));
    assert!(text.ends_with("2 decisions: 1 hold, 1 resize (done)\n"), "{text}");
    let asked = services.asked();
    let asked = &by_operation(&asked)["FilterLogEvents"][0].input;
    assert_eq!(asked["logGroupName"], "tidegate-Autoscaler-1-LogGroup-2");
    let pattern = r#"{ $.event = "decision" && $.stream = "orders" }"#;
    assert_eq!(asked["filterPattern"], pattern);
    let day = jiff::Timestamp::now().as_millisecond() - asked["startTime"].as_i64().unwrap();
    assert!((86_400_000..86_500_000).contains(&day), "{day}");
    let refused = Canned::start(|_| refusal("AccessDeniedException"));
    let arguments = ["decisions", "--stream", "orders", "--log-group", "a"];
    let output = tidegate(&refused, &[], &arguments, "");
    assert_eq!(
        said(&output),
        "error: FilterLogEvents: AccessDeniedException: it is refused here\n"
    );
}

#[test]
fn histories_come_from_cloudwatch() {
    let services = serve(account(3.0, &[]));
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("orders.csv");
    let history = ["--stream", "orders", "--since", "2d", "--json"];
    let arguments = ["simulate", "--policy", "tidegate", "--save", save.to_str().unwrap()];
    let output = tidegate(&services, &[], &[&arguments[..], &history].concat(), "");
    let outcomes: Value = serde_json::from_str(&printed(&output)).unwrap();
    let outcome = &outcomes[0];
    assert_eq!((&outcome["trace"], &outcome["policy"]), (&json!("orders"), &json!("tidegate")));
    let saved = fs::read_to_string(&save).unwrap();
    // Two days by the minute; three shards are 3,000 records a second.
    assert!((2_870..=2_882).contains(&saved.lines().count()), "{}", saved.lines().count());
    assert!(saved.lines().nth(1).unwrap().ends_with(",3000"), "{saved:.200}");
    let asked = services.asked();
    assert_eq!(operations(&asked), ["GetMetricData"; 2]);

    let history = ["--stream", "orders", "--since", "3d", "--json"];
    let output = tidegate(&services, &[], &[&["tune"], &history[..]].concat(), "");
    let tuned: Value = serde_json::from_str(&printed(&output)).unwrap();
    assert_eq!(tuned["histories"], json!(["orders"]), "{tuned}");

    // A stream that is not there, or that nobody writes to.
    let services = Canned::start(|_| (200, json!({"MetricDataResults": []})));
    let output = tidegate(&services, &[], &["simulate", "--stream", "orders"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("CloudWatch has no point of orders"), "{}", said(&output));
}
