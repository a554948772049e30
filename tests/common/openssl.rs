//! The real `openssl`, run on files of a folder of its own.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

pub struct OpenSsl(TempDir);

impl OpenSsl {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Writes a file; `openssl` finds it by its name.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs a command line, which must succeed, and returns what it printed.
    pub fn run(&self, command_line: &str) -> Vec<u8> {
        let (success, printed) = self.try_run(command_line);
        let text = String::from_utf8_lossy(&printed);
        assert!(success, "openssl {command_line}: {text}");
        printed
    }

    pub fn fails(&self, command_line: &str) -> bool {
        !self.try_run(command_line).0
    }

    fn try_run(&self, command_line: &str) -> (bool, Vec<u8>) {
        let output = Command::new("openssl")
            .args(command_line.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .unwrap_or_else(|error| match error.kind() {
                ErrorKind::NotFound => panic!(
                    "the program openssl is missing, and without it this test proves nothing; \
                     install it: apt-get install openssl"
                ),
                _ => panic!("openssl cannot be run: {error}"),
            });
        let printed = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        (output.status.success(), printed)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
