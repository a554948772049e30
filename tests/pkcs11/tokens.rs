//! Tokens to test against: SoftHSM, kryoptic, and either behind a module that fails as tokens fail.
//!
//! A module reads its configuration once in a process, and a test may make it crash. So each test is
//! run in a process of its own, with tokens of its own.

mod install;
mod kryoptic;
mod process;
mod shim;
mod softhsm;

use std::path::{Path, PathBuf};

pub use kryoptic::{FULL, KEY_WRAP_ONLY, MAC_ONLY, OAEP_ONLY};
pub use process::{child, here, run};
pub use shim::Shim;

pub const PIN: &str = "pin-2718281828";
pub const SO_PIN: &str = "so-pin-31415926";

/// The label of SoftHSM's token.
pub const SOFTHSM: &str = "softhsm";

/// Defines tests that each run in a process of their own.
macro_rules! token_tests {
    ($($(#[$attribute:meta])* fn $name:ident($tokens:ident) $body:block)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            $crate::tokens::run(module_path!(), stringify!($name), |$tokens| $body);
        }
    )*};
}
pub(crate) use token_tests;

/// The tokens of one test, in a folder of its own.
pub struct Tokens {
    directory: PathBuf,
}

impl Tokens {
    /// SoftHSM's module, with an initialised token [`SOFTHSM`].
    pub fn softhsm(&self) -> PathBuf {
        if is_empty(&self.softhsm_store()) {
            self.softhsm_token(SOFTHSM);
        }
        softhsm::module()
    }

    /// One more token in SoftHSM, under any label.
    pub fn softhsm_token(&self, label: &str) {
        self.softhsm_token_with_pin(label, PIN);
    }

    pub fn softhsm_token_with_pin(&self, label: &str, pin: &str) {
        softhsm::init_token(label, pin);
    }

    /// Where SoftHSM keeps its tokens.
    pub fn softhsm_store(&self) -> PathBuf {
        softhsm::store(&self.directory)
    }

    /// Kryoptic's module, with four initialised tokens: [`FULL`] and those that can do little.
    pub fn kryoptic(&self) -> PathBuf {
        let module = kryoptic::module();
        if !self.path("full.sql").exists() {
            kryoptic::init_tokens(&module);
        }
        module
    }

    /// A module before `module`, which obeys `rules`, and those that it is told later.
    pub fn shim(&self, module: &Path, rules: &[&str]) -> Shim {
        Shim::new(&self.directory, module, rules)
    }

    /// A place for files of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A file with the PIN, for this user alone.
    pub fn pin_file(&self) -> PathBuf {
        self.secret_file("pin", PIN)
    }

    pub fn secret_file(&self, name: &str, content: &str) -> PathBuf {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path(name);
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .unwrap();
        path
    }
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}
