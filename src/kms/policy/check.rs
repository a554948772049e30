//! One condition, ready to be checked against requests.

use std::time::{Duration, SystemTime};

use super::error::PolicyProblem;
use super::key::{ConditionKey, ValueKind};
use super::operator::{Comparison, Operand, Operator, Quantifier};
use super::request::{Request, Value};
use super::statement::Condition;
use super::template::{Template, Wildcards};
use crate::clock::Timestamp;

/// A condition whose values were read.
#[derive(Clone, PartialEq)]
pub(super) struct Check {
    pub(super) operator: Operator,
    pub(super) key: ConditionKey,
    values: Operands,
}

#[derive(Clone, PartialEq)]
enum Operands {
    Texts(Box<[Template]>),
    Numbers(Box<[f64]>),
    Dates(Box<[Timestamp]>),
    Bools(Box<[bool]>),
    /// Whether there must be no value.
    Missing(bool),
}

impl Check {
    /// Reads the values. On an error also says which of them, if it is about one.
    pub(super) fn read(condition: &Condition) -> Result<Self, (Option<usize>, PolicyProblem)> {
        let Condition {
            operator,
            key,
            values,
        } = condition;
        check(*operator, key).map_err(|problem| (None, problem))?;

        if values.is_empty() {
            return Err((None, PolicyProblem::Empty));
        }
        let comparison = operator.comparison;
        let values = match comparison.operand() {
            Operand::Text => {
                Operands::Texts(each(values, |text| read_text(text, comparison, key))?)
            }
            Operand::Number => Operands::Numbers(each(values, read_number)?),
            Operand::Date => Operands::Dates(each(values, read_date)?),
            Operand::Bool => Operands::Bools(each(values, read_bool)?),
            Operand::Presence => match &*each(values, read_bool)? {
                [missing] => Operands::Missing(*missing),
                _ => {
                    let expected = "one of true and false";
                    return Err((None, PolicyProblem::Value { expected }));
                }
            },
        };
        Ok(Self {
            operator: *operator,
            key: key.clone(),
            values,
        })
    }

    /// The values as they are written in a policy.
    pub(super) fn written_values(&self) -> Vec<String> {
        match &self.values {
            Operands::Texts(texts) => texts.iter().map(|text| text.as_str().to_owned()).collect(),
            Operands::Numbers(numbers) => numbers.iter().map(f64::to_string).collect(),
            Operands::Dates(dates) => dates.iter().map(Timestamp::to_string).collect(),
            Operands::Bools(bools) => bools.iter().map(bool::to_string).collect(),
            Operands::Missing(missing) => vec![missing.to_string()],
        }
    }

    /// Whether each variable among the values stands for something.
    pub(super) fn is_resolved(&self, request: &Request<'_>) -> bool {
        match &self.values {
            Operands::Texts(texts) => texts.iter().all(|text| text.is_resolved(request)),
            _ => true,
        }
    }

    pub(super) fn holds(&self, request: &Request<'_>) -> bool {
        let (mut count, mut matching) = (0_usize, 0_usize);
        self.each_value(request, &mut |value| {
            count += 1;
            matching += usize::from(self.value_matches(value, request));
        });
        if let Operands::Missing(missing) = self.values {
            return missing == (count == 0);
        }
        match self.operator.quantifier {
            Quantifier::ForAllValues => matching == count,
            Quantifier::ForAnyValue => matching > 0,
            Quantifier::One if count == 0 => {
                self.operator.if_exists || self.operator.comparison.is_negated()
            }
            Quantifier::One => matching == count,
        }
    }

    fn each_value(&self, request: &Request<'_>, give: &mut dyn FnMut(Value<'_>)) {
        match &self.key {
            ConditionKey::PrincipalArn => give(Value::Text(request.acting)),
            ConditionKey::PrincipalTag(name) => {
                if let Some(value) = request.values.attribute(name) {
                    give(Value::Text(value));
                }
            }
            key => request.values.values(key, give),
        }
    }

    /// Whether one value of the request is as the condition asks. One of another kind is not.
    fn value_matches(&self, value: Value<'_>, request: &Request<'_>) -> bool {
        let comparison = self.operator.comparison;
        let found = match (&self.values, value) {
            (Operands::Texts(texts), Value::Text(value)) => texts
                .iter()
                .any(|text| text_matches(comparison, text, value, request)),
            (Operands::Numbers(numbers), Value::Number(value)) => {
                any_number(comparison, numbers, value)
            }
            (Operands::Numbers(numbers), Value::Date(value)) => {
                any_number(comparison, numbers, value.as_unix_millis() / 1000)
            }
            (Operands::Dates(dates), Value::Date(value)) => {
                dates.iter().any(|date| compares(comparison, &value, date))
            }
            (Operands::Bools(bools), Value::Bool(value)) => bools.contains(&value),
            (Operands::Missing(_), _) => true,
            _ => return false,
        };
        found != comparison.is_negated()
    }
}

fn text_matches(
    comparison: Comparison,
    text: &Template,
    value: &str,
    request: &Request<'_>,
) -> bool {
    match comparison {
        Comparison::StringEqualsIgnoreCase | Comparison::StringNotEqualsIgnoreCase => {
            text.matches_ignoring_case(value, request)
        }
        _ => text.matches(value, request),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers are days and seconds, far below 2^53"
)]
fn any_number(comparison: Comparison, numbers: &[f64], value: u64) -> bool {
    let value = value as f64;
    numbers
        .iter()
        .any(|number| compares(comparison, &value, number))
}

