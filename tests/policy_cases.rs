//! What policies say, case by case, as `tests/testdata/policy/README.md` tells.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use waxseal::KeyId;
use waxseal::kms::Operation;
use waxseal::kms::policy::{
    ConditionKey, Decision, GivenValues, Mismatch, Policy, Request, Resource, ValueKind,
};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/policy");
const KEY: &str = "key/0123456789abcdef0123456789abcdef";

#[test]
fn every_case() {
    let mut count = 0;
    for (file, rules) in files(DIRECTORY) {
        for rule in rules {
            let title = format!("{file}: {}", text(&rule["rule"]));
            assert!(!text(&rule["source"]).is_empty(), "{title}");
            let policy = policy(&rule["policy"]);
            for ask in list(&rule["asks"]) {
                check(&policy, &rule, ask, &format!("{title}\n{ask}"));
                count += 1;
            }
        }
    }
    assert!(count >= 450, "{count} cases");
}

#[test]
fn every_refusal() {
    let mut kinds = BTreeSet::new();
    for (file, cases) in files(&format!("{DIRECTORY}/refused")) {
        for case in cases {
            let title = format!("{file}: {case}");
            let error = Policy::from_json(&refused_text(&case)).expect_err(&title);
            assert_eq!(error.place(), text(&case["place"]), "{title}: {error}");
            let kind = kind(&format!("{:?}", error.problem()));
            assert_eq!(kind, text(&case["problem"]), "{title}: {error}");
            if let Some(words) = case.get("says") {
                assert!(error.to_string().contains(text(words)), "{title}: {error}");
            }
            kinds.insert(kind);
        }
    }
    assert_eq!(kinds.len(), 27, "{kinds:?}");
}

