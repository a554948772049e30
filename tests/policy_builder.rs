//! Policies that are put together in code are those that are read from JSON.

use serde_json::json;
use waxseal::Timestamp;
use waxseal::kms::Operation;
use waxseal::kms::policy::{
    Comparison, Condition, ConditionKey, GivenValues, Policy, PolicyProblem, Request, Resource,
    Statement,
};

fn built(statement: Statement) -> Result<Policy, PolicyProblem> {
    let built = Policy::builder().statement(statement).build();
    built.map_err(|error| error.problem().clone())
}

#[test]
fn every_part_of_a_statement() {
    let key = |text: &str| text.parse::<ConditionKey>().unwrap();
    let policy = Policy::builder()
        .id("cards")
        .statement(
            Statement::allow()
                .sid("Admins")
                .principals(["ops:alice", "ops:bob"])
                .all_actions(),
        )
        .statement(
            Statement::allow()
                .sid("Tenants")
                .everybody()
                .actions([Operation::Decrypt, Operation::GenerateDataKey])
                .actions_like("kms:ReEncrypt*")
                .when(Condition::context_equals_attribute("tenant", "tenant"))
                .when(Condition::like(key("aws:PrincipalArn"), "svc:*"))
                .when(Condition::before(Timestamp::from_unix_millis(
                    1_767_225_600_000,
                )))
                .when(Condition::exists(key("kms:EncryptionContext:purpose")))
                .when(
                    Condition::new(
                        Comparison::StringEquals,
                        key("kms:EncryptionContextKeys"),
                        ["tenant", "purpose"],
                    )
                    .for_all_values(),
                ),
        )
        .statement(
            Statement::deny()
                .everybody_but(["ops:alice"])
                .all_actions_but([Operation::Decrypt])
                .all_resources_but(["alias/open/*"])
                .when(Condition::not_equals(key("aws:PrincipalTag/role"), "root").if_exists()),
        )
        .statement(
            Statement::deny()
                .principal("svc:batch")
                .actions([Operation::PutKeyPolicy])
                .resources(["key/*", "alias/*"])
                .when(Condition::is(
                    key("kms:BypassPolicyLockoutSafetyCheck"),
                    true,
                ))
                .when(Condition::is_missing(key("aws:PrincipalTag/role"))),
        )
        .statement(
            Statement::deny()
                .everybody()
                .actions([Operation::TagResource])
                .when(Condition::equals(key("aws:TagKeys"), "secret").for_any_value()),
        )
        .build()
        .unwrap();
    let read = json!({
        "Version": "2012-10-17",
        "Id": "cards",
        "Statement": [
            {
                "Sid": "Admins",
                "Effect": "Allow",
                "Principal": ["ops:alice", "ops:bob"],
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Sid": "Tenants",
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncrypt*"],
                "Resource": "*",
                "Condition": {
                    "Null": {"kms:EncryptionContext:purpose": false},
                    "DateLessThan": {"aws:CurrentTime": "2026-01-01"},
                    "StringLike": {"aws:PrincipalArn": "svc:*"},
                    "StringEquals": {"kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant}"},
                    "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["tenant", "purpose"]},
                },
            },
            {
                "Effect": "Deny",
                "NotPrincipal": {"AWS": "ops:alice"},
                "NotAction": "kms:Decrypt",
                "NotResource": "alias/open/*",
                "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalTag/role": "root"}},
            },
            {
                "Effect": "Deny",
                "Principal": {"AWS": ["svc:batch"]},
                "Action": "kms:PutKeyPolicy",
                "Resource": ["key/*", "alias/*"],
                "Condition": {
                    "Null": {"aws:PrincipalTag/role": "true"},
                    "Bool": {"kms:BypassPolicyLockoutSafetyCheck": "true"},
                },
            },
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "kms:TagResource",
                "Resource": "*",
                "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": ["secret"]}},
            },
        ],
    });
    let read: Policy = read.to_string().parse().unwrap();
    assert_eq!(policy.to_json(), read.to_json());
    assert_eq!(policy, read);
    assert_eq!(policy.to_string(), policy.to_json());
    assert_eq!((policy.id(), policy.statements()), (Some("cards"), 5));
}

