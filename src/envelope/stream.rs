//! Messages as streams: constant memory, any length.
//!
//! The two cores, [`seal`] and [`open`], do no I/O; the readers and writers around them do nothing
//! else.

mod decrypt_at;
mod decrypt_reader;
mod encrypt_reader;
mod encrypt_writer;
mod header;
mod open;
mod seal;

pub use decrypt_at::{DecryptAt, ReadAt};
pub use decrypt_reader::DecryptReader;
pub use encrypt_reader::EncryptReader;
pub use encrypt_writer::EncryptWriter;

use crate::format::body::SEALED_CHUNK_LEN;

/// Chunks that are sealed, opened, read or written at a time.
const BATCH: usize = 4;

/// A batch has room for the largest header, so that one buffer serves for both.
const _: () = assert!(BATCH * SEALED_CHUNK_LEN >= crate::format::MAX_HEADER_LEN);
