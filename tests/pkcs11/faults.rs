//! Every code from every function that the provider calls; wrong lengths; IVs that are none.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use waxseal::{
    CreateKeyRequest, DataKey, KeyHandle, KeyProvider, ProviderError, UnwrapRequest, WrapRequest,
};

use crate::load::is_outage;
use crate::providers::{self, Pkcs11KeyProvider};
use crate::tokens::{SOFTHSM, Shim, Tokens, token_tests};

/// Every code of PKCS#11 3.2, and three that are nobody's.
const CODES: [u64; 106] = [
    0x1,
    0x2,
    0x3,
    0x5,
    0x6,
    0x7,
    0x8,
    0x9,
    0xa,
    0x10,
    0x11,
    0x12,
    0x13,
    0x1b,
    0x20,
    0x21,
    0x30,
    0x31,
    0x32,
    0x40,
    0x41,
    0x42,
    0x50,
    0x51,
    0x54,
    0x60,
    0x62,
    0x63,
    0x64,
    0x65,
    0x66,
    0x67,
    0x68,
    0x69,
    0x6a,
    0x70,
    0x71,
    0x82,
    0x90,
    0x91,
    0xa0,
    0xa1,
    0xa2,
    0xa3,
    0xa4,
    0xb0,
    0xb1,
    0xb3,
    0xb4,
    0xb5,
    0xb6,
    0xb7,
    0xb8,
    0xc0,
    0xc1,
    0xd0,
    0xd1,
    0xe0,
    0xe1,
    0xe2,
    0xf0,
    0xf1,
    0xf2,
    0x100,
    0x101,
    0x102,
    0x103,
    0x104,
    0x105,
    0x110,
    0x112,
    0x113,
    0x114,
    0x115,
    0x120,
    0x121,
    0x130,
    0x140,
    0x150,
    0x160,
    0x170,
    0x180,
    0x190,
    0x191,
    0x1a0,
    0x1a1,
    0x1b0,
    0x1b1,
    0x1b5,
    0x1b6,
    0x1b7,
    0x1b8,
    0x1b9,
    0x200,
    0x201,
    0x202,
    0x203,
    0x204,
    0x205,
    0x206,
    0x207,
    0x208,
    0x209,
    0x8000_0000,
    0x8000_1234,
    0xffff_ffff,
];

/// Codes that say that what was to be unwrapped is not what was wrapped.
const BAD_DATA: [u64; 9] = [0x20, 0x21, 0x40, 0x41, 0x42, 0x110, 0x112, 0xc0, 0xc1];

/// Codes by which a login is refused for good: PIN_INCORRECT and those after it, and
/// USER_PIN_NOT_INITIALIZED.
const PIN: [u64; 6] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x102];

token_tests! {
    fn every_code_from_every_function_once(tokens) {
        let bench = Bench::new(tokens, &[]);
        for function in bench.functions() {
            for code in CODES {
                let rule = format!("fail {function} {code:#x} 0 1");
                bench.try_rules(&[loss(&function), &rule], &function, code);
                bench.comes_back(&rule);
            }
        }
    }

    fn every_code_for_good_from_functions_that_use_keys(tokens) {
        let bench = Bench::new(tokens, &[]);
        for function in ["C_Decrypt", "C_DecryptInit", "C_Encrypt", "C_FindObjects"] {
            for code in CODES {
                bench.fails_for_good(function, code);
            }
        }
    }

    fn every_code_for_good_from_functions_that_log_in(tokens) {
        let bench = Bench::new(tokens, &[]);
        for function in ["C_OpenSession", "C_Login", "C_GetSessionInfo"] {
            for code in CODES {
                bench.fails_for_good(function, code);
            }
        }
    }

    fn some_codes_for_good_from_every_function(tokens) {
        let bench = Bench::new(tokens, &[]);
        for function in bench.functions() {
            for code in [0x2, 0x5, 0x30, 0x54, 0x70, 0xa0, 0xb3, 0x101, 0x190, 0x8000_1234] {
                bench.fails_for_good(&function, code);
            }
        }
    }

    fn every_code_with_aes_key_wrap(tokens) {
        // Without AES-GCM, keys are wrapped by C_WrapKey, from objects that are made for it.
        let bench = Bench::new(tokens, &["hide 0x1087"]);
        let functions = bench.functions();
        for function in ["C_WrapKey", "C_UnwrapKey", "C_CreateObject", "C_DestroyObject"] {
            assert!(functions.contains(function), "{functions:?}");
            for code in CODES {
                for times in ["0 1", ""] {
                    let rule = format!("fail {function} {code:#x} {times}");
                    bench.try_rules(&["hide 0x1087", &rule], function, code);
                    bench.comes_back(&rule);
                }
            }
        }
    }

    fn lengths_that_are_wrong(tokens) {
        for (hide, function) in [
            ("", "C_Encrypt"),
            ("", "C_Decrypt"),
            ("hide 0x1087", "C_WrapKey"),
        ] {
            let bench = Bench::new(tokens, &[hide]);
            for change in [-1, -4, -16, -31, -32, -47, -48, -100] {
                let rule = format!("length {function} {change}");
                bench.try_rules(&[hide, &rule], function, 0);
                bench.comes_back(&rule);
            }
        }
    }
}

/// A provider over a token that fails as it is told to.
struct Bench {
    shim: Shim,
    calm: Vec<String>,
    provider: Pkcs11KeyProvider,
    key: KeyHandle,
    wrapped: Vec<u8>,
    other: KeyHandle,
    /// What was wrapped while the token failed; it unwraps when it works.
    made: RefCell<Vec<Vec<u8>>>,
}

