//! What a policy answers.

use std::fmt;
use std::sync::Arc;

use super::key::ConditionKey;
use super::operator::Operator;
use super::place::write_name;

/// What a policy says to a request. Without a matching statement nothing is allowed, and a
/// statement that denies wins over all that allow; the order of statements does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// A statement allows it, and none denies it.
    Allow {
        /// The first that does.
        statement: StatementName,
    },
    /// A statement denies it.
    Deny {
        /// The first that does.
        statement: StatementName,
    },
    /// No statement is about it.
    NoMatch {
        /// The statement that would have allowed it but for the least, if any allows anything.
        closest: Option<Closest>,
    },
}

impl Decision {
    /// Whether it may be done.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow { statement } => write!(f, "{statement} allows it"),
            Self::Deny { statement } => write!(f, "{statement} denies it"),
            Self::NoMatch { closest: None } => f.write_str("no statement allows anything"),
            Self::NoMatch {
                closest: Some(closest),
            } => write!(
                f,
                "no statement allows it; {} comes closest, but {}",
                closest.statement, closest.mismatch
            ),
        }
    }
}

/// Which statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatementName {
    /// Its place, counted from 0.
    pub index: usize,
    /// Its `Sid`, if it has one.
    pub sid: Option<Arc<str>>,
}

impl fmt::Display for StatementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Statement[{}]", self.index)?;
        match &self.sid {
            Some(sid) => {
                f.write_str(" (")?;
                write_name(f, sid)?;
                f.write_str(")")
            }
            None => Ok(()),
        }
    }
}

/// A statement that allows something, and does not match a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closest {
    /// The statement.
    pub statement: StatementName,
    /// The first part of it that does not match.
    pub mismatch: Mismatch,
}

/// A part of a statement that does not match a request. Holds no value of either.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// It is about other principals.
    Principal,
    /// It is about other actions.
    Action,
    /// It is about other resources.
    Resource,
    /// One of its conditions does not hold.
    Condition {
        /// How the condition compares.
        operator: Operator,
        /// What it asks about.
        key: ConditionKey,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal => f.write_str("it is about other principals"),
            Self::Action => f.write_str("it is about other actions"),
            Self::Resource => f.write_str("it is about other resources"),
            Self::Condition { operator, key } => {
                write!(f, "its condition {operator} on ")?;
                write_name(f, &key.to_string())?;
                f.write_str(" does not hold")
            }
        }
    }
}
