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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::provider::pkcs11::module::Module;

    fn error(path: &Path) -> Pkcs11Error {
        match Module::load(path) {
            Ok(_) => panic!("{} was loaded", path.display()),
            Err(error) => error,
        }
    }

    #[test]
    fn there_is_no_such_file() {
        let error = error(Path::new("/no/such/module.so"));
        assert!(matches!(error, Pkcs11Error::NoSuchModule { .. }));
    }

    #[test]
    fn the_file_is_no_library() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("module.so");
        for bytes in [&b"#!/bin/sh\necho hello world\n"[..], b"", b"\x7fELF"] {
            fs::write(&path, bytes).unwrap();
            assert!(matches!(error(&path), Pkcs11Error::NotALibrary { .. }));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_library_is_for_another_machine() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("module.so");
        let mut header = vec![0; 64];
        header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        header[16] = 3;
        header[18] = 22;
        fs::write(&path, header).unwrap();
        match error(&path) {
            Pkcs11Error::WrongArchitecture {
                found, expected, ..
            } => {
                assert_eq!(found, "s390x (64 bits)");
                assert_eq!(expected, this_machine());
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_library_is_broken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("module.so");
        let mut own = fs::read(std::env::current_exe().unwrap()).unwrap();
        own.truncate(64);
        fs::write(&path, own).unwrap();
        assert!(matches!(error(&path), Pkcs11Error::Load { .. }));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_library_speaks_no_pkcs11() {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let libc = maps
            .lines()
            .find_map(|line| {
                line.split(' ')
                    .next_back()
                    .filter(|path| path.ends_with("/libc.so.6"))
            })
            .unwrap();
        assert!(matches!(
            error(Path::new(libc)),
            Pkcs11Error::NotPkcs11 { .. }
        ));
    }
}