#[test]
fn one_form_is_written() {
    let policy = Policy::builder()
        .statement(
            Statement::allow()
                .principal("svc:a")
                .actions([Operation::EnableKeyRotation])
                .when(Condition::new(
                    Comparison::NumericLessThan,
                    ConditionKey::RotationPeriodInDays,
                    ["0100", "7.50"],
                )),
        )
        .build()
        .unwrap();
    assert_eq!(
        policy.to_json(),
        concat!(
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","#,
            r#""Principal":{"AWS":"svc:a"},"Action":"kms:EnableKeyRotation","Resource":"*","#,
            r#""Condition":{"NumericLessThan":{"kms:RotationPeriodInDays":["100","7.5"]}}}]}"#,
        )
    );
}

#[test]
fn what_is_missing_or_wrong_is_refused() {
    let allow = || Statement::allow().principal("a").all_actions();
    let missing = |member| PolicyProblem::Missing { member };
    let nobody = Statement::allow().all_actions();
    assert_eq!(built(nobody).unwrap_err(), missing("Principal"));
    let nothing = Statement::allow().everybody();
    assert_eq!(built(nothing).unwrap_err(), missing("Action"));
    let without_resource = allow().all_resources_but([""; 0]);
    assert_eq!(built(without_resource).unwrap_err(), missing("NotResource"));
    let no_resources = allow().resources([""; 0]);
    assert_eq!(built(no_resources).unwrap_err(), missing("Resource"));
    for both in [
        Statement::deny()
            .everybody_but(["a"])
            .principal("b")
            .all_actions(),
        Statement::deny()
            .everybody()
            .all_actions()
            .all_actions_but([Operation::Sign]),
        allow().all_resources_but(["key/*"]).resources(["alias/*"]),
    ] {
        assert!(matches!(
            built(both).unwrap_err(),
            PolicyProblem::Both { .. }
        ));
    }
    for name in ["*", "svc:*", "a?"] {
        let wildcard = Statement::allow().principal(name).all_actions();
        assert_eq!(
            built(wildcard).unwrap_err(),
            PolicyProblem::PrincipalWildcard
        );
    }
    for name in ["", "*", "ten*", "${aws:PrincipalArn}"] {
        let key = ConditionKey::EncryptionContext(name.into());
        let refused = built(allow().when(Condition::equals(key, "x"))).unwrap_err();
        assert!(matches!(refused, PolicyProblem::UnknownKey { .. }));
    }
    let without_value = Condition::new(Comparison::StringEquals, ConditionKey::KeySpec, [""; 0]);
    assert_eq!(
        built(allow().when(without_value)).unwrap_err(),
        PolicyProblem::Empty
    );
    let twice = allow()
        .when(Condition::equals(ConditionKey::RequestAlias, "alias/a"))
        .when(Condition::equals(ConditionKey::RequestAlias, "alias/b"));
    assert!(matches!(
        built(twice).unwrap_err(),
        PolicyProblem::SameCondition { .. }
    ));
    let null = Condition::exists(ConditionKey::RequestAlias).if_exists();
    assert!(matches!(
        built(allow().when(null)).unwrap_err(),
        PolicyProblem::UnknownOperator { .. }
    ));
    assert!(matches!(
        built(Statement::allow().everybody_but(["a"]).all_actions()).unwrap_err(),
        PolicyProblem::AllowNotPrincipal
    ));
    let place = Policy::builder().build().unwrap_err().place().to_owned();
    assert_eq!(place, "Statement");
}

