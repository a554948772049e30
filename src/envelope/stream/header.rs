//! Reading the header of a stream, whose length only its content tells.

use crate::envelope::sealing::Opening;
use crate::envelope::{EnvelopeEncryptor, MessageOptions};
use crate::error::Error;
use crate::format::{FormatError, Header, MAX_HEADER_LEN};

/// What is read first to find the end of a header: most end within it.
pub(crate) const FIRST_READ: usize = 512;

/// The room in which the largest header fits.
pub(crate) const HEADER_ROOM: usize = MAX_HEADER_LEN + 1;

/// Reads the header at the `front` of a message, of which `all` may be there; `None` if the header
/// is longer than the front.
pub(crate) fn parse_front(front: &[u8], all: bool) -> Result<Option<Header<'_>>, FormatError> {
    match Header::parse(front) {
        Ok((header, _)) => Ok(Some(header)),
        Err(FormatError::Truncated { .. }) if !all => Ok(None),
        Err(error) => Err(error),
    }
}

/// Begins with the `front` of a message, as [`parse_front`] does. Returns what opens the body, and
/// the length of the header.
pub(crate) fn begin(
    envelope: &(impl EnvelopeEncryptor + ?Sized),
    front: &[u8],
    all: bool,
    options: MessageOptions<'_>,
) -> Result<Option<(Opening, usize)>, Error> {
    let Some(header) = parse_front(front, all)? else {
        return Ok(None);
    };
    let opening = envelope.begin_opening(&header, options)?;
    Ok(Some((opening, header.len())))
}
