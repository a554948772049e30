//! The `seal_file` example as its user meets it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use waxseal::RootKey;

/// A folder with a root key and a file to seal.
struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        RootKey::create_file(directory.path().join("root.key")).unwrap();
        fs::write(directory.path().join("plain"), "a small file\n").unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs `seal_file` in the folder with words that are separated by spaces.
    fn run(&self, words: &str) -> Output {
        Command::new(&*EXAMPLE)
            .args(words.split(' '))
            .current_dir(self.directory.path())
            .output()
            .unwrap()
    }

    /// Fails unless `words` are refused with one line, and without an output file.
    fn assert_refused(&self, words: &str, reason: &str) {
        let output = self.run(words);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(reason), "{text}");
        let mut names: Vec<_> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["plain", "root.key", "sealed"], "{words}");
    }
}

/// The example, built on first use: cargo builds it beside the tests only when it runs all of them.
static EXAMPLE: LazyLock<PathBuf> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", "seal_file"])
        .args(["--manifest-path", manifest, "--target-dir"])
        .arg(target)
        .status()
        .unwrap();
    assert!(built.success());
    let name = format!("seal_file{}", std::env::consts::EXE_SUFFIX);
    target.join("debug/examples").join(name)
});

#[test]
fn seals_opens_and_inspects() {
    let desk = Desk::new();
    let options = "--key-file root.key --context tenant=acme --context a=b=c --aad row-42";
    let sealed = desk.run(&format!("seal {options} plain sealed"));
    assert!(sealed.status.success(), "{sealed:?}");
    assert_eq!(fs::read(desk.path("sealed")).unwrap().len(), 117 + 13);

    let opened = desk.run(&format!("open {options} sealed opened"));
    assert!(opened.status.success(), "{opened:?}");
    assert_eq!(
        fs::read_to_string(desk.path("opened")).unwrap(),
        "a small file\n"
    );

    let inspected = desk.run("inspect sealed");
    let text = String::from_utf8(inspected.stdout).unwrap();
    assert!(text.contains("wrapped for  software key"), "{text}");
    assert!(
        desk.run("inspect --key-file root.key sealed text")
            .status
            .success()
    );
    assert_eq!(fs::read_to_string(desk.path("text")).unwrap(), text);
}

#[test]
fn refusals_are_one_line_and_leave_nothing_behind() {
    let desk = Desk::new();
    let options = "--key-file root.key --context tenant=acme";
    assert!(
        desk.run(&format!("seal {options} plain sealed"))
            .status
            .success()
    );
    let open = format!("open {options} sealed opened");
    for (words, reason) in [
        (
            "open --key-file root.key sealed opened",
            "could not decrypt",
        ),
        (
            &format!("open {options} --aad x sealed opened"),
            "could not decrypt",
        ),
        (
            &format!("open {options} plain opened"),
            "not a waxseal message",
        ),
        (
            "open --key-file none sealed opened",
            "none could not be read",
        ),
        (
            "open --key-file plain sealed opened",
            "plain can be read by others",
        ),
        (&format!("open {options} none opened"), "cannot read none"),
        (
            &format!("{open}/in/no/folder"),
            "cannot write opened/in/no/folder",
        ),
        ("inspect plain", "not a waxseal message"),
    ] {
        desk.assert_refused(words, reason);
    }
    let message = fs::read(desk.path("sealed")).unwrap();
    fs::write(desk.path("sealed"), &message[..message.len() - 20]).unwrap();
    desk.assert_refused(&open, "truncated");
    fs::rename(desk.path("root.key"), desk.path("old.key")).unwrap();
    RootKey::create_file(desk.path("root.key")).unwrap();
    fs::remove_file(desk.path("old.key")).unwrap();
    fs::write(desk.path("sealed"), &message).unwrap();
    desk.assert_refused(&open, "sealed under another root key");
}

#[test]
fn wrong_usage_is_status_2_and_shows_the_usage() {
    let desk = Desk::new();
    for words in [
        "frobnicate",
        "seal plain sealed",
        "seal --key-file root.key plain",
        "seal --key-file root.key --context tenant plain sealed",
        "seal --key-file root.key --verbose plain sealed",
        "seal --key-file root.key plain sealed more",
    ] {
        let output = desk.run(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("usage: seal_file seal|open"), "{text}");
        assert!(!desk.path("sealed").exists());
    }
}

#[test]
fn help_is_the_usage_and_no_failure() {
    let desk = Desk::new();
    for words in ["--help", "seal -h"] {
        let output = desk.run(words);
        assert!(output.status.success(), "{words}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("usage: seal_file seal|open"), "{text}");
    }
}
