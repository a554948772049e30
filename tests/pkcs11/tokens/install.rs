//! What the tests of tokens need: found, or installed, or asked for. They are never passed over.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const PACKAGES: [&str; 7] = [
    "softhsm2",
    "opensc",
    "libclang-dev",
    "libssl-dev",
    "libsqlite3-dev",
    "pkg-config",
    "strace",
];

const SOFTHSM_MODULES: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

/// Returns when everything is there.
pub fn everything() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        if missing().is_none() {
            return;
        }
        let is_root = output("id", &["-u"]).is_some_and(|id| id.trim() == "0");
        if is_root && has_program("apt-get") {
            apt_get(["update", "-q"]);
            let install = ["install", "-y", "-q", "--no-install-recommends"];
            apt_get(install.into_iter().chain(PACKAGES));
        }
        if let Some(missing) = missing() {
            panic!(
                "{missing} is missing, and without it the tests of tokens prove nothing; install it: \
                 {}apt-get install {}",
                if is_root { "" } else { "sudo " },
                PACKAGES.join(" ")
            );
        }
    });
}

/// SoftHSM's module.
pub fn softhsm_module() -> Option<PathBuf> {
    SOFTHSM_MODULES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}

/// The first thing that is missing.
fn missing() -> Option<&'static str> {
    let programs = ["softhsm2-util", "pkcs11-tool", "pkg-config", "strace"];
    if softhsm_module().is_none() {
        return Some("the module of SoftHSM");
    }
    if let Some(program) = programs.into_iter().find(|program| !has_program(program)) {
        return Some(program);
    }
    let libraries = ["libcrypto", "sqlite3"];
    if let Some(library) = libraries
        .into_iter()
        .find(|library| output("pkg-config", &["--exists", library]).is_none())
    {
        return Some(library);
    }
    (!has_libclang()).then_some("libclang")
}

fn has_libclang() -> bool {
    // Not libclang-cpp.
    let search = "ls /usr/lib/llvm-*/lib/libclang.so* || ls /usr/lib*/libclang.so* /usr/lib/*/libclang-[0-9]*.so*";
    std::env::var_os("LIBCLANG_PATH").is_some() || output("sh", &["-c", search]).is_some()
}

fn has_program(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| Path::new(&directory).join(name).exists())
    })
}

/// What a program printed, if it succeeded.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(printed)
}

fn apt_get<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) {
    let status = Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(arguments)
        .status();
    // What is still missing afterwards is told with the command that installs it.
    if let Err(error) = status {
        eprintln!("apt-get cannot be run: {error}");
    }
}
