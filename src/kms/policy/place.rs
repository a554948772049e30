//! Where in a policy something stands.

use std::fmt;

/// A place, as a path that grows on the stack: it is written out only for an error.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Top,
    Member(&'a str),
    Item(usize),
}

impl<'a> Place<'a> {
    pub(super) const TOP: Place<'static> = Place {
        parent: None,
        step: Step::Top,
    };

    pub(super) fn member(&'a self, name: &'a str) -> Place<'a> {
        Place {
            parent: Some(self),
            step: Step::Member(name),
        }
    }

    pub(super) fn item(&'a self, index: usize) -> Place<'a> {
        Place {
            parent: Some(self),
            step: Step::Item(index),
        }
    }

    fn is_top(&self) -> bool {
        self.parent.is_none()
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if !parent.is_top() && matches!(self.step, Step::Member(_)) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Top => Ok(()),
            Step::Member(name) => write_name(f, name),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}

/// What somebody wrote, without line breaks and the like, and not at any length.
pub(super) fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    const MOST: usize = 80;
    for character in name.chars().take(MOST) {
        write!(f, "{}", character.escape_debug())?;
    }
    match name.chars().nth(MOST) {
        Some(_) => f.write_str("..."),
        None => Ok(()),
    }
}
