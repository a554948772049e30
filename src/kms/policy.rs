//! Who may do what: policies, and what they answer.
//!
//! A policy is a list of statements. Each allows or denies some principals some actions, with some
//! resources, under some conditions. It is written in the grammar of AWS's key policies, or put
//! together in code with [`Policy::builder`].
//!
//! ```json
//! {
//!   "Version": "2012-10-17",
//!   "Statement": [
//!     {
//!       "Sid": "Owner",
//!       "Effect": "Allow",
//!       "Principal": {"AWS": "ops:alice"},
//!       "Action": "kms:*",
//!       "Resource": "*"
//!     },
//!     {
//!       "Sid": "OwnTenant",
//!       "Effect": "Allow",
//!       "Principal": {"AWS": ["svc:billing", "svc:reports"]},
//!       "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
//!       "Resource": "*",
//!       "Condition": {
//!         "StringEquals": {"kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant}"}
//!       }
//!     },
//!     {
//!       "Sid": "NoHastyDeletion",
//!       "Effect": "Deny",
//!       "Principal": "*",
//!       "Action": "kms:ScheduleKeyDeletion",
//!       "Resource": "*",
//!       "Condition": {
//!         "NumericLessThan": {"kms:ScheduleKeyDeletionPendingWindowInDays": "30"}
//!       }
//!     }
//!   ]
//! }
//! ```
//!
//! # How a request is decided
//!
//! A statement matches a request when its principals, its actions, its resources and all of its
//! conditions do. If one that denies matches, the request is denied. Otherwise, if one that allows
//! matches, it is allowed. Otherwise it is not. The order of statements does not matter.
//!
//! # Statements
//!
//! | member | |
//! | --- | --- |
//! | `Sid` | a name for those who read it, given once in a policy |
//! | `Effect` | `Allow` or `Deny` |
//! | `Principal` | `"*"` for everybody; a name, or a list of names, alone or as `{"AWS": ...}`. Names are compared whole |
//! | `NotPrincipal` | everybody but these; with `Deny` only |
//! | `Action` | `"kms:Decrypt"`, or a list: the names of [`Operation`](super::Operation) in any case, with the wildcards `*` and `?` |
//! | `NotAction` | all actions but these |
//! | `Resource` | `"*"`: in the policy of a key, that key. In the policy of a store also `key/` and an id, or `alias/...`, with wildcards, or a list |
//! | `NotResource` | all resources but these |
//! | `Condition` | `{operator: {key: value}}`, left out if there are none |
//!
//! One of each pair must be there. A policy has besides `"Version": "2012-10-17"`, an `Id` if you
//! like, and `Statement`: one, or a list. It may have 32 KiB.
//!
//! # Conditions
//!
//! All operators, and all keys under an operator, must hold. Where a key has a list of values, one
//! of them must compare so, or for a `Not` none of them.
//!
//! | operators | compare | with |
//! | --- | --- | --- |
//! | `StringEquals`, `StringNotEquals` | text, letter by letter | text, with variables |
//! | `StringEqualsIgnoreCase`, `StringNotEqualsIgnoreCase` | text in any case | text, with variables |
//! | `StringLike`, `StringNotLike` | text | a form: `*` is any text, `?` any one character; with variables |
//! | `NumericEquals`, `NumericNotEquals`, `NumericLessThan`, `NumericLessThanEquals`, `NumericGreaterThan`, `NumericGreaterThanEquals` | a number | a number, `"7"` or `7` |
//! | `DateEquals`, `DateNotEquals`, `DateLessThan`, `DateLessThanEquals`, `DateGreaterThan`, `DateGreaterThanEquals` | a moment | `2026-12-31`, `2026-12-31T23:59:59Z`, the same with an offset, or seconds since 1970 |
//! | `Bool` | true or false | `"true"` or `true` |
//! | `Null` | whether there is a value | `true`: there must be none; `false`: there must be one |
//!
//! When the request has no value of the key, a `Not` holds and any other does not. With `IfExists`
//! at its end an operator holds then.
//!
//! Some keys have several values. They need one of
//!
//! - `ForAllValues:` before the operator: each value of the request compares so. **Holds without a
//!   value**; add `Null` with `false` where there must be one.
//! - `ForAnyValue:` before it: at least one does. Does not hold without a value.
//!
//! | condition key | values | of requests for |
//! | --- | --- | --- |
//! | `kms:EncryptionContext:name` | text | what has an encryption context; `CreateGrant`: the constraint's |
//! | `kms:EncryptionContextKeys` | several texts | the same |
//! | `kms:KeySpec`, `kms:KeyUsage`, `kms:KeyOrigin` | names, as [`KeyMetadata`](super::KeyMetadata) has them | what is done with a key; `CreateKey` |
//! | `kms:RequestAlias` | the alias by which the request names the key | what is done with a key |
//! | `kms:ResourceAliases` | several: the key's | what is done with a key |
//! | `aws:ResourceTag/name` | text, of the key's tag | what is done with a key |
//! | `aws:RequestTag/name` | text, of the tag that is put | `TagResource`, `CreateKey` |
//! | `aws:TagKeys` | several texts | `TagResource`, `UntagResource`, `CreateKey` |
//! | `kms:GranteePrincipal`, `kms:RetiringPrincipal` | text | `CreateGrant` |
//! | `kms:GrantOperations` | several names, without `kms:` | `CreateGrant` |
//! | `kms:GrantConstraintType` | `EncryptionContextEquals`, `EncryptionContextSubset` | `CreateGrant` |
//! | `kms:ScheduleKeyDeletionPendingWindowInDays` | a number | `ScheduleKeyDeletion` |
//! | `kms:RotationPeriodInDays` | a number | `EnableKeyRotation`, `CreateKey` |
//! | `kms:SigningAlgorithm` | a name | `Sign`, `Verify` |
//! | `kms:MessageType` | `RAW`, `DIGEST` | `Sign`, `Verify` |
//! | `kms:MacAlgorithm` | a name | `GenerateMac`, `VerifyMac` |
//! | `kms:WrappingAlgorithm` | a name | `GetParametersForImport` |
//! | `kms:ExpirationModel` | `KEY_MATERIAL_EXPIRES`, `KEY_MATERIAL_DOES_NOT_EXPIRE` | `ImportKeyMaterial` |
//! | `kms:ValidTo` | a moment | `ImportKeyMaterial` |
//! | `kms:BypassPolicyLockoutSafetyCheck` | true or false | `PutKeyPolicy`, `PutStorePolicy`, `CreateKey` |
//! | `kms:ReEncryptOnSameKey` | true or false | `ReEncryptFrom`, `ReEncryptTo` |
//! | `aws:PrincipalArn` | text: the principal | everything |
//! | `aws:PrincipalTag/name` | text: an attribute of the principal | everything |
//! | `aws:CurrentTime` | a moment | everything |
//! | `aws:EpochTime` | a moment, or a number of seconds | everything |
//!
//! Names of keys are read in any case, except for the `name` at their end.
//!
//! # Variables
//!
//! In the text of a condition, and in a resource, `${aws:PrincipalTag/name}` is an attribute of who
//! acts and `${aws:PrincipalArn}` is who acts; `${*}`, `${?}` and `${$}` are these characters. What
//! a variable stands for is text: a `*` in it is no wildcard. With an attribute that who acts does
//! not have, a value compares with nothing.
//!
//! # Where this differs from AWS
//!
//! AWS's documents can be taken over, but for what is about AWS. Nothing is ignored: what is not
//! listed above is refused, with its place.
//!
//! - **Principals are names** that the application chose. That of an account does not stand for
//!   those who belong to it, and `Service` or `Federated` do not exist.
//! - **Keys of the context and of tags are compared letter by letter**, as encryption contexts are.
//!   AWS's do not look at their case, so that two of them could be one.
//! - **A statement that allows does not match when a `Not` compares with an attribute that is not
//!   there.** AWS says only that such a statement may be invalid.
//! - **Mistakes that AWS accepts are refused**: an operator that does not compare what the key has
//!   (AWS converts); a key of several values without `ForAllValues:` or `ForAnyValue:`, and one of
//!   a single value with them (AWS advises against both); a value that the key never has; a
//!   condition that no request for the actions named has a value for; an action that names no
//!   operation; `NotPrincipal` with `Allow`; empty lists and objects.
//! - **Not here**: `Version` 2008-10-17; the operators for ARNs, addresses and binary values;
//!   `ForAnyValue:` with `IfExists`; variables of other names, and with default values.
//! - **More than there**: operations that AWS does not have, such as `kms:BackUp` and
//!   `kms:RekeyRoot`, which `kms:*` includes.

