//! Laws that hold for all policies.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Map, Value, json};
use waxseal::kms::Operation;
use waxseal::kms::policy::{
    Condition, ConditionKey, Decision, GivenValues, Policy, Request, Resource, Statement,
};

const PRINCIPALS: [&str; 3] = ["alice", "bob", "svc:billing"];
const ACTIONS: [&str; 6] = [
    "kms:*",
    "kms:Decrypt",
    "kms:*crypt",
    "kms:Generate*",
    "kms:ReEncrypt?o",
    "kms:Encrypt",
];
const OPERATIONS: [Operation; 4] = [
    Operation::Decrypt,
    Operation::Encrypt,
    Operation::GenerateDataKey,
    Operation::ReEncryptTo,
];
const RESOURCES: [&str; 4] = [
    "key/00000000000000000000000000000001",
    "key/*",
    "key/*1",
    "alias/a*",
];
const WORDS: [&str; 4] = ["", "a", "ab", "b*"];
const PATTERNS: [&str; 6] = ["", "a", "a*", "?b", "${aws:PrincipalTag/t}", "*${*}"];

fn one_or_many(from: &'static [&'static str]) -> BoxedStrategy<Value> {
    subsequence(from, 1..=from.len())
        .prop_map(|items| match items[..] {
            [one] => json!(one),
            _ => json!(items),
        })
        .boxed()
}

fn condition() -> BoxedStrategy<(String, String, Value)> {
    let text = (
        select(&[
            "StringEquals",
            "StringNotEquals",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
            "StringLike",
            "StringNotLike",
        ]),
        select(&["", "IfExists"]),
        select(&[
            "kms:EncryptionContext:x",
            "kms:EncryptionContext:y",
            "aws:PrincipalTag/t",
        ]),
        one_or_many(&PATTERNS),
    )
        .prop_map(|(operator, if_exists, key, values)| {
            (format!("{operator}{if_exists}"), key.to_owned(), values)
        });
    let several = (
        select(&["ForAllValues:", "ForAnyValue:"]),
        select(&[
            "StringEquals",
            "StringNotEquals",
            "StringLike",
            "StringNotLike",
        ]),
        one_or_many(&PATTERNS),
    )
        .prop_map(|(quantifier, operator, values)| {
            let key = "kms:EncryptionContextKeys".to_owned();
            (format!("{quantifier}{operator}"), key, values)
        });
    let null = (
        select(&["kms:EncryptionContext:x", "kms:EncryptionContextKeys"]),
        any::<bool>(),
    )
        .prop_map(|(key, missing)| ("Null".to_owned(), key.to_owned(), json!(missing)));
    prop_oneof![3 => text, 1 => several, 1 => null].boxed()
}

prop_compose! {
    fn statement()(
        deny in prop::bool::weighted(0.3),
        all_but_principals in any::<bool>(),
        everybody in any::<bool>(),
        principals in one_or_many(&PRINCIPALS),
        all_but_actions in prop::bool::weighted(0.2),
        actions in one_or_many(&ACTIONS),
        all_resources in prop::bool::weighted(0.7),
        all_but_resources in any::<bool>(),
        resources in one_or_many(&RESOURCES),
        conditions in vec(condition(), 0..3),
    ) -> Value {
        let mut members = Map::new();
        members.insert("Effect".into(), json!(if deny { "Deny" } else { "Allow" }));
        if deny && all_but_principals {
            members.insert("NotPrincipal".into(), principals);
        } else if everybody {
            members.insert("Principal".into(), json!("*"));
        } else {
            members.insert("Principal".into(), json!({"AWS": principals}));
        }
        if all_but_actions && !names_all(&actions) {
            members.insert("NotAction".into(), actions);
        } else {
            members.insert("Action".into(), actions);
        }
        if all_resources {
            members.insert("Resource".into(), json!("*"));
        } else if all_but_resources {
            members.insert("NotResource".into(), resources);
        } else {
            members.insert("Resource".into(), resources);
        }
        let mut by_operator: Map<String, Value> = Map::new();
        for (operator, key, values) in conditions {
            by_operator.entry(operator).or_insert_with(|| json!({}))[key] = values;
        }
        if !by_operator.is_empty() {
            members.insert("Condition".into(), by_operator.into());
        }
        Value::Object(members)
    }
}

fn names_all(actions: &Value) -> bool {
    actions == "kms:*"
        || actions
            .as_array()
            .is_some_and(|list| list.contains(&json!("kms:*")))
}

#[derive(Debug, Clone)]
struct Asked {
    principal: &'static str,
    operation: Operation,
    resource: Resource<'static>,
    values: GivenValues,
}

