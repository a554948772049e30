//! SoftHSM: the main token, which every distribution has.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{SO_PIN, install};

/// Writes the configuration, and returns the variable that names it.
pub fn configure(directory: &Path) -> [(&'static str, PathBuf); 1] {
    let store = store(directory);
    std::fs::create_dir(&store).unwrap();
    let configuration = directory.join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        store.display()
    );
    std::fs::write(&configuration, text).unwrap();
    [("SOFTHSM2_CONF", configuration)]
}

pub fn store(directory: &Path) -> PathBuf {
    directory.join("softhsm")
}

pub fn module() -> PathBuf {
    install::softhsm_module().expect("found before the test began")
}

/// Makes a token; its slot number is SoftHSM's choice.
pub fn init_token(label: &str, pin: &str) {
    let output = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", label])
        .args(["--so-pin", SO_PIN, "--pin", pin])
        .output()
        .unwrap();
    assert!(output.status.success(), "softhsm2-util: {output:?}");
}
