//! The stream: one number of shards, and nothing made where one is adopted.

use serde_json::json;
use tidegate_tests::place::text;

use crate::templates::{at, each};

#[test]
fn the_shard_count_comes_from_one_place() {
    let initial = json!({"Ref": "InitialShards"});
    // CloudFormation asks for no number where Kinesis finds the capacity itself.
    let provisioned = json!({"Fn::If": ["Provisioned", initial, {"Ref": "AWS::NoValue"}]});
    each("AWS::Kinesis::Stream", 1, |_, properties| {
        if properties["ShardCount"] == provisioned { Ok(()) } else { Err("another count".into()) }
    });
    each("AWS::CloudFormation::Stack", 6, |_, properties| {
        match properties["Parameters"].get("InitialShards") {
            Some(value) if *value != initial => Err(format!("its InitialShards are {value}")),
            _ => Ok(()),
        }
    });
    // A count that one environment's section sets would be applied at its next deployment.
    assert!(!text("samconfig.toml").contains("InitialShards"), "samconfig.toml sets the count");
}

#[test]
fn an_adopted_stream_is_not_made() {
    let Some(resources) = at("stream", "/Resources") else { return };
    let conditions = ["Stream", "Nothing"].map(|name| &resources[name]["Condition"]);
    assert_eq!(conditions, [&json!("Made"), &json!("Adopted")]);
    assert_eq!(resources.as_object().map_or(0, |all| all.len()), 2, "what is made has a condition");
    assert_eq!(
        at("stream", "/Conditions/Made"),
        Some(json!({"Fn::Not": [{"Condition": "Adopted"}]}))
    );
    // The name is the second piece of what is given, written twice.
    for (given, name) in
        [("orders", "orders"), ("arn:aws:kinesis:eu-west-1:123456789012:stream/orders", "orders")]
    {
        assert_eq!(format!("{given}/{given}").split('/').nth(1), Some(name));
    }
    let found = json!({"Fn::Select": [1, {"Fn::Split": ["/", {"Fn::Sub": "${ExistingStream}/${ExistingStream}"}]}]});
    let outputs = ["StreamName/Value", "StreamArn/Value"]
        .map(|path| at("stream", &format!("/Outputs/{path}")));
    let [name, arn] = outputs.map(Option::unwrap_or_default);
    assert_eq!(name["Fn::If"], json!(["Made", {"Ref": "Stream"}, found]));
    assert_eq!(arn["Fn::If"][1], json!({"Fn::GetAtt": ["Stream", "Arn"]}));
    assert_eq!(arn.pointer("/Fn::If/2/Fn::Sub/1/Name"), Some(&found));
}

/// Who reads a stream with a key of its own may use that key, through Kinesis and not otherwise.
#[test]
fn who_touches_the_stream_may_use_its_key() {
    let wanted = [
        ("autoscaler", "kms:Decrypt"),
        ("consumer", "kms:Decrypt"),
        ("transform", "kms:GenerateDataKey"),
        ("lake", "kms:Decrypt"),
    ];
    for (part, action) in wanted {
        let Some(policy) = at(part, "/Resources/Role/Properties/Policies/0/PolicyDocument") else {
            return;
        };
        let statements = policy["Statement"].as_array().into_iter().flatten();
        let found: Vec<_> = statements
            .filter_map(|statement| statement.pointer("/Fn::If/1"))
            .filter(|statement| statement["Action"] == action)
            .collect();
        assert_eq!(found.len(), 1, "{part}: {action}");
        assert_eq!(found[0]["Resource"], json!({"Ref": "StreamKeyArn"}), "{part}");
        assert!(found[0].pointer("/Condition/StringEquals/kms:ViaService").is_some(), "{part}");
    }
}
