use std::io;

/// How many bytes were taken from one buffer, and how many given to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Moved {
    pub(crate) taken: usize,
    pub(crate) given: usize,
}

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
