//! Who may do what: policies, and what they answer.

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
        // `*` would be everybody, and here it is a name.
        if principal.contains('*') {
            return Err(PolicyProblem::PrincipalWildcard.at(Place::TOP));
        }
        Self::new(Draft::all_to(principal))
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
