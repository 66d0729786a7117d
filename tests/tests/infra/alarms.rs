//! Alarms and the dashboard: every one says what to do, and speaks of metrics that are there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate_tests::place::text;

use crate::templates::{at, each};

/// Where what to do is written.
const PAGE: &str = "docs/src/operating/alarms.md";
/// Where the metrics are described.
const METRICS: &str = "docs/src/reference/metrics.md";

#[test]
fn every_alarm_says_where_it_is_explained() {
    let page = text(PAGE);
    let headings: BTreeSet<_> =
        page.lines().filter_map(|line| line.strip_prefix("## ")).map(ToOwned::to_owned).collect();
    let alarms = std::cell::RefCell::new(BTreeSet::new());
    each("AWS::CloudWatch::Alarm", 15, |here, properties| {
        alarms.borrow_mut().insert(here.name.to_owned());
        let description = &properties["AlarmDescription"];
        let description = description.as_str().or(description["Fn::Sub"].as_str());
        let place = format!("; see {PAGE}#{}", here.name.to_lowercase());
        if !description.is_some_and(|description| description.ends_with(&place)) {
            return Err(format!("its description does not end with {place:?}"));
        }
        Ok(())
    });
    let alarms = alarms.into_inner();
    if !alarms.is_empty() {
        assert_eq!(headings, alarms, "{PAGE} (left) and the templates (right)");
    }
}

#[test]
fn alarms_watch_metrics_that_are_written() {
    let known = metrics();
    each("AWS::CloudWatch::Alarm", 15, |_, properties| {
        let several = properties["Metrics"].as_array().into_iter().flatten();
        let several = several.filter_map(|metric| metric.pointer("/MetricStat/Metric"));
        let mut ours = several.chain([properties]).filter(|of| of["Namespace"] == "Tidegate");
        match ours.find(|of| !known.contains(of["MetricName"].as_str().unwrap_or_default())) {
            Some(of) => Err(format!("no function writes {}", of["MetricName"])),
            None => Ok(()),
        }
    });
}

/// The body is text to CloudFormation: nobody but CloudWatch reads it, and it says nothing of a
/// metric that does not exist.
#[test]
fn the_dashboard_can_be_read_whatever_is_there() {
    let body = "/Resources/Dashboard/Properties/DashboardBody/Fn::Join/1";
    let Some(pieces) = at("observability", body) else { return };
    let known = metrics();
    let conditions: BTreeSet<_> = pieces
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|piece| piece["Fn::If"][0].as_str())
        .collect();
    assert_eq!(conditions.len(), 6, "{conditions:?}");
    let mut shown = BTreeSet::new();
    // Nothing there, each part alone, and all at once.
    let alone = conditions.iter().map(|one| BTreeSet::from([*one]));
    for there in alone.chain([BTreeSet::new(), conditions.clone()]) {
        let text = rendered(&pieces, &there);
        let dashboard: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{there:?}: {error}\n{text}"));
        let widgets = dashboard["widgets"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(widgets.len() > there.len(), "{there:?}");
        for widget in widgets.iter().filter(|widget| widget["type"] == "metric") {
            let title = &widget["properties"]["title"];
            assert_eq!(widget["properties"]["region"], "x", "{title}");
            for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
                let name = metric[1].as_str().unwrap_or_default();
                if metric[0] == "Tidegate" {
                    assert!(known.contains(name), "{title}: no function writes {name}");
                    shown.insert(name.to_owned());
                }
            }
            expressions_stand(widget);
        }
        shown.extend(searched(&text));
    }
    // What the dashboard has no place for: sums of what it shows, and what only some ask for.
    let left: BTreeSet<_> = known.difference(&shown).map(String::as_str).collect();
    assert_eq!(left, BTreeSet::from(["Matched", "Received", "Records", "RefreshFailed", "Rows"]));
}

/// What the pieces become when some of the conditions hold.
fn rendered(pieces: &Value, there: &BTreeSet<&str>) -> String {
    let mut text = String::new();
    for piece in pieces.as_array().into_iter().flatten() {
        let piece = match piece["Fn::If"].as_array() {
            Some(choice) => {
                let holds = choice[0].as_str().is_some_and(|name| there.contains(name));
                &choice[if holds { 1 } else { 2 }]
            }
            None => piece,
        };
        text += piece.as_str().or(piece["Fn::Sub"].as_str()).expect("a piece is text");
    }
    // `${Name}` is replaced, `${!Name}` written without its mark.
    let parameters = at("observability", "/Parameters").unwrap_or_default();
    for name in parameters.as_object().into_iter().flatten().map(|(name, _)| name.as_str()) {
        let number = parameters[name]["Type"] == "Number";
        text = text.replace(&format!("${{{name}}}"), if number { "1" } else { "x" });
    }
    for name in ["AWS::Region", "AWS::StackName"] {
        text = text.replace(&format!("${{{name}}}"), "x");
    }
    let text = text.replace("${!", "${");
    let unknown = text.split("${").skip(1).find(|rest| !rest.starts_with("PROP("));
    assert_eq!(unknown, None, "the dashboard names what the template does not have");
    text
}

/// An expression speaks of metrics of its own widget, by the ids that they have there.
fn expressions_stand(widget: &Value) {
    let metrics = widget["properties"]["metrics"].as_array().map_or(&[][..], Vec::as_slice);
    let ids: BTreeMap<_, _> =
        metrics.iter().filter_map(|m| Some((m.as_array()?.last()?["id"].as_str()?, m))).collect();
    for metric in metrics.iter().filter(|m| m[0]["expression"].is_string()) {
        let expression = metric[0]["expression"].as_str().unwrap_or_default();
        if expression.starts_with("SEARCH(") {
            continue;
        }
        let word = |c: char| !c.is_alphanumeric() && c != '_';
        for name in expression.split(word).filter(|w| w.starts_with(char::is_lowercase)) {
            assert!(
                ids.contains_key(name),
                "{}: {expression}: no {name}",
                widget["properties"]["title"]
            );
        }
    }
}

/// The names of metrics that are found by a search.
fn searched(text: &str) -> Vec<String> {
    let found = text.split("MetricName=\\\"").skip(1);
    found.filter_map(|rest| Some(rest.split('\\').next()?.to_owned())).collect()
}

/// The names of the metrics that the table has.
fn metrics() -> BTreeSet<String> {
    let rows = text(METRICS);
    let rows = rows.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(ToOwned::to_owned).collect()
}
