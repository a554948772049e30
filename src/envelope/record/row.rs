use crate::error::Error;

/// The row of a batch that failed. Nothing of the batch is returned.
#[derive(Debug, thiserror::Error)]
#[error("row {row} of the batch, counted from 0: {error}")]
#[non_exhaustive]
pub struct RowError {
    /// The number of the row, from 0.
    pub row: usize,
    /// Why it failed.
    #[source]
    pub error: Error,
}

/// Does the same to each row, until one fails.
pub(super) fn for_each_row<R, T>(
    rows: impl IntoIterator<Item = R>,
    mut action: impl FnMut(R) -> Result<T, Error>,
) -> Result<Vec<T>, RowError> {
    rows.into_iter()
        .enumerate()
        .map(|(row, content)| action(content).map_err(|error| RowError { row, error }))
        .collect()
}