#[test]
fn a_policy_for_one_principal() {
    let policy = Policy::all_to("ops:alice").unwrap();
    for &operation in Operation::ALL {
        for (principal, allowed) in [("ops:alice", true), ("ops:bob", false), ("", false)] {
            let request = Request::new(principal, operation, Resource::Store, &());
            assert_eq!(policy.evaluate(&request).is_allowed(), allowed);
        }
    }
    for name in ["*", "a*", "a?", ""] {
        assert!(Policy::all_to(name).is_err(), "{name} cannot be named");
    }
}

#[test]
fn who_would_lock_themselves_out() {
    let policy = Policy::from_json(
        &json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow", "Principal": "ops:alice",
                    "Action": "kms:*", "Resource": "*",
                },
                {
                    "Effect": "Allow", "Principal": "ops:bob",
                    "Action": "kms:PutKeyPolicy", "Resource": "*",
                    "Condition": {"StringEquals": {"aws:PrincipalTag/shift": "on"}},
                },
                {
                    "Effect": "Deny", "Principal": "*",
                    "Action": "kms:PutKeyPolicy", "Resource": "*",
                    "Condition": {"StringEquals": {"aws:PrincipalTag/shift": "suspended"}},
                },
            ],
        })
        .to_string(),
    )
    .unwrap();
    for (principal, shift, can) in [
        ("ops:alice", "off", true),
        ("ops:alice", "suspended", false),
        ("ops:bob", "on", true),
        ("ops:bob", "off", false),
        ("svc:billing", "on", false),
    ] {
        let values = GivenValues::new().with_attribute("shift", shift);
        let operation = Operation::PutKeyPolicy;
        let request = Request::new(principal, operation, Resource::Store, &values);
        assert_eq!(
            policy.can_be_changed_by(&request),
            can,
            "{principal} {shift}"
        );
    }
}

#[test]
fn names_of_keys_and_operators() {
    for text in [
        "kms:EncryptionContext:a b",
        "kms:EncryptionContextKeys",
        "aws:ResourceTag/Team",
        "aws:RequestTag/x/y",
        "kms:ScheduleKeyDeletionPendingWindowInDays",
    ] {
        let key: ConditionKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        let other: ConditionKey = text.replace("kms:", "KMS:").parse().unwrap();
        assert_eq!(other, key);
    }
    let key: ConditionKey = "aws:PRINCIPALTAG/Team".parse().unwrap();
    assert_eq!(key, ConditionKey::PrincipalTag("Team".into()));
    assert!(ConditionKey::TagKeys.is_given_for(Operation::TagResource));
    assert!(!ConditionKey::TagKeys.is_given_for(Operation::Decrypt));
    for &comparison in Comparison::ALL {
        assert_eq!(comparison.name().parse(), Ok(comparison));
    }
    for text in [
        "ForAllValues:StringLikeIfExists",
        "ForAnyValue:StringNotEquals",
        "Null",
    ] {
        let operator: waxseal::kms::policy::Operator = text.parse().unwrap();
        assert_eq!(operator.to_string(), text);
    }
}

/// What is written about a policy stays on its line.
#[test]
fn names_with_line_breaks() {
    let key = ConditionKey::EncryptionContext("a\nb".into());
    let policy = Policy::builder()
        .statement(
            Statement::allow()
                .sid("one\ntwo")
                .everybody()
                .all_actions()
                .when(Condition::equals(key, "x")),
        )
        .build()
        .unwrap();
    let request = Request::new("a", Operation::Decrypt, Resource::Store, &());
    assert_eq!(
        policy.evaluate(&request).to_string(),
        "no statement allows it; Statement[0] (one\\ntwo) comes closest, but its condition \
         StringEquals on kms:EncryptionContext:a\\nb does not hold"
    );
    let long = "\n".repeat(20_000);
    let text = json!({"Version": "2012-10-17", "Statement": {long: 1}}).to_string();
    let shown = Policy::from_json(&text).unwrap_err().to_string();
    assert!(shown.len() < 500 && !shown.contains('\n'), "{shown}");
}
