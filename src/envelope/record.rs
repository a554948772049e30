//! Records: small payloads that share one header, which is kept apart from them (`FORMAT.md`,
//! "Records"). Each costs 32 bytes more than its payload, and no question to a keyring.

mod cache;
mod header_store;
mod key;
mod opener;
mod row;
mod sealer;

pub use header_store::{HeaderStore, HeaderStoreError, MemoryHeaderStore};
pub(super) use key::{NewHeader, RecordKey};
pub use opener::Opener;
pub use row::RowError;
pub use sealer::Sealer;

use crate::format::{Limit, LimitExceeded, MAX_AAD_LEN};

fn check_aad(aad: &[u8]) -> Result<(), LimitExceeded> {
    LimitExceeded::check(Limit::AssociatedData, aad.len(), MAX_AAD_LEN)
}