const BINDING: &[u8] = b"bound";

impl Bench {
    fn new(tokens: &Tokens, rules: &[&str]) -> Self {
        let shim = tokens.shim(&tokens.softhsm(), rules);
        let provider = providers::open(&shim.path, SOFTHSM);
        let new_key = || provider.create_key(CreateKeyRequest::default()).unwrap();
        let (key, other) = (new_key(), new_key());
        let wrapped = provider
            .wrap_key(WrapRequest::new(&key, &data_key(), BINDING))
            .unwrap();
        Self {
            shim,
            calm: rules.iter().map(ToString::to_string).collect(),
            wrapped: wrapped.as_bytes().to_vec(),
            provider,
            key,
            other,
            made: RefCell::default(),
        }
    }

    /// All functions that the provider calls, from the loading of the module to the end of a key.
    fn functions(&self) -> BTreeSet<String> {
        self.obey(&["lose everything 1 1"]);
        for result in self.all_operations() {
            result.unwrap();
        }
        let calls = self.shim.calls();
        let functions = calls.into_iter().map(|(function, _)| function);
        functions.filter(|function| function != "lost").collect()
    }

    /// Does everything under these rules: no answer may be wrong, and no failure of another class
    /// than its code's.
    fn try_rules(&self, rules: &[&str], function: &str, code: u64) {
        self.shim.forget();
        self.obey(rules);
        for result in self.all_operations() {
            let Err(error) = result else { continue };
            self.judge(&error, rules, function, code);
        }
        let logins = self.shim.count("C_Login");
        if function == "C_Login" && PIN.contains(&code) {
            assert_eq!(logins, 1, "{rules:?}: a PIN was tried again");
        }
    }

    fn fails_for_good(&self, function: &str, code: u64) {
        let rule = format!("fail {function} {code:#x}");
        self.try_rules(&[loss(function), &rule], function, code);
        self.comes_back(&rule);
    }

    fn judge(&self, error: &ProviderError, rules: &[&str], function: &str, code: u64) {
        let told = format!("{rules:?}: {error:?}");
        let opens = matches!(function, "C_DecryptInit" | "C_Decrypt" | "C_UnwrapKey");
        match error {
            ProviderError::Unavailable { .. } => {
                assert!(!PIN.contains(&code) || !logs_in(function), "{told}")
            }
            ProviderError::Rejected => {
                assert!(opens && (BAD_DATA.contains(&code) || code == 0), "{told}")
            }
            ProviderError::Refused { .. } | ProviderError::Unsupported { .. } => {}
            _ => panic!("{told}"),
        }
    }

    /// That the token is used again as soon as it works again.
    fn comes_back(&self, after: &str) {
        self.obey(&[]);
        let since = Instant::now();
        loop {
            match self.unwrap(&self.key, &self.wrapped) {
                Ok(unwrapped) => {
                    assert_eq!(unwrapped, data_key());
                    break;
                }
                Err(ProviderError::Refused { .. }) => self.provider.log_in_anew().unwrap_or(()),
                Err(error) => assert!(is_outage(&error), "{after}: {error:?}"),
            }
            assert!(since.elapsed() < Duration::from_secs(6), "{after}");
            thread::sleep(Duration::from_millis(5));
        }
        for made in self.made.take() {
            let unwrapped = self.unwrap(&self.key, &made);
            assert_eq!(unwrapped.unwrap(), data_key(), "{after}");
        }
    }

    fn obey(&self, rules: &[&str]) {
        let calm = self.calm.iter().map(String::as_str);
        let rules: Vec<&str> = match rules {
            [] => calm.collect(),
            _ => rules.to_vec(),
        };
        self.shim.obey(&rules);
    }

    /// Everything that a provider does with keys that wrap. What must be refused and is refused is
    /// well done.
    fn all_operations(&self) -> Vec<Result<(), ProviderError>> {
        let mut results = Vec::new();
        results.push(self.unwrap(&self.key, &self.wrapped).map(|unwrapped| {
            assert_eq!(unwrapped, data_key());
        }));
        let mut changed = self.wrapped.clone();
        changed[20] ^= 1;
        results.push(refused(self.unwrap(&self.key, &changed)));
        results.push(refused(self.unwrap(&self.other, &self.wrapped)));
        let wrapped = self
            .provider
            .wrap_key(WrapRequest::new(&self.key, &data_key(), BINDING));
        results.push(wrapped.map(|wrapped| {
            self.made.borrow_mut().push(wrapped.as_bytes().to_vec());
        }));
        results.push(self.provider.describe_key(&self.key).map(drop));
        let created = self.provider.create_key(CreateKeyRequest::default());
        results.push(created.and_then(|key| self.provider.destroy_key(&key)));
        results
    }

    fn unwrap(&self, key: &KeyHandle, wrapped: &[u8]) -> Result<DataKey, ProviderError> {
        self.provider
            .unwrap_key(UnwrapRequest::new(key, wrapped, BINDING))
    }
}

/// What is lost, so that the provider calls the function.
fn loss(function: &str) -> &'static str {
    match function {
        "C_Initialize" | "C_GetSlotList" | "C_GetTokenInfo" => "lose everything 1 1",
        _ => "lose sessions 1 1",
    }
}

fn logs_in(function: &str) -> bool {
    function == "C_Login"
}

fn data_key() -> DataKey {
    DataKey::from_bytes(&[0x42; 32]).unwrap()
}

fn refused(unwrapped: Result<DataKey, ProviderError>) -> Result<(), ProviderError> {
    match unwrapped {
        Err(ProviderError::Rejected) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => panic!("what is not a wrapped key was unwrapped"),
    }
}