#[test]
fn a_policy_may_have_32_kib() {
    let with_id = |len| {
        let policy = json!({
            "Version": "2012-10-17",
            "Id": "x".repeat(len),
            "Statement": [statement(&json!({}))],
        });
        policy.to_string()
    };
    let rest = with_id(0).len();
    let longest = with_id(Policy::MAX_LEN - rest);
    assert_eq!(longest.len(), Policy::MAX_LEN);
    let policy = Policy::from_json(&longest).unwrap();
    assert_eq!(Policy::from_json(&policy.to_json()).unwrap(), policy);

    let longer = Policy::from_json(&with_id(Policy::MAX_LEN - rest + 1)).unwrap_err();
    assert!(longer.to_string().contains("32769 bytes"), "{longer}");
    let spaces = Policy::from_json(&(longest + " ")).unwrap_err();
    assert!(spaces.to_string().contains("32769 bytes"), "{spaces}");

    // What is written is longer than what was read where a name gets its kind.
    let names: Vec<String> = (0..4).map(|name| name.to_string().repeat(8100)).collect();
    let mut statement = statement(&json!({"Principal": names}));
    let grown = |statement: &Value| {
        Policy::from_json(&json!({"Version": "2012-10-17", "Statement": statement}).to_string())
    };
    assert!(grown(&statement).is_ok());
    let used = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    statement["Sid"] = Value::from("s".repeat(Policy::MAX_LEN - used.len() - r#""Sid":"","#.len()));
    let error = grown(&statement).unwrap_err();
    assert!(
        error.to_string().contains("bytes and may have 32768"),
        "{error}"
    );
}

fn check(policy: &Policy, rule: &Value, ask: &Value, title: &str) {
    let action = ask.get("action").or(rule.get("action"));
    let action = action.map_or("kms:Decrypt", text);
    let operation: Operation = action.strip_prefix("kms:").unwrap().parse().unwrap();
    let resource = match ask.get("resource").map_or(KEY, text) {
        "store" => Resource::Store,
        alias if alias.starts_with("alias/") => Resource::Alias(alias),
        key => Resource::Key(key.strip_prefix("key/").unwrap().parse::<KeyId>().unwrap()),
    };
    let values = values(ask, operation);
    let principal = ask.get("principal").map_or("alice", text);
    let request = Request::new(principal, operation, resource, &values);
    let decision = policy.evaluate(&request);

    let (gives, statement, mismatch) = match &decision {
        Decision::Allow { statement } => ("allow", Some(statement), None),
        Decision::Deny { statement } => ("deny", Some(statement), None),
        Decision::NoMatch { closest } => (
            "none",
            closest.as_ref().map(|closest| &closest.statement),
            closest.as_ref().map(|closest| named(&closest.mismatch)),
        ),
        other => panic!("{title}: {other:?}"),
    };
    assert_eq!(gives, text(&ask["gives"]), "{title}: {decision}");
    assert_eq!(decision.is_allowed(), gives == "allow");
    assert_eq!(policy.can_be_changed_by(&request), gives == "allow");
    if let Some(index) = ask.get("statement") {
        let statement = statement.unwrap_or_else(|| panic!("{title}: {decision}"));
        assert_eq!(Value::from(statement.index), *index, "{title}: {decision}");
    }
    if let Some(closest) = ask.get("closest") {
        let mismatch = mismatch.map_or(Value::Null, Value::from);
        assert_eq!(mismatch, *closest, "{title}: {decision}");
    }
}

fn named(mismatch: &Mismatch) -> String {
    match mismatch {
        Mismatch::Condition { operator, key } => format!("{operator} {key}"),
        other => format!("{other:?}"),
    }
}

fn values(ask: &Value, operation: Operation) -> GivenValues {
    let mut values = GivenValues::new();
    for (name, value) in ask.get("attributes").map(object).into_iter().flatten() {
        values = values.with_attribute(name, text(value));
    }
    for (name, value) in ask.get("with").map(object).into_iter().flatten() {
        let key: ConditionKey = name.parse().unwrap();
        assert!(key.is_given_for(operation), "{ask}: {key} for {operation}");
        let given = match value {
            Value::Array(several) => several.clone(),
            one => vec![one.clone()],
        };
        assert!(key.is_multivalued() || given.len() == 1, "{ask}: {key}");
        for value in given {
            let key = key.clone();
            values = match key.kind() {
                ValueKind::Text => values.with_text(key, text(&value)),
                ValueKind::Number => values.with_number(key, value.as_u64().unwrap()),
                ValueKind::Date | ValueKind::Epoch => {
                    values.with_date(key, text(&value).parse().unwrap())
                }
                ValueKind::Bool => values.with_bool(key, value.as_bool().unwrap()),
                other => panic!("{other:?}"),
            };
        }
    }
    values
}

fn policy(statements: &Value) -> Policy {
    let statements: Vec<Value> = list(statements).iter().map(statement).collect();
    let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let policy = Policy::from_json(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let written = policy.to_json();
    assert_eq!(Policy::from_json(&written).unwrap(), policy, "{written}");
    assert_eq!(Policy::from_json(&written).unwrap().to_json(), written);
    policy
}

/// A statement with what it leaves out.
fn statement(given: &Value) -> Value {
    let mut statement = object(given).clone();
    for (member, value, other) in [
        ("Effect", "Allow", None),
        ("Principal", "*", Some("NotPrincipal")),
        ("Action", "kms:*", Some("NotAction")),
        ("Resource", "*", Some("NotResource")),
    ] {
        if other.is_none_or(|other| !statement.contains_key(other)) {
            statement.entry(member).or_insert_with(|| value.into());
        }
    }
    Value::Object(statement)
}

fn refused_text(case: &Value) -> String {
    if let Some(document) = case.get("text") {
        return text(document).to_owned();
    }
    let empty = json!({});
    let given = case.get("statement").unwrap_or(&empty);
    let mut one = statement(&empty);
    let members = one.as_object_mut().unwrap();
    members.extend(object(given).clone());
    if let Some(condition) = case.get("condition") {
        members.insert("Condition".to_owned(), condition.clone());
    }
    if let Some(without) = case.get("without") {
        members.remove(text(without)).unwrap();
    }
    let statements = match case.get("statements") {
        Some(several) => list(several).iter().map(statement).collect(),
        None => vec![one],
    };
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

/// The name of a variant in how it is shown.
fn kind(shown: &str) -> String {
    shown
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect()
}

fn files(directory: &str) -> Vec<(String, Vec<Value>)> {
    let mut files: Vec<_> = fs::read_dir(Path::new(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let cases = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (name, cases)
        })
        .collect();
    assert!(!files.is_empty());
    files.sort_by(|one, other| one.0.cmp(&other.0));
    files
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
}

fn object(value: &Value) -> &Map<String, Value> {
    value
        .as_object()
        .unwrap_or_else(|| panic!("no object: {value}"))
}