/// Compares so, without the negation.
fn compares<T: PartialOrd>(comparison: Comparison, value: &T, with: &T) -> bool {
    match comparison {
        Comparison::NumericLessThan | Comparison::DateLessThan => value < with,
        Comparison::NumericLessThanEquals | Comparison::DateLessThanEquals => value <= with,
        Comparison::NumericGreaterThan | Comparison::DateGreaterThan => value > with,
        Comparison::NumericGreaterThanEquals | Comparison::DateGreaterThanEquals => value >= with,
        _ => value == with,
    }
}

/// Whether the operator can be used with the key.
fn check(operator: Operator, key: &ConditionKey) -> Result<(), PolicyProblem> {
    if let Some(problem) = operator.problem() {
        return Err(problem);
    }
    // A key that was made in code may have a name that cannot be read again.
    key.to_string().parse::<ConditionKey>()?;
    let operand = operator.comparison.operand();
    let fits = match key.kind() {
        ValueKind::Text => operand == Operand::Text,
        ValueKind::Number => operand == Operand::Number,
        ValueKind::Date => operand == Operand::Date,
        ValueKind::Epoch => matches!(operand, Operand::Date | Operand::Number),
        ValueKind::Bool => operand == Operand::Bool,
    };
    if operand == Operand::Presence {
        return Ok(());
    }
    let key = key.clone();
    if !fits {
        return Err(PolicyProblem::OperatorType { operator, key });
    }
    match (operator.quantifier, key.is_multivalued()) {
        (Quantifier::One, true) => Err(PolicyProblem::NeedsQuantifier { operator, key }),
        (Quantifier::ForAllValues | Quantifier::ForAnyValue, false) => {
            Err(PolicyProblem::SingleValued { operator, key })
        }
        _ => Ok(()),
    }
}

fn each<T>(
    values: &[String],
    read: impl Fn(&str) -> Result<T, PolicyProblem>,
) -> Result<Box<[T]>, (Option<usize>, PolicyProblem)> {
    values
        .iter()
        .enumerate()
        .map(|(index, value)| read(value).map_err(|problem| (Some(index), problem)))
        .collect()
}

fn read_text(
    text: &str,
    comparison: Comparison,
    key: &ConditionKey,
) -> Result<Template, PolicyProblem> {
    let wildcards = if comparison.has_wildcards() {
        Wildcards::Special
    } else {
        Wildcards::Plain
    };
    let template = Template::parse(text, wildcards)?;
    if let (Comparison::StringEquals | Comparison::StringNotEquals, Some(word)) =
        (comparison, template.as_plain())
    {
        key.check_word(word)
            .map_err(|source| PolicyProblem::NeverEqual {
                key: key.clone(),
                source,
            })?;
    }
    Ok(template)
}

fn read_number(text: &str) -> Result<f64, PolicyProblem> {
    const MOST_DIGITS: usize = 15;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    let is_digits =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let fits = is_digits(whole) && is_digits(part) && whole.len() + part.len() <= MOST_DIGITS;
    fits.then(|| text.parse().ok())
        .flatten()
        .ok_or(PolicyProblem::Value {
            expected: "a number of at most 15 digits, such as 7 or 0.5",
        })
}

fn read_bool(text: &str) -> Result<bool, PolicyProblem> {
    text.parse().map_err(|_| PolicyProblem::Value {
        expected: "true or false",
    })
}

/// `2026-12-31`, `2026-12-31T23:59:59Z`, the same with fractions of a second or with an offset from
/// UTC, or seconds since 1970.
fn read_date(text: &str) -> Result<Timestamp, PolicyProblem> {
    let date = if text.bytes().all(|digit| digit.is_ascii_digit()) {
        read_seconds(text)
    } else if text.len() == "2026-12-31".len() {
        read_utc(&format!("{text}T00:00:00Z"))
    } else if text.ends_with('Z') {
        read_utc(text)
    } else {
        read_with_offset(text)
    };
    date.ok_or(PolicyProblem::Value {
        expected: "a moment since 1970, such as 2026-12-31, 2026-12-31T23:59:59Z or 2026-12-31T23:59:59+01:00, or seconds since 1970, of at least 9 digits",
    })
}

/// Fewer digits are a year that was meant as such.
fn read_seconds(text: &str) -> Option<Timestamp> {
    let seconds: u64 = text.parse().ok().filter(|_| text.len() >= 9)?;
    let millis = seconds.checked_mul(1000)?;
    (millis <= Timestamp::MAX.as_unix_millis()).then(|| Timestamp::from_unix_millis(millis))
}

fn read_utc(text: &str) -> Option<Timestamp> {
    humantime::parse_rfc3339(text).ok().map(Timestamp::from)
}

fn read_with_offset(text: &str) -> Option<Timestamp> {
    let (local, offset) = text.split_at_checked(text.len().checked_sub("+01:00".len())?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let two_digits = |digits: &str, most: u64| {
        (digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit()))
            .then(|| digits.parse::<u64>().ok())
            .flatten()
            .filter(|number| *number <= most)
    };
    let seconds = two_digits(hours, 23)? * 3600 + two_digits(minutes, 59)? * 60;
    let offset_by = Duration::from_secs(seconds);
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let utc = match offset.get(..1)? {
        "+" => local.checked_sub(offset_by)?,
        "-" => local.checked_add(offset_by)?,
        _ => return None,
    };
    (utc >= SystemTime::UNIX_EPOCH).then(|| Timestamp::from(utc))
}
