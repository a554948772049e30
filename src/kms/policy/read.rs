//! From JSON to statements.

use super::error::{PolicyError, PolicyProblem};
use super::json::Json;
use super::key::ConditionKey;
use super::operator::{Operand, Operator};
use super::place::Place;
use super::statement::{ALL, Condition, Effect, Named, Statement};
use super::{Draft, VERSION};

const POLICY_MEMBERS: &[&str] = &["Version", "Id", "Statement"];
const STATEMENT_MEMBERS: &[&str] = &[
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// Reads a policy. What the texts in it mean is looked at later.
pub(super) fn read(json: Json) -> Result<Draft, PolicyError> {
    let mut policy = Members::read(json, POLICY_MEMBERS, &Place::TOP)?;
    let version = Place::TOP.member("Version");
    if text(policy.require("Version", &Place::TOP)?, &version)? != VERSION {
        return Err(PolicyProblem::Version.at(version));
    }
    let id = match policy.take("Id") {
        Some(id) => Some(text(id, &Place::TOP.member("Id"))?),
        None => None,
    };
    let place = Place::TOP.member("Statement");
    let statements = match policy.require("Statement", &Place::TOP)? {
        Json::List(items) if items.is_empty() => return Err(PolicyProblem::Empty.at(place)),
        Json::List(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| read_statement(item, &place.item(index)))
            .collect::<Result<_, _>>()?,
        // A single one may stand without a list, and is the first all the same.
        single => vec![read_statement(single, &place.item(0))?],
    };
    Ok(Draft { id, statements })
}

fn read_statement(json: Json, place: &Place<'_>) -> Result<Statement, PolicyError> {
    let mut members = Members::read(json, STATEMENT_MEMBERS, place)?;
    let effect_place = place.member("Effect");
    let effect: Effect = text(members.require("Effect", place)?, &effect_place)?
        .parse()
        .map_err(|_| PolicyProblem::Effect.at(effect_place))?;
    let sid = match members.take("Sid") {
        Some(sid) => Some(text(sid, &place.member("Sid"))?),
        None => None,
    };
    let principals = members.one_of("Principal", "NotPrincipal", place, principals)?;
    Ok(Statement {
        sid,
        effect,
        everybody: !principals.all_but && principals.items.iter().any(|name| name == ALL),
        principals,
        actions: members.one_of("Action", "NotAction", place, texts)?,
        resources: Some(members.one_of("Resource", "NotResource", place, texts)?),
        conditions: match members.take("Condition") {
            Some(conditions) => read_conditions(conditions, &place.member("Condition"))?,
            None => Vec::new(),
        },
    })
}

/// `"*"`, names, or `{"AWS": names}`.
fn principals(json: Json, place: &Place<'_>) -> Result<Vec<String>, PolicyError> {
    if !matches!(json, Json::Object(_)) {
        return texts(json, place);
    }
    let mut named = Vec::new();
    for (kind, names) in object(json, place)? {
        if kind != "AWS" {
            return Err(PolicyProblem::PrincipalKind { kind }.at(place));
        }
        named.extend(texts(names, &place.member(&kind))?);
    }
    Ok(named)
}

fn read_conditions(json: Json, place: &Place<'_>) -> Result<Vec<Condition>, PolicyError> {
    let mut conditions = Vec::new();
    for (name, keys) in object(json, place)? {
        let place = place.member(&name);
        let operator: Operator = name
            .parse()
            .map_err(|problem: PolicyProblem| problem.at(place))?;
        for (name, values) in object(keys, &place)? {
            let place = place.member(&name);
            let key: ConditionKey = name
                .parse()
                .map_err(|problem: PolicyProblem| problem.at(place))?;
            conditions.push(Condition {
                operator,
                key,
                values: read_values(values, operator.comparison().operand(), &place)?,
            });
        }
    }
    Ok(conditions)
}

fn read_values(
    json: Json,
    operand: Operand,
    place: &Place<'_>,
) -> Result<Vec<String>, PolicyError> {
    let (expected, take): (_, fn(Json) -> Option<String>) = match operand {
        Operand::Text => ("a text, or a list of texts", |json| match json {
            Json::Text(text) => Some(text),
            _ => None,
        }),
        Operand::Number | Operand::Date => {
            ("a text or a number, or a list of them", |json| match json {
                Json::Text(text) | Json::Number(text) => Some(text),
                _ => None,
            })
        }
        Operand::Bool | Operand::Presence => {
            ("true or false, or a list of them", |json| match json {
                Json::Text(text) => Some(text),
                Json::Bool(value) => Some(value.to_string()),
                _ => None,
            })
        }
    };
    let take = |json, place: Place<'_>| {
        take(json).ok_or_else(|| PolicyProblem::Type { expected }.at(place))
    };
    match json {
        Json::List(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| take(item, place.item(index)))
            .collect(),
        single => Ok(vec![take(single, *place)?]),
    }
}

