//! From a policy to JSON.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::rule::{Principals, Resources, Rule};
use super::statement::ALL;
use super::{Policy, VERSION};

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut policy = serializer.serialize_map(None)?;
        policy.serialize_entry("Version", VERSION)?;
        if let Some(id) = &self.id {
            policy.serialize_entry("Id", id)?;
        }
        policy.serialize_entry("Statement", &self.rules)?;
        policy.end()
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut statement = serializer.serialize_map(None)?;
        if let Some(sid) = &self.sid {
            statement.serialize_entry("Sid", &**sid)?;
        }
        statement.serialize_entry("Effect", &self.effect)?;
        match &self.principals {
            Principals::Everybody => statement.serialize_entry("Principal", ALL)?,
            Principals::These(names) => statement.serialize_entry("Principal", &Aws(names))?,
            Principals::AllBut(names) => statement.serialize_entry("NotPrincipal", &Aws(names))?,
        }
        let actions = if self.all_actions_but {
            "NotAction"
        } else {
            "Action"
        };
        statement.serialize_entry(actions, &OneOrMany(&self.action_patterns))?;
        match &self.resources {
            Resources::All => statement.serialize_entry("Resource", ALL)?,
            Resources::These(templates) => {
                let texts: Vec<&str> = templates.iter().map(|text| text.as_str()).collect();
                statement.serialize_entry("Resource", &OneOrMany(&texts))?;
            }
            Resources::AllBut(templates) => {
                let texts: Vec<&str> = templates.iter().map(|text| text.as_str()).collect();
                statement.serialize_entry("NotResource", &OneOrMany(&texts))?;
            }
        }
        if !self.checks.is_empty() {
            statement.serialize_entry("Condition", &Conditions(self))?;
        }
        statement.end()
    }
}

/// Names under the kind that AWS has for them.
struct Aws<'a>(&'a [Box<str>]);

impl Serialize for Aws<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut kinds = serializer.serialize_map(Some(1))?;
        kinds.serialize_entry("AWS", &OneOrMany(self.0))?;
        kinds.end()
    }
}

/// One text alone, or a list of several.
struct OneOrMany<'a, T>(&'a [T]);

impl<T: Serialize> Serialize for OneOrMany<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [one] => one.serialize(serializer),
            many => serializer.collect_seq(many),
        }
    }
}

/// The conditions by their operators. They are sorted so that those of an operator are together.
struct Conditions<'a>(&'a Rule);

impl Serialize for Conditions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let same_operator = self
            .0
            .checks
            .chunk_by(|one, next| one.operator == next.operator);
        serializer.collect_map(same_operator.filter_map(|checks| {
            let operator = checks.first()?.operator.to_string();
            Some((operator, Keys(checks)))
        }))
    }
}

struct Keys<'a>(&'a [super::check::Check]);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut keys = serializer.serialize_map(Some(self.0.len()))?;
        for check in self.0 {
            let values = check.written_values();
            keys.serialize_entry(&check.key.to_string(), &OneOrMany(&values))?;
        }
        keys.end()
    }
}
