//! What is wrong with a policy.

use std::fmt;

use super::key::{ConditionKey, ValueKind};
use super::operator::Operator;
use super::{MAX_LEN, VERSION};
use crate::names::UnknownName;

/// Why a policy is not accepted, and where in it: `Statement[2].Condition.StringEquals`, counted
/// from 0.
///
/// Names members, operators, keys, actions and principals, and never a value that a condition
/// compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    pub(super) place: String,
    pub(super) problem: PolicyProblem,
}

impl PolicyError {
    /// The place in the policy; empty when it is about all of it.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &PolicyProblem {
        &self.problem
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            write!(f, "the policy is not accepted: {}", self.problem)
        } else {
            let place = &self.place;
            write!(
                f,
                "the policy is not accepted: at {place}: {}",
                self.problem
            )
        }
    }
}

impl std::error::Error for PolicyError {}

/// What is wrong with a part of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// The policy is too long.
    #[error("it has {len} bytes and may have {MAX_LEN}; say the same with fewer statements")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// The text is not JSON.
    #[error("it is not JSON: {reason}")]
    Syntax {
        /// What the reader expected, and where.
        reason: String,
    },
    /// There is no such member.
    #[error("{} is no member that is known here; the members are {}", quoted(.member), .known.join(", "))]
    UnknownMember {
        /// The name given.
        member: String,
        /// The names that there are.
        known: &'static [&'static str],
    },
    /// A member is there twice.
    #[error("{} is there twice; keep one", quoted(.member))]
    DuplicateMember {
        /// Its name.
        member: String,
    },
    /// A member is not there.
    #[error("{member} is missing; add it")]
    Missing {
        /// What is missing.
        member: &'static str,
    },
    /// Two members exclude each other.
    #[error("{first} and {second} are both there; keep one of them")]
    Both {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// It is of another type.
    #[error("it must be {expected}")]
    Type {
        /// What it must be.
        expected: &'static str,
    },
    /// Something is empty.
    #[error("it is empty; leave it out, or put something into it")]
    Empty,
    /// The version is not the one that is supported.
    #[error(
        "the version must be {VERSION}; an older one takes variables for plain text, so a policy that was written for it may mean something else"
    )]
    Version,
    /// Two statements have one id.
    #[error("another statement has the same Sid; give each its own")]
    SameSid,
    /// The effect is neither of the two.
    #[error("the effect must be Allow or Deny")]
    Effect,
    /// A wildcard stands in the name of a principal.
    #[error(
        "a principal is named in full, and * stands only alone, for everybody; for some of them write * and a StringLike condition on {}",
        ConditionKey::PrincipalArn
    )]
    PrincipalWildcard,
    /// A kind of principal that there is not.
    #[error("{} is no kind of principal here; write the names alone, or under AWS", quoted(.kind))]
    PrincipalKind {
        /// The kind given.
        kind: String,
    },
    /// `NotPrincipal` is for `Deny` only.
    #[error(
        "with Allow, NotPrincipal would let in everybody who is not named; name those who may in Principal"
    )]
    AllowNotPrincipal,
    /// An action is not in its form.
    #[error("an action is written kms:Decrypt or kms:Generate*, or * for all")]
    ActionForm,
    /// No operation has that name.
    #[error("{} names no operation{}", quoted(.action), or_near(.near))]
    UnknownAction {
        /// The action given.
        action: String,
        /// Names that are like it.
        near: Vec<&'static str>,
    },
    /// `NotAction` leaves no operation.
    #[error("no operation is left, so the statement is about nothing; name fewer actions")]
    NoAction,
    /// A resource is not in its form.
    #[error(
        "a resource is written * for all, key/ and the key's id, or alias/ and the rest of its name; wildcards may follow key/ and alias/"
    )]
    ResourceForm,
    /// There is no such operator.
    #[error("{} is no condition operator; {advice}", quoted(.operator))]
    UnknownOperator {
        /// The operator given.
        operator: String,
        /// What to write.
        advice: String,
    },
    /// There is no such condition key.
    #[error("{} is no condition key{}", quoted(.key), or_near(.near))]
    UnknownKey {
        /// The key given.
        key: String,
        /// Keys that are like it.
        near: Vec<&'static str>,
    },
    /// The operator does not compare what the key has.
    #[error("{operator} does not compare {}; use {}", quoted(&.key.to_string()), operators_of(.key.kind()))]
    OperatorType {
        /// The operator.
        operator: Operator,
        /// The key.
        key: ConditionKey,
    },
    /// The key may have several values.
    #[error(
        "a request may have several values of {}; put ForAnyValue: or ForAllValues: before {operator}",
        quoted(&.key.to_string())
    )]
    NeedsQuantifier {
        /// The operator.
        operator: Operator,
        /// The key.
        key: ConditionKey,
    },
    /// The key has one value.
    #[error(
        "a request has at most one value of {}; write {} alone: ForAllValues: would let in requests without a value",
        quoted(&.key.to_string()),
        .operator.comparison()
    )]
    SingleValued {
        /// The operator.
        operator: Operator,
        /// The key.
        key: ConditionKey,
    },
    /// The same operator asks about the same key twice.
    #[error("{operator} asks twice about {}; put the values into one list", quoted(&.key.to_string()))]
    SameCondition {
        /// The operator.
        operator: Operator,
        /// The key.
        key: ConditionKey,
    },
    /// None of the operations has the condition key.
    #[error(
        "no request for one of the statement's actions has {}, so the condition would always come out the same; name the actions that have it, or leave it out",
        quoted(&.key.to_string())
    )]
    NeverGiven {
        /// The key.
        key: ConditionKey,
    },
    /// The value to compare with is not of its form.
    #[error("the value must be {expected}")]
    Value {
        /// The form.
        expected: &'static str,
    },
    /// The value to compare with is one that the key never has.
    #[error("{} never has that value: {source}", quoted(&.key.to_string()))]
    NeverEqual {
        /// The key.
        key: ConditionKey,
        /// Which values it has.
        source: UnknownName,
    },
    /// A variable is not understood.
    #[error(
        "{reason}; the variables are ${{aws:PrincipalTag/name}} and ${{aws:PrincipalArn}}, and ${{*}}, ${{?}} and ${{$}} stand for these characters"
    )]
    Variable {
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl PolicyProblem {
    pub(super) fn at(self, place: impl fmt::Display) -> PolicyError {
        PolicyError {
            place: place.to_string(),
            problem: self,
        }
    }
}

/// What somebody wrote, in quotation marks, and not at any length.
fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

fn or_near(near: &[&str]) -> String {
    if near.is_empty() {
        String::new()
    } else {
        format!("; near it are {}", near.join(", "))
    }
}

fn operators_of(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Text => "a String operator or Null",
        ValueKind::Number => "a Numeric operator or Null",
        ValueKind::Date => "a Date operator or Null",
        ValueKind::Epoch => "a Date operator, a Numeric operator or Null",
        ValueKind::Bool => "Bool or Null",
    }
}
