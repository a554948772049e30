use std::io;

/// The number of bytes that a reader or writer says it moved, where it was given `room` for them.
///
/// # Errors
///
/// One that says more has broken its contract, and nothing it said can be relied on.
pub(crate) fn moved(said: usize, room: usize) -> io::Result<usize> {
    if said <= room {
        return Ok(said);
    }
    Err(io::Error::other(format!(
        "the reader or writer inside says that it moved {said} bytes, and was given {room}; its implementation is wrong"
    )))
}
