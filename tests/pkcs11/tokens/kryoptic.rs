//! kryoptic: the second token, written apart from SoftHSM. Its slots have few mechanisms or all.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{PIN, SO_PIN, shim};

const MODULE: &str = "WAXSEAL_TEST_KRYOPTIC";

/// The labels of its tokens.
pub const FULL: &str = "full";
pub const KEY_WRAP_ONLY: &str = "key-wrap-only";
pub const OAEP_ONLY: &str = "oaep-only";
pub const MAC_ONLY: &str = "cbc-hmac-only";

/// Label, and the mechanisms that the token has; none given is all.
const SLOTS: [(&str, &[&str]); 4] = [
    (FULL, &[]),
    (
        KEY_WRAP_ONLY,
        &[
            "CKM_AES_KEY_GEN",
            "CKM_AES_KEY_WRAP",
            "CKM_GENERIC_SECRET_KEY_GEN",
        ],
    ),
    (
        OAEP_ONLY,
        &["CKM_RSA_PKCS_KEY_PAIR_GEN", "CKM_RSA_PKCS_OAEP"],
    ),
    (
        MAC_ONLY,
        &[
            "CKM_AES_KEY_GEN",
            "CKM_AES_CBC_PAD",
            "CKM_GENERIC_SECRET_KEY_GEN",
            "CKM_SHA256_HMAC",
        ],
    ),
];

/// Builds the module, writes the configuration, and returns the variables that name them.
pub fn configure(directory: &Path) -> [(&'static str, PathBuf); 2] {
    let mut text = String::new();
    for (slot, (label, mechanisms)) in (1..).zip(SLOTS) {
        let database = directory.join(label).with_extension("sql");
        text += &format!(
            "[[slots]]\nslot = {slot}\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
            database.display()
        );
        if !mechanisms.is_empty() {
            text += &format!("mechanisms = {mechanisms:?}\n");
        }
    }
    let configuration = directory.join("kryoptic.conf");
    std::fs::write(&configuration, text).unwrap();
    [
        ("KRYOPTIC_CONF", configuration),
        (MODULE, shim::build("kryoptic", "libkryoptic_module")),
    ]
}

pub fn module() -> PathBuf {
    std::env::var_os(MODULE)
        .expect("set in the test's process")
        .into()
}

pub fn init_tokens(module: &Path) {
    for (slot, (label, _)) in (1..).zip(SLOTS) {
        let slot = format!("{slot}");
        let tool = |arguments: &[&str]| {
            let output = Command::new("pkcs11-tool")
                .arg("--module")
                .arg(module)
                .args(["--slot", &slot, "--so-pin", SO_PIN])
                .args(arguments)
                .output()
                .unwrap();
            assert!(output.status.success(), "pkcs11-tool: {output:?}");
        };
        tool(&["--init-token", "--label", label]);
        tool(&["--login", "--login-type", "so", "--init-pin", "--pin", PIN]);
    }
}