mod action;
mod check;
mod decision;
mod error;
mod json;
mod key;
mod near;
mod operator;
mod place;
mod read;
mod request;
mod rule;
mod statement;
mod template;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};

pub use self::decision::{Closest, Decision, Mismatch, StatementName};
pub use self::error::{PolicyError, PolicyProblem};
use self::json::Json;
pub use self::key::{ConditionKey, ValueKind};
pub use self::operator::{Comparison, Operator, Quantifier};
use self::place::Place;
pub use self::request::{ConditionValues, GivenValues, Request, Resource, Value};
use self::rule::Rule;
pub use self::statement::{Condition, Effect, Statement};

/// The only version of the grammar that is read.
const VERSION: &str = "2012-10-17";
/// The longest policy, in bytes of JSON.
const MAX_LEN: usize = 32 * 1024;

/// Who may do what, in the grammar of AWS: read once, then asked as often as you like, without
/// allocating.
///
/// ```
/// use waxseal::kms::Operation;
/// use waxseal::kms::policy::{Condition, Policy, Statement};
///
/// let policy = Policy::builder()
///     .statement(Statement::allow().sid("Owner").principal("ops:alice").all_actions())
///     .statement(
///         Statement::allow()
///             .sid("OwnTenant")
///             .principal("svc:billing")
///             .actions([Operation::GenerateDataKey, Operation::Decrypt])
///             .when(Condition::context_equals_attribute("tenant", "tenant")),
///     )
///     .build()?;
/// assert_eq!(Policy::from_json(&policy.to_json())?, policy);
/// # Ok::<(), waxseal::kms::policy::PolicyError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Policy {
    id: Option<Box<str>>,
    rules: Box<[Rule]>,
}

