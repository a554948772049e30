//! Sets of operations, and the patterns that name them.

use super::error::PolicyProblem;
use super::near::near;
use super::template::Template;
use crate::kms::Operation;

/// Some of the operations, one bit each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ActionSet(u128);

const _: () = assert!(Operation::ALL.len() <= 128);

impl ActionSet {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ALL: Self = Self::NONE.with_all(Operation::ALL);

    pub(super) const fn of(operations: &[Operation]) -> Self {
        Self::NONE.with_all(operations)
    }

    const fn with_all(self, mut operations: &[Operation]) -> Self {
        let mut bits = self.0;
        while let [first, rest @ ..] = operations {
            bits |= bit(*first);
            operations = rest;
        }
        Self(bits)
    }

    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn complement(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }

    pub(super) const fn contains(self, operation: Operation) -> bool {
        self.0 & bit(operation) != 0
    }

    pub(super) const fn is_disjoint(self, other: Self) -> bool {
        self.0 & other.0 == 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The operations that a pattern names: `*`, or `kms:` and a name in which `*` and `?` are
    /// wildcards. Case is not looked at.
    pub(super) fn named(pattern: &str) -> Result<Self, PolicyProblem> {
        if pattern == "*" {
            return Ok(Self::ALL);
        }
        let lower = pattern.to_ascii_lowercase();
        let Some(name) = lower.strip_prefix(PREFIX) else {
            return Err(PolicyProblem::ActionForm);
        };
        let named = if name.contains(['*', '?']) {
            let glob = Template::glob(name);
            Self::filter(|known| glob.matches_plain(&known.to_ascii_lowercase()))
        } else {
            Self::filter(|known| known.eq_ignore_ascii_case(name))
        };
        if named.is_empty() {
            return Err(PolicyProblem::UnknownAction {
                action: pattern.to_owned(),
                near: near(
                    name,
                    Operation::ALL.iter().map(|operation| operation.name()),
                ),
            });
        }
        Ok(named)
    }

    fn filter(is_named: impl Fn(&str) -> bool) -> Self {
        Operation::ALL
            .iter()
            .filter(|operation| is_named(operation.name()))
            .fold(Self::NONE, |set, operation| set.with_all(&[*operation]))
    }
}

pub(super) const PREFIX: &str = "kms:";

const fn bit(operation: Operation) -> u128 {
    1 << operation as u32
}
