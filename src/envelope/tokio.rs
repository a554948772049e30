//! Messages and streams on a Tokio runtime (feature `tokio`).
//!
//! The cipher runs where the future is polled; a keyring that must ask a provider does so on a
//! blocking thread. Dropping a future or a stream loses its own message and nothing else.

mod envelope;
mod reader;
mod writer;

pub use envelope::AsyncEnvelope;
pub use reader::AsyncDecryptReader;
pub use writer::AsyncEncryptWriter;