prop_compose! {
    fn asked()(
        principal in select(&PRINCIPALS),
        operation in select(&OPERATIONS),
        resource in select(vec![
            Resource::Store,
            Resource::Alias("alias/a"),
            Resource::Alias("alias/b"),
            Resource::Key(waxseal::KeyId::from_bytes([0; 16])),
            Resource::Key(waxseal::KeyId::from_bytes(1_u128.to_be_bytes())),
        ]),
        tag in prop::option::of(select(&WORDS)),
        x in prop::option::of(select(&WORDS)),
        y in prop::option::of(select(&WORDS)),
        keys in btree_set(select(&WORDS), 0..3),
    ) -> Asked {
        let mut values = GivenValues::new();
        for (name, value) in [("x", x), ("y", y)] {
            if let Some(value) = value {
                let key = ConditionKey::EncryptionContext(name.into());
                values = values.with_text(key, value);
            }
        }
        if let Some(tag) = tag {
            values = values.with_attribute("t", tag);
        }
        for key in keys {
            values = values.with_text(ConditionKey::EncryptionContextKeys, key);
        }
        Asked { principal, operation, resource, values }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Allow,
    Deny,
    NoMatch,
}

fn policy(statements: &[Value]) -> Policy {
    let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    Policy::from_json(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn decide(statements: &[Value], asked: &Asked) -> Outcome {
    if statements.is_empty() {
        return Outcome::NoMatch;
    }
    let request = Request::new(
        asked.principal,
        asked.operation,
        asked.resource,
        &asked.values,
    );
    match policy(statements).evaluate(&request) {
        Decision::Allow { .. } => Outcome::Allow,
        Decision::Deny { .. } => Outcome::Deny,
        Decision::NoMatch { .. } => Outcome::NoMatch,
        other => panic!("{other:?}"),
    }
}

fn statements() -> impl Strategy<Value = Vec<Value>> {
    vec(statement(), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_policy_is_the_sum_of_its_statements_and_deny_wins(
        statements in statements(),
        asked in asked(),
    ) {
        let alone: Vec<Outcome> = statements
            .iter()
            .map(|one| decide(std::slice::from_ref(one), &asked))
            .collect();
        let expected = [Outcome::Deny, Outcome::Allow]
            .into_iter()
            .find(|outcome| alone.contains(outcome))
            .unwrap_or(Outcome::NoMatch);
        prop_assert_eq!(decide(&statements, &asked), expected);
    }

    #[test]
    fn less_that_allows_and_more_that_denies_never_allows(
        statements in statements(),
        added in statement(),
        removed in any::<Index>(),
        asked in asked(),
    ) {
        let before = decide(&statements, &asked);
        let mut fewer = statements.clone();
        let removed = fewer.remove(removed.index(statements.len()));
        if removed["Effect"] == "Allow" && before != Outcome::Allow {
            prop_assert_ne!(decide(&fewer, &asked), Outcome::Allow);
        }
        if added["Effect"] == "Deny" && before != Outcome::Allow {
            let mut more = statements;
            more.push(added);
            prop_assert_ne!(decide(&more, &asked), Outcome::Allow);
        }
    }

    #[test]
    fn the_order_of_statements_is_irrelevant(
        (statements, shuffled) in statements()
            .prop_flat_map(|statements| (Just(statements.clone()), Just(statements).prop_shuffle())),
        asked in asked(),
    ) {
        prop_assert_eq!(decide(&statements, &asked), decide(&shuffled, &asked));
    }

    #[test]
    fn what_is_written_reads_as_the_same(statements in statements(), asked in asked()) {
        let policy = policy(&statements);
        let written = policy.to_json();
        let again = Policy::from_json(&written).unwrap();
        prop_assert_eq!(&again, &policy);
        prop_assert_eq!(again.to_json(), written.clone());
        let nested: Policy = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(&nested, &policy);
        let request = Request::new(asked.principal, asked.operation, asked.resource, &asked.values);
        prop_assert_eq!(again.evaluate(&request), policy.evaluate(&request));
    }

    #[test]
    fn what_comes_closest_is_a_statement_that_allows(statements in statements(), asked in asked()) {
        let request = Request::new(asked.principal, asked.operation, asked.resource, &asked.values);
        let allows = |index: usize| statements[index]["Effect"] == "Allow";
        match policy(&statements).evaluate(&request) {
            Decision::NoMatch { closest: Some(closest) } => {
                prop_assert!(allows(closest.statement.index));
            }
            Decision::NoMatch { closest: None } => {
                prop_assert!((0..statements.len()).all(|index| !allows(index)));
            }
            Decision::Allow { statement } => prop_assert!(allows(statement.index)),
            Decision::Deny { statement } => prop_assert!(!allows(statement.index)),
            other => panic!("{other:?}"),
        }
    }

    /// Against a matcher that is easy to believe, and slow.
    #[test]
    fn wildcards(pattern in "[ab€*?]{0,8}", text in "[ab€]{0,8}") {
        let key = ConditionKey::EncryptionContext("x".into());
        let statement = Statement::allow()
            .everybody()
            .actions([Operation::Decrypt])
            .when(Condition::like(key.clone(), pattern.clone()));
        let policy = Policy::builder().statement(statement).build().unwrap();
        let values = GivenValues::new().with_text(key, text.clone());
        let request = Request::new("a", Operation::Decrypt, Resource::Store, &values);
        let pattern: Vec<char> = pattern.chars().collect();
        let text: Vec<char> = text.chars().collect();
        prop_assert_eq!(policy.evaluate(&request).is_allowed(), is_like(&pattern, &text));
    }
}

fn is_like(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=text.len()).any(|taken| is_like(rest, &text[taken..])),
        (['?', rest @ ..], [_, text @ ..]) => is_like(rest, text),
        ([one, rest @ ..], [other, text @ ..]) => one == other && is_like(rest, text),
        _ => false,
    }
}
