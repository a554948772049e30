//! Messages as streams: constant memory, any length.
//!
//! The two cores, [`seal`] and [`open`], do no I/O; the readers and writers around them do nothing
//! else.

mod decrypt_at;
mod decrypt_reader;
mod encrypt_reader;
mod encrypt_writer;
mod header;
mod moved;
mod open;
mod payload;
mod seal;
mod source;
mod window;

pub use decrypt_at::{DecryptAt, ReadAt};
pub use decrypt_reader::DecryptReader;
pub use encrypt_reader::EncryptReader;
pub use encrypt_writer::EncryptWriter;
#[cfg(feature = "tokio")]
pub(crate) use header::Front;
#[cfg(feature = "tokio")]
pub(crate) use moved::moved;
#[cfg(feature = "tokio")]
pub(crate) use open::{OpenCore, Progress};
#[cfg(feature = "tokio")]
pub(crate) use seal::SealCore;
