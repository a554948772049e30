//! What a token can do, and which configuration of waxseal to use with it.
//!
//!     cargo run --features pkcs11 --example hsm_probe -- MODULE [TOKEN-LABEL PIN-FILE]
//!
//! Without a label it lists tokens and mechanisms, which needs no PIN. With one it logs in and tries,
//! with keys that it destroys again, how the token wraps.

use std::error::Error;
use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::MechanismType;
use cryptoki::slot::Slot;
use waxseal::pkcs11::{PinSource, Pkcs11Config, Pkcs11KeyProvider, TokenWrapping, Vendor};
use waxseal::{
    CreateKeyRequest, DataKey, KeyProvider, KeySpec, Mechanism, ProviderError, UnwrapRequest,
    WrapRequest,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [module] => look(Path::new(module)),
        [module, label, pin_file] => try_out(Path::new(module), label, Path::new(pin_file)),
        _ => Err("usage: hsm_probe MODULE [TOKEN-LABEL PIN-FILE]".into()),
    }
}

/// What the module says of itself, its tokens and their mechanisms.
fn look(path: &Path) -> Result<(), Box<dyn Error>> {
    let module = Pkcs11::new(path)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let library = module.get_library_info()?;
    println!(
        "{}: {} {}, by {}; PKCS#11 {}",
        path.display(),
        library.library_description(),
        library.library_version(),
        library.manufacturer_id(),
        library.cryptoki_version()
    );
    for slot in module.get_slots_with_token()? {
        // One that cannot be read must not hide the others.
        match module.get_token_info(slot) {
            Ok(token) if token.token_initialized() => println!(
                "\nslot {}: token {:?}, {} {}, serial {}, PIN of {} to {} characters",
                slot.id(),
                token.label(),
                token.manufacturer_id(),
                token.model(),
                token.serial_number(),
                token.min_pin_length(),
                token.max_pin_length()
            ),
            Ok(_) => {
                println!("\nslot {}: a token that is not initialised", slot.id());
                continue;
            }
            Err(error) => {
                println!("\nslot {}: cannot be read: {error}", slot.id());
                continue;
            }
        }
        mechanisms(&module, slot);
    }
    Ok(())
}

fn mechanisms(module: &Pkcs11, slot: Slot) {
    let vendors = |number| MechanismType::new_vendor_defined(number).ok();
    for (name, mechanism, why) in [
        (
            "CKM_AES_KEY_GEN",
            Some(MechanismType::AES_KEY_GEN),
            "makes keys that wrap",
        ),
        (
            "CKM_AES_GCM",
            Some(MechanismType::AES_GCM),
            "wraps, first choice",
        ),
        (
            "CKM_CLOUDHSM_AES_GCM",
            vendors(0x8000_1087),
            "the same, of AWS CloudHSM",
        ),
        (
            "CKM_CLOUDKMS_AES_GCM",
            vendors(0x8001_e101),
            "the same, of Google Cloud KMS",
        ),
        (
            "CKM_AES_KEY_WRAP",
            Some(MechanismType::AES_KEY_WRAP),
            "wraps, second choice",
        ),
        (
            "CKM_RSA_PKCS_OAEP",
            Some(MechanismType::RSA_PKCS_OAEP),
            "wraps, third choice",
        ),
        (
            "CKM_AES_CBC_PAD",
            Some(MechanismType::AES_CBC_PAD),
            "wraps with CKM_SHA256_HMAC, if named",
        ),
        ("CKM_SHA256_HMAC", Some(MechanismType::SHA256_HMAC), "MACs"),
        ("CKM_ECDSA", Some(MechanismType::ECDSA), "signatures"),
        ("CKM_EDDSA", Some(MechanismType::EDDSA), "signatures"),
        (
            "CKM_RSA_PKCS_PSS",
            Some(MechanismType::RSA_PKCS_PSS),
            "signatures",
        ),
    ] {
        let has = mechanism.is_some_and(|kind| module.get_mechanism_info(slot, kind).is_ok());
        println!("  {} {name:<22} {why}", if has { "yes" } else { " no" });
    }
}

/// Which mechanisms pass, on this token, the tests that waxseal makes before it uses one.
fn try_out(module: &Path, label: &str, pin_file: &Path) -> Result<(), Box<dyn Error>> {
    let config = Pkcs11Config::new(module)
        .with_token_label(label)
        .with_pin(PinSource::file(pin_file));
    let provider = Pkcs11KeyProvider::open(config)?;
    println!("{provider:?}");
    let mut first = None;
    for (vendor, mechanism, name) in CANDIDATES {
        let wrapping = TokenWrapping::new(vendor).with_mechanism(mechanism);
        match round_trip(&provider.clone().with_wrapping(wrapping)) {
            Ok(()) => {
                println!("  yes {mechanism} as {vendor:?}");
                first.get_or_insert((vendor, name));
            }
            Err(error) => println!("   no {mechanism} as {vendor:?}: {}", reason(&error)),
        }
    }
    let creates = provider.capabilities().creates;
    for &spec in KeySpec::ALL {
        println!(
            "  {} {spec} keys",
            if creates.contains(spec) { "yes" } else { " no" }
        );
    }
    match first {
        None => println!("\nNothing here wraps data keys: this token cannot be used."),
        Some((vendor, name)) => println!(
            "\nUse: Pkcs11KeyProvider::open(config)?.with_wrapping(TokenWrapping::new(Vendor::{vendor:?})\
             .with_mechanism(Mechanism::{name}))\n\
             Who makes the IV of AES-GCM cannot be found out by trying. If the token's documents say \
             that it ignores the caller's IV, use the vendor that they name."
        ),
    }
    Ok(())
}

/// What was said of the mechanism; the rest of the sentence is about how to configure another.
fn reason(error: &ProviderError) -> String {
    let text = error.to_string();
    let told = text.split_once("of those configured (");
    let told = told.and_then(|(_, told)| told.split_once("): "));
    match told.and_then(|(_, reason)| reason.rsplit_once(");")) {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

/// Each with the name of its constant.
macro_rules! candidates {
    ($($vendor:ident $mechanism:ident,)*) => {
        [$((Vendor::$vendor, Mechanism::$mechanism, stringify!($mechanism))),*]
    };
}

/// In the order in which they are to be preferred.
const CANDIDATES: [(Vendor, Mechanism, &str); 9] = candidates![
    Generic GCM_CALLER_IV,
    CloudHsm GCM_RETURNED_IV,
    CloudHsm GCM_PREPENDED_IV,
    Luna GCM_APPENDED_LONG_IV,
    GoogleKms GCM_RETURNED_IV,
    Generic AES_KEY_WRAP,
    Generic RSA_OAEP_SHA256,
    Generic RSA_OAEP_SHA1,
    Generic CBC_HMAC_SHA256,
];

fn round_trip(provider: &Pkcs11KeyProvider) -> Result<(), ProviderError> {
    provider.mechanism()?;
    let handle = provider.create_key(CreateKeyRequest::default())?;
    let data_key = DataKey::from_bytes(&[7; 32])?;
    let tried = provider
        .wrap_key(WrapRequest::new(&handle, &data_key, b"probe"))
        .and_then(|wrapped| {
            let request = UnwrapRequest::new(&handle, wrapped.as_bytes(), b"probe");
            provider.unwrap_key(request)
        });
    provider.destroy_key(&handle)?;
    match tried? == data_key {
        true => Ok(()),
        false => Err(ProviderError::Rejected),
    }
}
