//! Reads the middle of a sealed file without opening the rest of it.
//!
//!     cargo run --example range_read

use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use waxseal::{
    DecryptAt, DecryptReader, EncryptWriter, EncryptionContext, Envelope, MessageOptions, RootKey,
    SingleKeyring,
};

const LINES: u64 = 500_000;

fn main() -> Result<(), Box<dyn Error>> {
    let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate()?));
    let context = EncryptionContext::new([("tenant", "acme")])?;
    let options = MessageOptions::new(&context);

    let mut file = tempfile::tempfile()?;
    let mut writer = EncryptWriter::new(&envelope, &mut file, options)?;
    for number in 0..LINES {
        writeln!(writer, "this is line {number:>8} of the file")?;
    }
    writer.finish()?;
    let line_len = "this is line 12345678 of the file\n".len() as u64;
    println!("sealed {LINES} lines in {} bytes", file.metadata()?.len());

    file.rewind()?;
    println!("one reader, which seeks:");
    let mut reader = DecryptReader::new(&envelope, &mut file, options)?;
    for place in [SeekFrom::Start(123_456 * line_len), SeekFrom::End(-34)] {
        reader.seek(place)?;
        let mut line = String::new();
        reader.by_ref().take(line_len).read_to_string(&mut line)?;
        print!("  {line}");
    }
    drop(reader);

    println!("four threads, which read at offsets:");
    let shared = DecryptAt::new(&envelope, file, options)?;
    std::thread::scope(|scope| {
        let lines = [1, 99_999, 250_000, 400_000].map(|number| {
            let shared: &DecryptAt<File> = &shared;
            scope.spawn(move || {
                let mut line = vec![0; usize::try_from(line_len).unwrap_or(0)];
                shared.read_at(&mut line, number * line_len).map(|_| line)
            })
        });
        for line in lines {
            let line = line.join().map_err(|_| "a thread panicked")??;
            print!("  {}", String::from_utf8_lossy(&line));
        }
        Ok(())
    })
}
