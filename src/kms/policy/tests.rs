use std::collections::HashSet;

use super::action::ActionSet;
use super::key::NAMES;
use super::{Comparison, ConditionKey, Policy};
use crate::kms::Operation;

const GUIDE: &str = include_str!("../policy.rs");

fn is_in_guide(name: &str) -> bool {
    GUIDE
        .lines()
        .filter(|line| line.starts_with("//! |"))
        .any(|line| line.contains(&format!("`{name}`")))
}

#[test]
fn the_guide_lists_every_operator_and_every_key() {
    for comparison in Comparison::ALL {
        assert!(is_in_guide(comparison.name()), "{comparison}");
    }
    for name in NAMES {
        let shown = if name.ends_with([':', '/']) {
            format!("{name}name")
        } else {
            (*name).to_owned()
        };
        assert!(is_in_guide(&shown), "{shown}");
        let key: ConditionKey = shown.parse().unwrap();
        assert_eq!(key.to_string(), shown);
    }
}

#[test]
fn the_policy_of_the_guide() {
    let policy: String = GUIDE
        .lines()
        .skip_while(|line| *line != "//! ```json")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| line.trim_start_matches("//!"))
        .collect();
    assert_eq!(Policy::from_json(&policy).unwrap().statements(), 3);
}

/// The operations that the guide names beside a key have it.
#[test]
fn the_guide_names_operations_that_have_the_key() {
    let mut checked = 0;
    for line in GUIDE.lines().filter(|line| line.starts_with("//! | `")) {
        let columns: Vec<&str> = line.split('|').collect();
        let [_, keys, _, operations, _] = columns[..] else {
            continue;
        };
        let keys = in_quotes(keys).filter_map(|key| key.parse::<ConditionKey>().ok());
        for key in keys {
            for operation in in_quotes(operations) {
                let operation: Operation = operation.parse().unwrap();
                assert!(key.is_given_for(operation), "{key} for {operation}");
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

fn in_quotes(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn sets_of_actions() {
    let mut sets = HashSet::new();
    for &operation in Operation::ALL {
        let one = ActionSet::of(&[operation]);
        assert!(one.contains(operation) && !one.is_empty());
        assert!(!one.complement().contains(operation));
        assert!(one.is_disjoint(one.complement()));
        assert!(one.union(one.complement()) == ActionSet::ALL);
        assert!(ActionSet::named(&format!("kms:{operation}")).is_ok_and(|named| named == one));
        sets.insert(
            Operation::ALL
                .iter()
                .map(|&other| one.contains(other))
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(sets.len(), Operation::ALL.len());
    assert!(ActionSet::ALL.complement().is_empty());
    assert!(ActionSet::NONE.is_empty());
}
