//! Text with wildcards and variables, to be matched.

use super::error::PolicyProblem;
use super::key::strip_prefix_ignoring_case;
use super::request::Request;

/// A text of a policy, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    text: Box<str>,
    pieces: Box<[Piece]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// `*`: any text.
    Any,
    /// `?`: any one character.
    One,
    Variable(Variable),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Variable {
    /// `${aws:PrincipalTag/name}`.
    Attribute(Box<str>),
    /// `${aws:PrincipalArn}`.
    Principal,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wildcards {
    Special,
    Plain,
}

impl Template {
    pub(super) fn parse(text: &str, wildcards: Wildcards) -> Result<Self, PolicyProblem> {
        let mut pieces = Pieces::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("${") {
                let (name, after) = after.split_once('}').ok_or(PolicyProblem::Variable {
                    reason: "a variable that begins with ${ has no }",
                })?;
                pieces.push_variable(name)?;
                rest = after;
                continue;
            }
            match first {
                '*' if wildcards == Wildcards::Special => pieces.push(Piece::Any),
                '?' if wildcards == Wildcards::Special => pieces.push(Piece::One),
                _ => pieces.text.push(first),
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
        Ok(Self {
            text: text.into(),
            pieces: pieces.finish(),
        })
    }

    /// A text that has wildcards and no variables.
    pub(super) fn glob(text: &str) -> Self {
        let mut pieces = Pieces::default();
        for character in text.chars() {
            match character {
                '*' => pieces.push(Piece::Any),
                '?' => pieces.push(Piece::One),
                _ => pieces.text.push(character),
            }
        }
        Self {
            text: text.into(),
            pieces: pieces.finish(),
        }
    }

    /// As it stands in the policy.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The text that alone it matches, if there is one.
    pub(super) fn as_plain(&self) -> Option<&str> {
        match &*self.pieces {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the request has a value for each variable. A template with another matches nothing.
    pub(super) fn is_resolved(&self, request: &Request<'_>) -> bool {
        self.pieces.iter().all(|piece| match piece {
            Piece::Variable(variable) => variable.resolve(request).is_some(),
            _ => true,
        })
    }

    /// Whether it matches a text, letter by letter. What a variable stands for has no wildcards.
    pub(super) fn matches(&self, text: &str, request: &Request<'_>) -> bool {
        matches(&self.pieces, text, |variable| variable.resolve(request))
    }

    /// As [`matches`](Self::matches), for a template without variables.
    pub(super) fn matches_plain(&self, text: &str) -> bool {
        matches(&self.pieces, text, |_| None)
    }

    /// Whether it is the text in another case. For templates without wildcards.
    pub(super) fn matches_ignoring_case(&self, text: &str, request: &Request<'_>) -> bool {
        let whole = self.pieces.iter().flat_map(|piece| match piece {
            Piece::Text(text) => text.chars(),
            Piece::Variable(variable) => variable.resolve(request).unwrap_or_default().chars(),
            Piece::Any | Piece::One => "".chars(),
        });
        self.is_resolved(request)
            && whole
                .flat_map(char::to_lowercase)
                .eq(text.chars().flat_map(char::to_lowercase))
    }
}

impl Variable {
    fn parse(name: &str) -> Result<Self, PolicyProblem> {
        if name.contains(',') {
            return Err(PolicyProblem::Variable {
                reason: "a variable has no default value here",
            });
        }
        if name.eq_ignore_ascii_case("aws:PrincipalArn") {
            return Ok(Self::Principal);
        }
        strip_prefix_ignoring_case(name, "aws:PrincipalTag/")
            .filter(|attribute| !attribute.is_empty())
            .map(|attribute| Self::Attribute(attribute.into()))
            .ok_or(PolicyProblem::Variable {
                reason: "a variable has a name that is not known",
            })
    }

    fn resolve<'a>(&self, request: &Request<'a>) -> Option<&'a str> {
        match self {
            Self::Attribute(name) => request.values.attribute(name),
            Self::Principal => Some(request.acting),
        }
    }
}

/// Tries the pieces from left to right. Where one does not fit, the last `*` takes a character
/// more: what the earlier ones took need never change.
fn matches<'v>(
    pieces: &[Piece],
    mut text: &str,
    resolve: impl Fn(&Variable) -> Option<&'v str>,
) -> bool {
    let mut pieces = pieces;
    let mut retry: Option<(&[Piece], &str)> = None;
    loop {
        let next = match pieces.split_first() {
            None if text.is_empty() => return true,
            None => None,
            Some((Piece::Any, [])) => return true,
            Some((Piece::Any, after)) => {
                retry = Some((after, text));
                pieces = after;
                continue;
            }
            Some((Piece::One, after)) => skip_one(text).map(|rest| (after, rest)),
            Some((Piece::Text(piece), after)) => {
                text.strip_prefix(&**piece).map(|rest| (after, rest))
            }
            Some((Piece::Variable(variable), after)) => resolve(variable)
                .and_then(|value| text.strip_prefix(value))
                .map(|rest| (after, rest)),
        };
        (pieces, text) = match (next, retry) {
            (Some(next), _) => next,
            (None, Some((after, from))) => {
                let Some(from) = skip_one(from) else {
                    return false;
                };
                retry = Some((after, from));
                (after, from)
            }
            (None, None) => return false,
        };
    }
}

fn skip_one(text: &str) -> Option<&str> {
    let mut characters = text.chars();
    characters.next()?;
    Some(characters.as_str())
}

/// Pieces that are found, with neighbouring text in one.
#[derive(Default)]
struct Pieces {
    found: Vec<Piece>,
    text: String,
}

impl Pieces {
    fn push(&mut self, piece: Piece) {
        self.end_text();
        // Two are as good as one.
        if piece != Piece::Any || self.found.last() != Some(&Piece::Any) {
            self.found.push(piece);
        }
    }

    fn push_variable(&mut self, name: &str) -> Result<(), PolicyProblem> {
        match name {
            "*" | "?" | "$" => self.text.push_str(name),
            _ => self.push(Piece::Variable(Variable::parse(name)?)),
        }
        Ok(())
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.found.push(Piece::Text(self.text.as_str().into()));
            self.text.clear();
        }
    }

    fn finish(mut self) -> Box<[Piece]> {
        self.end_text();
        self.found.into_boxed_slice()
    }
}
