//! Seals and opens files.
//!
//!     cargo run --example seal_file -- seal    --key-file K [--context k=v]... [--aad S] IN OUT
//!     cargo run --example seal_file -- open    --key-file K [--context k=v]... [--aad S] IN OUT
//!     cargo run --example seal_file -- inspect IN [OUT]
//!
//! K holds a root key of 32 raw bytes, or its base64 or hexadecimal text, and is readable by its
//! owner alone. A refusal is one line on stderr and exit status 1, wrong usage is exit status 2;
//! either leaves no output file behind.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, MessageOptions, RootKey, SingleKeyring, inspect,
};

const USAGE: &str = "usage: seal_file seal|open --key-file K [--context k=v]... [--aad S] IN OUT
       seal_file inspect IN [OUT]";

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("seal_file: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seal_file: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let input = read(&arguments.input)?;
    if arguments.command == Command::Inspect {
        let inspection = format!("{}\n", inspect(&input)?);
        match &arguments.output {
            Some(output) => write(output, inspection.as_bytes())?,
            None => print!("{inspection}"),
        }
        return Ok(());
    }
    let (Some(key_file), Some(output)) = (&arguments.key_file, &arguments.output) else {
        return Err("--key-file or OUT is missing".into());
    };
    let root_key = RootKey::from_file(key_file)?;
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let context = EncryptionContext::new(arguments.context.clone())?;
    let options = MessageOptions::new(&context).with_aad(arguments.aad.as_bytes());
    if arguments.command == Command::Seal {
        return write(output, &envelope.encrypt_with(&input, options)?);
    }
    let opened = envelope.decrypt_with(&input, options)?;
    write(output, &opened.plaintext)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Puts the whole file in place or none of it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let written = tempfile::NamedTempFile::new_in(directory).and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    });
    written.map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Seal,
    Open,
    Inspect,
}

struct Arguments {
    command: Command,
    key_file: Option<PathBuf>,
    context: Vec<(String, String)>,
    aad: String,
    input: PathBuf,
    output: Option<PathBuf>,
}

impl Arguments {
    fn parse() -> Result<Self, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let mut words: Vec<OsString> = Vec::new();
        let (mut key_file, mut aad, mut context) = (None, String::new(), Vec::new());
        while let Some(argument) = parser.next()? {
            match argument {
                Long("key-file") => key_file = Some(PathBuf::from(parser.value()?)),
                Long("aad") => aad = parser.value()?.string()?,
                Long("context") => context.push(parse_pair(&parser.value()?.string()?)?),
                Value(word) => words.push(word),
                other => return Err(other.unexpected()),
            }
        }
        let mut words = words.into_iter();
        let command = match words.next() {
            Some(word) if word == "seal" => Command::Seal,
            Some(word) if word == "open" => Command::Open,
            Some(word) if word == "inspect" => Command::Inspect,
            _ => return Err("the first word must be seal, open or inspect".into()),
        };
        let input = words.next().ok_or("IN is missing")?.into();
        let output = words.next().map(PathBuf::from);
        if command != Command::Inspect {
            key_file.as_ref().ok_or("--key-file is missing")?;
            output.as_ref().ok_or("OUT is missing")?;
        }
        if words.next().is_some() {
            return Err("there are more words than IN and OUT".into());
        }
        Ok(Self {
            command,
            key_file,
            context,
            aad,
            input,
            output,
        })
    }
}

fn parse_pair(text: &str) -> Result<(String, String), lexopt::Error> {
    let (key, value) = text
        .split_once('=')
        .ok_or("--context takes a pair such as tenant=acme")?;
    Ok((key.to_owned(), value.to_owned()))
}
