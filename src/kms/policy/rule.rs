//! A statement, ready to be matched with requests.

use std::sync::Arc;

use super::action::ActionSet;
use super::check::Check;
use super::decision::Mismatch;
use super::error::{PolicyError, PolicyProblem};
use super::place::Place;
use super::request::{Request, Resource};
use super::statement::{ALL, Condition, Effect, Named, Statement};
use super::template::{Template, Wildcards};
use crate::format::KeyId;
use crate::kms::name::is_alias_byte;

/// A statement that was read. What it was written as is kept where it says more than what it means.
#[derive(Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) sid: Option<Arc<str>>,
    pub(super) effect: Effect,
    actions: ActionSet,
    pub(super) principals: Principals,
    pub(super) resources: Resources,
    pub(super) checks: Box<[Check]>,
    /// `true` for `NotAction`.
    pub(super) all_actions_but: bool,
    pub(super) action_patterns: Box<[Box<str>]>,
}

#[derive(Clone, PartialEq)]
pub(super) enum Principals {
    Everybody,
    These(Box<[Box<str>]>),
    AllBut(Box<[Box<str>]>),
}

#[derive(Clone, PartialEq)]
pub(super) enum Resources {
    All,
    These(Box<[Template]>),
    AllBut(Box<[Template]>),
}

/// How far a statement is from matching.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Distance {
    parts: usize,
    principal: bool,
    checks: usize,
}

impl Rule {
    pub(super) fn read(statement: &Statement, place: &Place<'_>) -> Result<Self, PolicyError> {
        let Statement {
            sid,
            effect,
            everybody,
            principals,
            actions,
            resources,
            conditions,
        } = statement;
        if sid.as_ref().is_some_and(String::is_empty) {
            return Err(PolicyProblem::Empty.at(place.member("Sid")));
        }
        let action_set = read_actions(actions, place)?;
        Ok(Self {
            sid: sid.as_deref().map(Arc::from),
            effect: *effect,
            actions: action_set,
            principals: read_principals(principals, *everybody, *effect, place)?,
            resources: read_resources(resources.as_ref(), place)?,
            checks: read_conditions(conditions, action_set, place)?,
            all_actions_but: actions.all_but,
            action_patterns: boxed(&actions.items),
        })
    }

    pub(super) fn matches(&self, request: &Request<'_>) -> bool {
        self.actions.contains(request.operation)
            && self.principals.contain(request.principal)
            && self.is_about_resource(request)
            && self.checks.iter().all(|check| self.passes(check, request))
    }

    /// How far it is from matching, and the first part that does not; `None` if it matches. Parts
    /// count more than conditions, and who more than what.
    pub(super) fn mismatch(&self, request: &Request<'_>) -> Option<(Distance, Mismatch)> {
        let mut distance = Distance::default();
        let mut first = None;
        let mut miss = |part: Mismatch| {
            first.get_or_insert(part);
        };
        if !self.principals.contain(request.principal) {
            distance.parts += 1;
            distance.principal = true;
            miss(Mismatch::Principal);
        }
        if !self.actions.contains(request.operation) {
            distance.parts += 1;
            miss(Mismatch::Action);
        }
        if !self.is_about_resource(request) {
            distance.parts += 1;
            miss(Mismatch::Resource);
        }
        for check in &self.checks {
            if !self.passes(check, request) {
                distance.checks += 1;
                miss(Mismatch::Condition {
                    operator: check.operator,
                    key: check.key.clone(),
                });
            }
        }
        Some((distance, first?))
    }

    /// A statement that allows does not match when it compares with something that is not known: a
    /// `Not` would hold for everything.
    fn passes(&self, check: &Check, request: &Request<'_>) -> bool {
        if self.effect == Effect::Allow
            && check.operator.comparison().is_negated()
            && !check.is_resolved(request)
        {
            return false;
        }
        check.holds(request)
    }

    fn is_about_resource(&self, request: &Request<'_>) -> bool {
        match &self.resources {
            Resources::All => true,
            Resources::These(templates) => name_resource(templates, request),
            Resources::AllBut(templates) => {
                // As with conditions.
                let known = self.effect == Effect::Deny
                    || templates
                        .iter()
                        .all(|template| template.is_resolved(request));
                known && !name_resource(templates, request)
            }
        }
    }
}

impl Principals {
    fn contain(&self, principal: &str) -> bool {
        match self {
            Self::Everybody => true,
            Self::These(names) => names.iter().any(|name| **name == *principal),
            Self::AllBut(names) => !names.iter().any(|name| **name == *principal),
        }
    }
}

const KEY: &str = "key/";
const ALIAS: &str = "alias/";

/// Whether one of the templates names the resource. The store has no name.
fn name_resource(templates: &[Template], request: &Request<'_>) -> bool {
    let name_text = |text: &str| {
        templates
            .iter()
            .any(|template| template.matches(text, request))
    };
    match request.resource {
        Resource::Store => false,
        Resource::Alias(alias) => name_text(alias),
        Resource::Key(key) => {
            let text = key_text(key);
            str::from_utf8(&text).is_ok_and(name_text)
        }
    }
}

/// `key/` and the id, without allocating.
fn key_text(key: KeyId) -> [u8; 36] {
    let mut text = *b"key/................................";
    let (_, digits) = text.split_at_mut(KEY.len());
    for (pair, byte) in digits.chunks_exact_mut(2).zip(key.as_bytes()) {
        for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            };
        }
    }
    text
}

