//! Loading a module, and saying clearly why that failed.

use std::env::consts::ARCH;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use cryptoki::context::Pkcs11;
use cryptoki::error::Error;

use super::Pkcs11Error;

pub(super) fn load(path: &Path) -> Result<Pkcs11, Pkcs11Error> {
    Pkcs11::new(path).map_err(|error| match error {
        Error::LibraryLoading(reason) => {
            why_not_loaded(path).unwrap_or_else(|| Pkcs11Error::Load {
                path: path.to_owned(),
                reason: reason.to_string(),
            })
        }
        Error::MissingSymbol(_) | Error::NullFunctionPointer => Pkcs11Error::NotPkcs11 {
            path: path.to_owned(),
        },
        other => other.into(),
    })
}

/// What the file itself tells, on systems whose libraries are in ELF.
fn why_not_loaded(path: &Path) -> Option<Pkcs11Error> {
    if cfg!(not(all(unix, not(target_vendor = "apple")))) {
        return None;
    }
    let not_a_library = || Pkcs11Error::NotALibrary {
        path: path.to_owned(),
    };
    let mut header = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Ok(()) if header.starts_with(b"\x7fELF") => {}
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return None,
        _ => return Some(not_a_library()),
    }
    let [_, _, _, _, class, order, .., low, high] = header;
    let found = machine(class, order, [low, high]);
    (found != this_machine()).then(|| Pkcs11Error::WrongArchitecture {
        path: path.to_owned(),
        found,
        expected: this_machine(),
    })
}

/// Names a machine as `e_machine` of an ELF header numbers it.
fn machine(class: u8, order: u8, number: [u8; 2]) -> String {
    let number = match order {
        2 => u16::from_be_bytes(number),
        _ => u16::from_le_bytes(number),
    };
    let name = match number {
        3 => "x86",
        8 => "mips",
        20 => "powerpc",
        21 => "powerpc64",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        _ => return format!("machine {number}"),
    };
    let bits = if class == 1 { 32 } else { 64 };
    format!("{name} ({bits} bits)")
}

fn this_machine() -> String {
    format!("{ARCH} ({} bits)", usize::BITS)
}
