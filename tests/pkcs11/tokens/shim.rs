//! The module that fails as tokens fail, before another; its rules stand in `tests/pkcs11_shim`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

const MODULE: &str = "WAXSEAL_TEST_SHIM";

/// Builds the module, and returns the variable that names it.
pub fn configure() -> [(&'static str, PathBuf); 1] {
    [(MODULE, build("pkcs11_shim", "libpkcs11_shim"))]
}

/// A copy of the module, which is a module of its own.
pub struct Shim {
    pub path: PathBuf,
    module: PathBuf,
    log: PathBuf,
}

impl Shim {
    pub fn new(directory: &Path, module: &Path, rules: &[&str]) -> Self {
        let number = std::fs::read_dir(directory).unwrap().count();
        Self::new_at(&directory.join(format!("shim-{number}.so")), module, rules)
    }

    pub fn new_at(path: &Path, module: &Path, rules: &[&str]) -> Self {
        std::fs::copy(std::env::var_os(MODULE).unwrap(), path).unwrap();
        let shim = Self {
            path: path.to_owned(),
            module: module.to_owned(),
            log: path.with_extension("log"),
        };
        shim.obey(rules);
        shim
    }

    /// One that was made before, by this process or another.
    pub fn at(path: &Path) -> Self {
        let control = std::fs::read_to_string(path.with_extension("so.control")).unwrap();
        let module = control
            .lines()
            .find_map(|line| line.strip_prefix("module "));
        Self {
            log: path.with_extension("log"),
            module: module.unwrap().into(),
            path: path.to_owned(),
        }
    }

    /// From the next call on, these rules and no others.
    pub fn obey(&self, rules: &[&str]) {
        let module = self.module.display();
        let log = self.log.display();
        let text = format!("module {module}\nlog {log}\n{}\n", rules.join("\n"));
        let control = self.path.with_extension("so.control");
        let new = self.path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, control).unwrap();
    }

    /// The calls so far: function, and what it returned.
    pub fn calls(&self) -> Vec<(String, u64)> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        // A call is being written, perhaps.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| {
                let (function, code) = line.split_once(" 0x").unwrap();
                (function.to_owned(), u64::from_str_radix(code, 16).unwrap())
            })
            .collect()
    }

    /// How often a function was called so far.
    pub fn count(&self, function: &str) -> usize {
        self.calls()
            .iter()
            .filter(|(called, _)| called == function)
            .count()
    }

    /// Forgets the calls so far.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Builds a crate of `tests` that is a module, and returns where it is.
pub fn build(name: &str, library: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<Vec<(String, PathBuf)>> = Mutex::new(Vec::new());
    let mut built = ONE_AT_A_TIME.lock().unwrap();
    if let Some((_, path)) = built.iter().find(|(of, _)| of == name) {
        return path.clone();
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tokens");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
        .join("Cargo.toml");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--quiet", "--release", "--locked"])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "the module {name} does not build: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = target.join("release").join(library).with_extension("so");
    built.push((name.to_owned(), path.clone()));
    path
}