/// A policy that was not looked at yet.
struct Draft {
    id: Option<String>,
    statements: Vec<Statement>,
}

impl Policy {
    /// The longest policy, in bytes of JSON.
    pub const MAX_LEN: usize = MAX_LEN;

    /// Reads a policy.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], with the place, for everything that is not understood: nothing is ignored.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_LEN {
            return Err(PolicyProblem::TooLong { len: text.len() }.at(Place::TOP));
        }
        let json: Json = serde_json::from_str(text).map_err(|error| {
            let reason = error.to_string();
            PolicyProblem::Syntax { reason }.at(Place::TOP)
        })?;
        Self::new(read::read(json)?)
    }

    /// The policy as JSON, in one form: texts that stand alone are not in lists, principals are
    /// under `AWS`, conditions are sorted.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Writing into memory does not fail, and no map has keys that are not texts.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Begins to put a policy together in code.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// The policy of a key or a store that nobody has written one for: one principal may do
    /// everything, and nobody else anything.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] for a principal that a policy cannot name: one that is empty or has `*` or
    /// `?` in its name.
    pub fn all_to(principal: &str) -> Result<Self, PolicyError> {
        let statement = Statement::allow().principal(principal).all_actions();
        Self::builder().statement(statement).build()
    }

    fn new(draft: Draft) -> Result<Self, PolicyError> {
        let place = Place::TOP.member("Statement");
        if draft.statements.is_empty() {
            return Err(PolicyProblem::Empty.at(place));
        }
        let mut rules: Vec<Rule> = Vec::new();
        for (index, statement) in draft.statements.iter().enumerate() {
            let place = place.item(index);
            let rule = Rule::read(statement, &place)?;
            if rule.sid.is_some() && rules.iter().any(|other| other.sid == rule.sid) {
                return Err(PolicyProblem::SameSid.at(place.member("Sid")));
            }
            rules.push(rule);
        }
        let policy = Self {
            id: draft.id.map(String::into_boxed_str),
            rules: rules.into_boxed_slice(),
        };
        // So that what is written can be read again.
        let len = policy.to_json().len();
        if len > MAX_LEN {
            return Err(PolicyProblem::TooLong { len }.at(Place::TOP));
        }
        Ok(policy)
    }

    /// Its `Id`, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The number of its statements.
    #[must_use]
    pub fn statements(&self) -> usize {
        self.rules.len()
    }

    /// What it says to a request. Allocates nothing.
    #[must_use]
    pub fn evaluate(&self, request: &Request<'_>) -> Decision {
        let mut allowing = None;
        for (index, rule) in self.rules.iter().enumerate() {
            let denies = rule.effect == Effect::Deny;
            if (denies || allowing.is_none()) && rule.matches(request) {
                let statement = name(index, rule);
                if denies {
                    return Decision::Deny { statement };
                }
                allowing = Some(statement);
            }
        }
        match allowing {
            Some(statement) => Decision::Allow { statement },
            None => Decision::NoMatch {
                closest: self.closest(request),
            },
        }
    }

    /// Whether the request is allowed: asked with `PutKeyPolicy` or `PutStorePolicy` and the values
    /// of who puts the policy, whether they could put another after it. A policy that locks its
    /// author out is refused where it is put, unless that is forced.
    #[must_use]
    pub fn can_be_changed_by(&self, request: &Request<'_>) -> bool {
        self.evaluate(request).is_allowed()
    }

    fn closest(&self, request: &Request<'_>) -> Option<Closest> {
        self.rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.effect == Effect::Allow)
            .filter_map(|(index, rule)| Some((index, rule, rule.mismatch(request)?)))
            .min_by_key(|(_, _, (distance, _))| *distance)
            .map(|(index, rule, (_, mismatch))| Closest {
                statement: name(index, rule),
                mismatch,
            })
    }
}

fn name(index: usize, rule: &Rule) -> StatementName {
    StatementName {
        index,
        sid: rule.sid.clone(),
    }
}

/// Shows how long it is, and not what it says.
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("id", &self.id)
            .field("statements", &self.rules.len())
            .finish()
    }
}

/// As JSON.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::from_json(text)
    }
}

/// As [`Policy::from_json`], inside of other JSON.
impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::read(Json::deserialize(deserializer)?)
            .and_then(Self::new)
            .map_err(D::Error::custom)
    }
}

/// Puts a [`Policy`] together.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PolicyBuilder {
    id: Option<String>,
    statements: Vec<Statement>,
}

impl PolicyBuilder {
    /// Gives it an id, for those who read it.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds a statement.
    pub fn statement(mut self, statement: Statement) -> Self {
        self.statements.push(statement);
        self
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], with the place, as when it is read from JSON.
    pub fn build(self) -> Result<Policy, PolicyError> {
        Policy::new(Draft {
            id: self.id,
            statements: self.statements,
        })
    }
}