/// A text, or a list of texts that is not empty.
fn texts(json: Json, place: &Place<'_>) -> Result<Vec<String>, PolicyError> {
    match json {
        Json::Text(text) => Ok(vec![text]),
        Json::List(items) if items.is_empty() => Err(PolicyProblem::Empty.at(place)),
        Json::List(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| text(item, &place.item(index)))
            .collect(),
        _ => Err(PolicyProblem::Type {
            expected: "a text, or a list of texts",
        }
        .at(place)),
    }
}

fn text(json: Json, place: &Place<'_>) -> Result<String, PolicyError> {
    match json {
        Json::Text(text) => Ok(text),
        _ => Err(PolicyProblem::Type { expected: "a text" }.at(place)),
    }
}

/// The members of an object that has some, each once.
fn object(json: Json, place: &Place<'_>) -> Result<Vec<(String, Json)>, PolicyError> {
    match json {
        Json::Object(members) if members.is_empty() => Err(PolicyProblem::Empty.at(place)),
        Json::Object(members) => unique(members, place),
        _ => Err(PolicyProblem::Type {
            expected: "an object",
        }
        .at(place)),
    }
}

fn unique(
    members: Vec<(String, Json)>,
    place: &Place<'_>,
) -> Result<Vec<(String, Json)>, PolicyError> {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some((*one).to_owned()),
        _ => None,
    });
    match twice {
        Some(member) => Err(PolicyProblem::DuplicateMember { member }.at(place)),
        None => Ok(members),
    }
}

/// Members of an object whose names are all known.
struct Members(Vec<(String, Json)>);

impl Members {
    fn read(
        json: Json,
        known: &'static [&'static str],
        place: &Place<'_>,
    ) -> Result<Self, PolicyError> {
        let members = object(json, place)?;
        let is_unknown = |(name, _): &&(String, Json)| !known.contains(&name.as_str());
        match members.iter().find(is_unknown) {
            Some((member, _)) => Err(PolicyProblem::UnknownMember {
                member: member.clone(),
                known,
            }
            .at(place)),
            None => Ok(Self(members)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        let index = self.0.iter().position(|(member, _)| member == name)?;
        Some(self.0.swap_remove(index).1)
    }

    fn require(&mut self, member: &'static str, place: &Place<'_>) -> Result<Json, PolicyError> {
        self.take(member)
            .ok_or_else(|| PolicyProblem::Missing { member }.at(place))
    }

    /// What stands in one of two members that exclude each other.
    fn one_of(
        &mut self,
        these: &'static str,
        all_but: &'static str,
        place: &Place<'_>,
        read: fn(Json, &Place<'_>) -> Result<Vec<String>, PolicyError>,
    ) -> Result<Named, PolicyError> {
        match (self.take(these), self.take(all_but)) {
            (Some(_), Some(_)) => Err(PolicyProblem::Both {
                first: these,
                second: all_but,
            }
            .at(place)),
            (Some(named), None) => Ok(Named {
                all_but: false,
                both: false,
                items: read(named, &place.member(these))?,
            }),
            (None, Some(named)) => Ok(Named {
                all_but: true,
                both: false,
                items: read(named, &place.member(all_but))?,
            }),
            (None, None) => Err(PolicyProblem::Missing { member: these }.at(place)),
        }
    }
}
