//! A thousand streams in one run of the built autoscaler, against answers of our own: which calls it
//! makes, how many of each, and how fast.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test, and what it measured")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_tests::account::{Account, Stream};
use tidegate_tests::canned::{Asked, Canned, by_operation, most_in_a_second};
use tidegate_tests::lambda::{Ended, Lambda};
use tidegate_tests::place::bootstrap;

const STREAMS: usize = 1_000;

/// Of these, streams that need more shards.
const BUSY: usize = 10;

/// What the function's template gives a run.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Time for a few batches, and not for all eight, where each request to the ledger takes a second: a
/// batch has three of them, and begins as long as 15 seconds are left; two are kept for the answer.
const TOO_SHORT: Duration = Duration::from_secs(30);
const SLOW: Duration = Duration::from_secs(1);

/// What an operation may be called: times a second for the account, and times a run.
///
/// The rates are the service's quotas, from the pages that `crates/aws/src/autoscaler/pace.rs` names;
/// GetResources has none that is published, and BatchGetItem and PutItem none but the table's. Other
/// operations are not called by such a run.
const QUOTAS: &[(&str, usize, usize)] = &[
    // A hundred streams a page.
    ("GetResources", 15, 10),
    ("ListStreams", 5, 10),
    ("DescribeLimits", 1, 1),
    // A batch holds 125 streams: 500 queries. A day of them is eight pages, and 40 streams at their
    // first look are a page each.
    ("GetMetricData", 500, 8 * 8 + 40),
    // A hundred keys a request, and once more for what came back unprocessed; the place to begin.
    ("BatchGetItem", 100, 4 * 8 + 1),
    ("PutItem", 1_000, STREAMS + BUSY + 1),
    // Each stream at its first look, and those that are changed once more.
    ("DescribeStreamSummary", 20, STREAMS + BUSY),
    // The quota is each stream's own.
    ("ListShards", 1_000, STREAMS),
    ("ListTagsForStream", 5, BUSY),
    ("AddTagsToStream", 5, BUSY),
    ("UpdateShardCount", 10, BUSY),
];

fn name(at: usize) -> String {
    format!("stream-{at:04}")
}

fn streams() -> BTreeMap<String, Stream> {
    let tag = ("tidegate:autoscale".to_owned(), "yes".to_owned());
    let stream = |at: usize| {
        let load = if at < BUSY { 6.0 } else { 3.0 };
        let stream = Stream { shards: 4, load, tags: BTreeMap::from([tag.clone()]) };
        (name(at), stream)
    };
    (0..STREAMS).map(stream).collect()
}

/// One run; its answer and what was asked meanwhile.
fn run(lambda: &Lambda, account: &Canned, timeout: Duration) -> (Vec<Value>, Vec<Asked>) {
    let (before, started) = (lambda.used().unwrap(), Instant::now());
    let ended = lambda.invoke_within(json!({}), timeout).unwrap();
    let (took, after) = (started.elapsed(), lambda.used().unwrap());
    let Ended::Response(Value::Array(decisions)) = ended else {
        panic!("{ended:?}\n{}", lambda.output().unwrap());
    };
    let asked = account.asked();
    let (cpu, peak) = (after.0 - before.0, after.1 >> 20);
    eprintln!("{} streams: {took:.1?}, {cpu:.2} CPU seconds, {peak} MiB", decisions.len());
    for (operation, asked) in by_operation(&asked) {
        eprintln!("{:6} {operation}, {} in a second", asked.len(), most_in_a_second(&asked));
    }
    (decisions, asked)
}

#[track_caller]
fn within_quotas(asked: &[Asked]) {
    for (operation, asked) in by_operation(asked) {
        let quota = QUOTAS.iter().find(|(name, ..)| *name == operation);
        let (_, a_second, a_run) = quota.unwrap_or_else(|| panic!("{operation} has no quota"));
        let (fastest, all) = (most_in_a_second(&asked), asked.len());
        assert!(fastest <= *a_second, "{operation}: {fastest} in a second, {a_second} allowed");
        assert!(all <= *a_run, "{operation}: {all} in a run, {a_run} allowed");
    }
    let most = |operation: &str, entries: fn(&Value) -> usize| {
        let of = asked.iter().filter(|asked| asked.operation == operation);
        of.map(|asked| entries(&asked.input)).max().unwrap_or_default()
    };
    let queries = |input: &Value| input["MetricDataQueries"].as_array().map_or(0, Vec::len);
    assert!(most("GetMetricData", queries) <= 500);
    let keys = |input: &Value| {
        let tables = input["RequestItems"].as_object().into_iter().flatten();
        tables.map(|(_, table)| table["Keys"].as_array().map_or(0, Vec::len)).sum()
    };
    assert!(most("BatchGetItem", keys) <= 100);
}

#[test]
fn a_thousand_streams_within_the_quotas() {
    let Some(bootstrap) = bootstrap("autoscaler") else { return };
    let account = Account::serve(streams());
    let endpoint = account.endpoint();
    let settings = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("TIDEGATE_MODE", "active"),
        ("TIDEGATE_LEDGER_TABLE", "ledger"),
    ];
    let lambda = Lambda::start(&bootstrap, &settings).unwrap();
    let (decisions, asked) = run(&lambda, &account, TIMEOUT);
    within_quotas(&asked);
    assert_eq!(decisions.len(), STREAMS);
    let resized = decisions.iter().filter(|decision| decision["applied"] == "done");
    assert_eq!(resized.count(), BUSY);
    let told = &lambda.events("run").unwrap()[0];
    for (operation, asked) in by_operation(&asked) {
        assert_eq!(told["requests"][operation], asked.len(), "{operation}: {told}");
    }

    // From then on the ledger knows them: only those that were changed are asked.
    let (decisions, asked) = run(&lambda, &account, TIMEOUT);
    within_quotas(&asked);
    assert_eq!(decisions.len(), STREAMS);
    let asked = by_operation(&asked);
    let times = |operation: &str| asked.get(operation).map_or(0, Vec::len);
    assert_eq!((times("ListShards"), times("DescribeStreamSummary")), (STREAMS, BUSY));

    // Two runs that have too little time: each says what it leaves, the second begins with what the
    // first left, and none does again what was done.
    account.slow_down("BatchGetItem", SLOW);
    let mut first = 0;
    for short in 2..=3 {
        let (decisions, asked) = run(&lambda, &account, TOO_SHORT);
        within_quotas(&asked);
        let mut decided: Vec<_> =
            decisions.iter().map(|decision| decision["stream"].as_str().unwrap()).collect();
        decided.sort_unstable();
        let wanted: Vec<_> = (first..STREAMS).map(name).take(decided.len()).collect();
        assert_eq!(decided, wanted);
        first += decided.len();
        assert!((1..STREAMS).contains(&first), "{first} streams in {short} short runs");
        let left = STREAMS - decisions.len();
        assert_eq!(lambda.events("run").unwrap()[short]["left"], left);
        assert!(decisions.iter().all(|decision| decision["applied"] == "nothing"));
    }
}
