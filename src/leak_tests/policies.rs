use super::*;
use crate::kms::Operation;
use crate::kms::policy::{
    Comparison, Condition, ConditionKey, GivenValues, Operator, PolicyError, PolicyProblem,
    Request, Resource, Statement, Value,
};

fn tenant() -> ConditionKey {
    ConditionKey::EncryptionContext("tenant".into())
}

/// One of each. A new variant does not compile until it is listed here.
#[test]
fn every_problem_of_a_policy() {
    let operator = Operator::from(Comparison::StringEquals);
    let name = || "tenant".to_owned();
    let problems = [
        PolicyProblem::TooLong { len: 40_000 },
        PolicyProblem::Syntax { reason: name() },
        PolicyProblem::UnknownMember {
            member: name(),
            known: &["Sid"],
        },
        PolicyProblem::DuplicateMember { member: name() },
        PolicyProblem::Missing { member: "Effect" },
        PolicyProblem::Both {
            first: "Action",
            second: "NotAction",
        },
        PolicyProblem::Type { expected: "a text" },
        PolicyProblem::Empty,
        PolicyProblem::Version,
        PolicyProblem::SameSid,
        PolicyProblem::Effect,
        PolicyProblem::PrincipalWildcard,
        PolicyProblem::PrincipalKind { kind: name() },
        PolicyProblem::AllowNotPrincipal,
        PolicyProblem::ActionForm,
        PolicyProblem::UnknownAction {
            action: name(),
            near: vec!["Decrypt"],
        },
        PolicyProblem::NoAction,
        PolicyProblem::ResourceForm,
        PolicyProblem::UnknownOperator {
            operator: name(),
            advice: name(),
        },
        PolicyProblem::UnknownKey {
            key: name(),
            near: vec!["kms:KeySpec"],
        },
        PolicyProblem::OperatorType {
            operator,
            key: tenant(),
        },
        PolicyProblem::NeedsQuantifier {
            operator,
            key: tenant(),
        },
        PolicyProblem::SingleValued {
            operator,
            key: tenant(),
        },
        PolicyProblem::SameCondition {
            operator,
            key: tenant(),
        },
        PolicyProblem::NeverGiven { key: tenant() },
        PolicyProblem::Value {
            expected: "true or false",
        },
        PolicyProblem::NeverEqual {
            key: tenant(),
            source: SECRET_WORD.parse::<KeySpec>().unwrap_err(),
        },
        PolicyProblem::Variable { reason: "no }" },
    ];
    for problem in problems {
        assert_listed(&problem);
        assert_error_clean(&problem);
    }
}

fn assert_listed(problem: &PolicyProblem) {
    match problem {
        PolicyProblem::TooLong { .. }
        | PolicyProblem::Syntax { .. }
        | PolicyProblem::UnknownMember { .. }
        | PolicyProblem::DuplicateMember { .. }
        | PolicyProblem::Missing { .. }
        | PolicyProblem::Both { .. }
        | PolicyProblem::Type { .. }
        | PolicyProblem::Empty
        | PolicyProblem::Version
        | PolicyProblem::SameSid
        | PolicyProblem::Effect
        | PolicyProblem::PrincipalWildcard
        | PolicyProblem::PrincipalKind { .. }
        | PolicyProblem::AllowNotPrincipal
        | PolicyProblem::ActionForm
        | PolicyProblem::UnknownAction { .. }
        | PolicyProblem::NoAction
        | PolicyProblem::ResourceForm
        | PolicyProblem::UnknownOperator { .. }
        | PolicyProblem::UnknownKey { .. }
        | PolicyProblem::OperatorType { .. }
        | PolicyProblem::NeedsQuantifier { .. }
        | PolicyProblem::SingleValued { .. }
        | PolicyProblem::SameCondition { .. }
        | PolicyProblem::NeverGiven { .. }
        | PolicyProblem::Value { .. }
        | PolicyProblem::NeverEqual { .. }
        | PolicyProblem::Variable { .. } => {}
    }
}

/// The values that a condition compares with are in no error, whichever is wrong with them.
#[test]
fn values_of_refused_policies() {
    let policy = |operator: &str, key: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": "*",
            "Action": "kms:*", "Resource": "*",
            "Condition": {{"{operator}": {{"{key}": ["{SECRET_WORD}", 1]}}}}}}}}"#
        )
    };
    for (operator, key) in [
        ("StringEquals", "kms:KeySpec"),
        ("StringEquals", "kms:EncryptionContext:tenant"),
        ("NumericEquals", "kms:RotationPeriodInDays"),
        ("DateLessThan", "aws:CurrentTime"),
        ("Bool", "kms:ReEncryptOnSameKey"),
        ("Null", "kms:ReEncryptOnSameKey"),
        ("NumericEquals", "kms:KeySpec"),
    ] {
        let text = policy(operator, key);
        for text in [&text, &text.replace(", 1", "")] {
            if let Err(error) = Policy::from_json(text) {
                assert_error_clean(&error);
            } else {
                assert_eq!(key, "kms:EncryptionContext:tenant");
            }
        }
    }
    let text = policy("StringEquals", "kms:EncryptionContext:tenant");
    for end in 0..text.len() {
        let error: PolicyError = Policy::from_json(&text[..end]).unwrap_err();
        assert_error_clean(&error);
    }
}

#[test]
fn policies_requests_and_decisions() {
    let condition = Condition::equals(tenant(), SECRET_WORD);
    assert_debug_clean(&condition);
    let statement = Statement::allow()
        .principal("svc:billing")
        .actions([Operation::Decrypt])
        .when(condition);
    assert_debug_clean(&statement);
    let builder = Policy::builder().statement(statement);
    assert_debug_clean(&builder);
    let policy = builder.build().unwrap();
    assert_debug_clean(&policy);

    let values = GivenValues::new()
        .with_attribute("tenant", SECRET_WORD)
        .with_text(tenant(), SECRET_WORD.repeat(2));
    assert_debug_clean(&values);
    assert_debug_clean(&Value::Text(SECRET_WORD));
    let operation = Operation::Decrypt;
    let request = Request::new("svc:billing", operation, Resource::Store, &values);
    assert_debug_clean(&request);
    let decision = policy.evaluate(&request);
    assert!(!decision.is_allowed());
    assert_debug_clean(&decision);
    assert_clean(&decision.to_string());
}
