//! Names that somebody may have meant.

const MOST: usize = 3;

/// The known names that are least unlike the one given, the likest first. Case is not looked at.
pub(super) fn near(
    given: &str,
    known: impl IntoIterator<Item = &'static str>,
) -> Vec<&'static str> {
    let given = given.to_ascii_lowercase();
    // More would not be near, and takes long to compare.
    if given.len() > 100 {
        return Vec::new();
    }
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .map(|name| {
            let edits = strsim::damerau_levenshtein(&given, &name.to_ascii_lowercase());
            (edits, name)
        })
        .filter(|(edits, name)| *edits <= name.len() / 3)
        .collect();
    near.sort();
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}
