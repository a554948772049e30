//! Seals and opens files of any length in constant memory.
//!
//!     cargo run --example seal_file -- seal    --key-file K [--context k=v]... [--aad S] IN OUT
//!     cargo run --example seal_file -- open    --key-file K [--context k=v]... [--aad S] IN OUT
//!     cargo run --example seal_file -- inspect IN [OUT]
//!
//! K holds a root key of 32 raw bytes, or its base64 or hexadecimal text, and is readable by its
//! owner alone. A refusal is one line on stderr and exit status 1, wrong usage is exit status 2;
//! either leaves no output file behind.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use lexopt::prelude::*;
use waxseal::format::MAX_HEADER_LEN;
use waxseal::{
    DecryptReader, EncryptWriter, EncryptionContext, Envelope, MessageOptions, RootKey,
    SingleKeyring, inspect_front,
};

const USAGE: &str = "usage: seal_file seal|open --key-file K [--context k=v]... [--aad S] IN OUT
       seal_file inspect IN [OUT]";

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
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
    let input = File::open(&arguments.input)
        .map_err(|error| format!("cannot read {}: {error}", arguments.input.display()))?;
    if arguments.command == Command::Inspect {
        return inspect_file(input, &arguments.input, arguments.output.as_deref());
    }
    let (Some(key_file), Some(output)) = (&arguments.key_file, &arguments.output) else {
        return Err("--key-file or OUT is missing".into());
    };
    let root_key = RootKey::from_file(key_file)?;
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let context = EncryptionContext::new(arguments.context.clone())?;
    let options = MessageOptions::new(&context).with_aad(arguments.aad.as_bytes());
    let progress = progress_bar(&input)?;
    put_in_place(output, |file| {
        if arguments.command == Command::Seal {
            let mut writer = EncryptWriter::new(&envelope, file, options)?;
            copy(input, &mut writer, &progress)?;
            writer.finish()?;
        } else {
            let reader = DecryptReader::new(&envelope, input, options)?;
            copy(reader, file, &progress)?;
        }
        Ok(())
    })?;
    progress.finish_and_clear();
    Ok(())
}

fn inspect_file(
    input: File,
    path: &Path,
    output: Option<&Path>,
) -> Result<(), Box<dyn std::error::Error>> {
    let len = input.metadata()?.len();
    let mut front = Vec::new();
    let read = input.take(MAX_HEADER_LEN as u64).read_to_end(&mut front);
    read.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let inspection = format!("{}\n", inspect_front(&front, len)?);
    match output {
        Some(output) => put_in_place(output, |file| Ok(file.write_all(inspection.as_bytes())?)),
        None => {
            print!("{inspection}");
            Ok(())
        }
    }
}

/// Copies with one buffer that is large enough for the streams to work in batches.
fn copy(mut from: impl Read, mut to: impl Write, progress: &ProgressBar) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let len = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if len == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..len])?;
        progress.inc(len as u64);
    }
}

/// Shows itself on a terminal only.
fn progress_bar(input: &File) -> io::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}");
    let bar = ProgressBar::new(input.metadata()?.len());
    Ok(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
}

/// Writes to a temporary file and gives it its name when all went well: the whole file appears, or
/// none of it. As `cp` does, it leaves it to the system when the bytes reach the disk.
fn put_in_place(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let cannot_write = |error| format!("cannot write {}: {error}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(cannot_write)?;
    write(file.as_file_mut())?;
    file.persist(path)
        .map_err(|error| cannot_write(error.error))?;
    Ok(())
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
    /// Nothing where help is asked for.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let mut words: Vec<OsString> = Vec::new();
        let (mut key_file, mut aad, mut context) = (None, String::new(), Vec::new());
        while let Some(argument) = parser.next()? {
            match argument {
                Long("key-file") => key_file = Some(PathBuf::from(parser.value()?)),
                Long("aad") => aad = parser.value()?.string()?,
                Long("context") => context.push(parse_pair(&parser.value()?.string()?)?),
                Short('h') | Long("help") => return Ok(None),
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
        Ok(Some(Self {
            command,
            key_file,
            context,
            aad,
            input,
            output,
        }))
    }
}

fn parse_pair(text: &str) -> Result<(String, String), lexopt::Error> {
    let (key, value) = text
        .split_once('=')
        .ok_or("--context takes a pair such as tenant=acme")?;
    Ok((key.to_owned(), value.to_owned()))
}
