//! A SoftHSM of one's own.

#[path = "../../../../../tests/pkcs11/tokens/install.rs"]
#[expect(unreachable_pub, reason = "the tests of tokens have this file too")]
mod install;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

pub(super) const PIN: &[u8] = b"1234";

/// The tokens of this process: SoftHSM reads once where they are.
pub(super) struct SoftHsm {
    directory: TempDir,
}

static SOFT_HSM: LazyLock<SoftHsm> = LazyLock::new(|| {
    install::everything();
    let hsm = SoftHsm {
        directory: tempfile::tempdir().unwrap(),
    };
    fs::create_dir(hsm.tokens()).unwrap();
    let text = format!("directories.tokendir = {}\n", hsm.tokens().display());
    fs::write(hsm.config(), text).unwrap();
    hsm
});

impl SoftHsm {
    /// Runs a test, one at a time.
    pub(super) fn run(test: impl FnOnce(&Self)) {
        temp_env::with_var("SOFTHSM2_CONF", Some(SOFT_HSM.config()), || test(&SOFT_HSM));
    }

    /// Makes a token, before a process initialises the module or beside it.
    pub(super) fn init_token(&self, label: &str) {
        let done = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label])
            .args(["--so-pin", "87654321", "--pin", "1234"])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    pub(super) fn module() -> PathBuf {
        install::softhsm_module().expect("found before the test began")
    }

    pub(super) fn tokens(&self) -> PathBuf {
        self.directory.path().join("tokens")
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("softhsm2.conf")
    }
}
