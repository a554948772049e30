//! How a condition compares.

use std::fmt;
use std::str::FromStr;

use super::error::PolicyProblem;
use super::near::near;
use crate::names::named;

/// How one value of a request is compared with the values of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Comparison {
    /// The same text.
    StringEquals,
    /// None of these texts.
    StringNotEquals,
    /// The same text, in whatever case.
    StringEqualsIgnoreCase,
    /// None of these texts, in whatever case.
    StringNotEqualsIgnoreCase,
    /// A text of this form: `*` stands for any text, `?` for any one character.
    StringLike,
    /// A text of none of these forms.
    StringNotLike,
    /// The same number.
    NumericEquals,
    /// None of these numbers.
    NumericNotEquals,
    /// A smaller number.
    NumericLessThan,
    /// A number that is not larger.
    NumericLessThanEquals,
    /// A larger number.
    NumericGreaterThan,
    /// A number that is not smaller.
    NumericGreaterThanEquals,
    /// The same moment.
    DateEquals,
    /// None of these moments.
    DateNotEquals,
    /// An earlier moment.
    DateLessThan,
    /// A moment that is not later.
    DateLessThanEquals,
    /// A later moment.
    DateGreaterThan,
    /// A moment that is not earlier.
    DateGreaterThanEquals,
    /// True or false.
    Bool,
    /// `true`: the request has no value. `false`: it has one.
    Null,
}

named!(Comparison, "condition operator", {
    StringEquals => "StringEquals",
    StringNotEquals => "StringNotEquals",
    StringEqualsIgnoreCase => "StringEqualsIgnoreCase",
    StringNotEqualsIgnoreCase => "StringNotEqualsIgnoreCase",
    StringLike => "StringLike",
    StringNotLike => "StringNotLike",
    NumericEquals => "NumericEquals",
    NumericNotEquals => "NumericNotEquals",
    NumericLessThan => "NumericLessThan",
    NumericLessThanEquals => "NumericLessThanEquals",
    NumericGreaterThan => "NumericGreaterThan",
    NumericGreaterThanEquals => "NumericGreaterThanEquals",
    DateEquals => "DateEquals",
    DateNotEquals => "DateNotEquals",
    DateLessThan => "DateLessThan",
    DateLessThanEquals => "DateLessThanEquals",
    DateGreaterThan => "DateGreaterThan",
    DateGreaterThanEquals => "DateGreaterThanEquals",
    Bool => "Bool",
    Null => "Null",
});

/// Which of several values of a request a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Quantifier {
    /// There is one value.
    One,
    /// Each of the values; holds also when there is none.
    ForAllValues,
    /// At least one of the values; does not hold when there is none.
    ForAnyValue,
}

/// The operator of a condition: as text `StringEquals`, `NumericLessThanIfExists`,
/// `ForAnyValue:StringLike`, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operator {
    pub(super) quantifier: Quantifier,
    pub(super) comparison: Comparison,
    pub(super) if_exists: bool,
}

/// What a comparison compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    Text,
    Number,
    Date,
    Bool,
    Presence,
}

impl Comparison {
    pub(super) const fn operand(self) -> Operand {
        match self {
            Self::StringEquals
            | Self::StringNotEquals
            | Self::StringEqualsIgnoreCase
            | Self::StringNotEqualsIgnoreCase
            | Self::StringLike
            | Self::StringNotLike => Operand::Text,
            Self::NumericEquals
            | Self::NumericNotEquals
            | Self::NumericLessThan
            | Self::NumericLessThanEquals
            | Self::NumericGreaterThan
            | Self::NumericGreaterThanEquals => Operand::Number,
            Self::DateEquals
            | Self::DateNotEquals
            | Self::DateLessThan
            | Self::DateLessThanEquals
            | Self::DateGreaterThan
            | Self::DateGreaterThanEquals => Operand::Date,
            Self::Bool => Operand::Bool,
            Self::Null => Operand::Presence,
        }
    }

    /// Whether a request's value must match none of the condition's, and holds without any.
    pub(super) const fn is_negated(self) -> bool {
        matches!(
            self,
            Self::StringNotEquals
                | Self::StringNotEqualsIgnoreCase
                | Self::StringNotLike
                | Self::NumericNotEquals
                | Self::DateNotEquals
        )
    }

    pub(super) const fn has_wildcards(self) -> bool {
        matches!(self, Self::StringLike | Self::StringNotLike)
    }
}

impl Operator {
    /// How values are compared.
    #[must_use]
    pub fn comparison(self) -> Comparison {
        self.comparison
    }

    /// Which values are compared.
    #[must_use]
    pub fn quantifier(self) -> Quantifier {
        self.quantifier
    }

    /// Whether it holds, whatever is compared, when the request has no value.
    #[must_use]
    pub fn if_exists(self) -> bool {
        self.if_exists
    }

    /// The problem of an operator that there is not, if it is none.
    pub(super) fn problem(self) -> Option<PolicyProblem> {
        let advice = match (self.comparison, self.quantifier, self.if_exists) {
            (Comparison::Null, Quantifier::One, false) => return None,
            (Comparison::Null, ..) => "Null asks itself whether there is a value; write it alone",
            (_, Quantifier::ForAnyValue, true) => {
                "what ForAnyValue with IfExists means without a value is not agreed upon; write two statements, one of them with Null"
            }
            _ => return None,
        };
        Some(PolicyProblem::UnknownOperator {
            operator: self.to_string(),
            advice: advice.to_owned(),
        })
    }
}

impl From<Comparison> for Operator {
    fn from(comparison: Comparison) -> Self {
        Self {
            quantifier: Quantifier::One,
            comparison,
            if_exists: false,
        }
    }
}

const IF_EXISTS: &str = "IfExists";
const QUANTIFIERS: [(Quantifier, &str); 2] = [
    (Quantifier::ForAllValues, "ForAllValues:"),
    (Quantifier::ForAnyValue, "ForAnyValue:"),
];

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantifier = QUANTIFIERS
            .iter()
            .find(|(quantifier, _)| *quantifier == self.quantifier)
            .map_or("", |(_, prefix)| prefix);
        let if_exists = if self.if_exists { IF_EXISTS } else { "" };
        write!(f, "{quantifier}{}{if_exists}", self.comparison)
    }
}

impl FromStr for Operator {
    type Err = PolicyProblem;

    fn from_str(text: &str) -> Result<Self, PolicyProblem> {
        let (quantifier, rest) = QUANTIFIERS
            .iter()
            .find_map(|(quantifier, prefix)| Some((*quantifier, text.strip_prefix(prefix)?)))
            .unwrap_or((Quantifier::One, text));
        let (name, if_exists) = match rest.strip_suffix(IF_EXISTS) {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let comparison = name.parse().map_err(|_| PolicyProblem::UnknownOperator {
            operator: text.to_owned(),
            advice: advice(name),
        })?;
        let operator = Self {
            quantifier,
            comparison,
            if_exists,
        };
        operator.problem().map_or(Ok(operator), Err)
    }
}

fn advice(name: &str) -> String {
    if name.starts_with("Arn") {
        return "principals and keys are plain text here: use StringEquals or StringLike"
            .to_owned();
    }
    if name.ends_with("IpAddress") || name.starts_with("Binary") {
        return "no condition key is of that type".to_owned();
    }
    let near = near(name, Comparison::ALL.iter().map(|known| known.name()));
    if near.is_empty() {
        "the operators are String..., Numeric..., Date..., Bool and Null".to_owned()
    } else {
        format!("near it are {}", near.join(", "))
    }
}