fn read_actions(actions: &Named, place: &Place<'_>) -> Result<ActionSet, PolicyError> {
    let place = named_place(actions, ["Action", "NotAction"], place)?;
    let mut named = ActionSet::NONE;
    for (index, pattern) in actions.items.iter().enumerate() {
        named = ActionSet::named(pattern)
            .map_err(|problem| problem.at(place.item(index)))?
            .union(named);
    }
    let set = if actions.all_but {
        named.complement()
    } else {
        named
    };
    if set.is_empty() {
        return Err(PolicyProblem::NoAction.at(place));
    }
    Ok(set)
}

fn read_principals(
    principals: &Named,
    everybody: bool,
    effect: Effect,
    place: &Place<'_>,
) -> Result<Principals, PolicyError> {
    let place = named_place(principals, ["Principal", "NotPrincipal"], place)?;
    if principals.all_but && effect == Effect::Allow {
        return Err(PolicyProblem::AllowNotPrincipal.at(place));
    }
    for (index, name) in principals.items.iter().enumerate() {
        if name == ALL && everybody {
            continue;
        }
        if name.contains(['*', '?']) {
            return Err(PolicyProblem::PrincipalWildcard.at(place.item(index)));
        } else if name.is_empty() {
            return Err(PolicyProblem::Empty.at(place.item(index)));
        }
    }
    Ok(if everybody {
        Principals::Everybody
    } else if principals.all_but {
        Principals::AllBut(boxed(&principals.items))
    } else {
        Principals::These(boxed(&principals.items))
    })
}

fn read_resources(resources: Option<&Named>, place: &Place<'_>) -> Result<Resources, PolicyError> {
    let Some(resources) = resources else {
        return Ok(Resources::All);
    };
    let place = named_place(resources, ["Resource", "NotResource"], place)?;
    let mut all = false;
    let mut templates = Vec::new();
    for (index, text) in resources.items.iter().enumerate() {
        if text == ALL && !resources.all_but {
            all = true;
            continue;
        }
        let template = read_resource(text).map_err(|problem| problem.at(place.item(index)))?;
        templates.push(template);
    }
    let templates = templates.into_boxed_slice();
    Ok(if all {
        Resources::All
    } else if resources.all_but {
        Resources::AllBut(templates)
    } else {
        Resources::These(templates)
    })
}

fn read_resource(text: &str) -> Result<Template, PolicyProblem> {
    let template = Template::parse(text, Wildcards::Special)?;
    let fits = if let Some(id) = text.strip_prefix(KEY) {
        has_only(id, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && template
                .as_plain()
                .is_none_or(|_| id.parse::<KeyId>().is_ok())
    } else if let Some(name) = text.strip_prefix(ALIAS) {
        has_only(name, is_alias_byte)
    } else {
        false
    };
    fits.then_some(template).ok_or(PolicyProblem::ResourceForm)
}

/// Whether a text that is not empty can name something that has these characters alone. Others
/// would name nothing.
fn has_only(text: &str, is_allowed: fn(u8) -> bool) -> bool {
    let is_wildcard = |byte| matches!(byte, b'*' | b'?');
    let has_variables = text.contains("${");
    let fits = |byte| has_variables || is_wildcard(byte) || is_allowed(byte);
    !text.is_empty() && text.bytes().all(fits)
}

/// Sorted by operator and key, as they are written: so there is one form of each statement.
fn read_conditions(
    conditions: &[Condition],
    actions: ActionSet,
    place: &Place<'_>,
) -> Result<Box<[Check]>, PolicyError> {
    let place = place.member("Condition");
    let mut checks = Vec::new();
    for condition in conditions {
        let (operator, key) = (condition.operator.to_string(), condition.key.to_string());
        let place = place.member(&operator);
        let place = place.member(&key);
        let check = Check::read(condition).map_err(|(index, problem)| match index {
            Some(index) => problem.at(place.item(index)),
            None => problem.at(place),
        })?;
        if condition.key.given().is_disjoint(actions) {
            let key = condition.key.clone();
            return Err(PolicyProblem::NeverGiven { key }.at(place));
        }
        checks.push(check);
    }
    checks.sort_by(|one, other| (one.operator, &one.key).cmp(&(other.operator, &other.key)));
    for pair in checks.windows(2) {
        if let [one, other] = pair
            && (one.operator, &one.key) == (other.operator, &other.key)
        {
            let (operator, key) = (one.operator, one.key.clone());
            return Err(PolicyProblem::SameCondition { operator, key }.at(place));
        }
    }
    Ok(checks.into_boxed_slice())
}

/// Where the items stand, if there are some, and in one of the two members alone.
fn named_place<'a>(
    named: &Named,
    [these, all_but]: [&'static str; 2],
    place: &'a Place<'a>,
) -> Result<Place<'a>, PolicyError> {
    if named.both {
        return Err(PolicyProblem::Both {
            first: these,
            second: all_but,
        }
        .at(place));
    }
    let member = if named.all_but { all_but } else { these };
    if named.items.is_empty() {
        return Err(PolicyProblem::Missing { member }.at(place));
    }
    Ok(place.member(member))
}

fn boxed(texts: &[String]) -> Box<[Box<str>]> {
    texts.iter().map(|text| text.as_str().into()).collect()
}
