//! What is done to calls: the file beside the module, one rule a line.
//!
//! ```text
//! module PATH                     the module behind this one; the only line that must be there
//! env NAME VALUE                  set before the module is loaded (`SOFTHSM2_CONF`)
//! log PATH                        a line for every call: function, result in hexadecimal
//! fail FUNCTION CODE [SKIP [N]]   returns CODE instead of calling, after SKIP calls, N times;
//!                                 FUNCTION `*` is every one but C_Initialize and C_Finalize
//! fail-late FUNCTION CODE [SKIP [N]]   the same, after calling
//! length FUNCTION CHANGE          the length that a result claims is changed by so much, for results
//!                                 and not for questions about lengths
//! delay FUNCTION MILLISECONDS
//! sessions N                      the limit of open sessions
//! lose sessions EVERY N           at every EVERYth call all sessions are closed before it, N times
//! lose module EVERY N             the module is finalised and initialised, likewise
//! lose everything EVERY N         the module is finalised, likewise
//! hide MECHANISM                  the module does not have it
//! alias MECHANISM REAL            the module has MECHANISM, which is REAL
//! iv MODE                         who makes IVs of AES-GCM: caller, returned, returned-at-init, zero,
//!                                 appended, prepended
//! value-len                       C_UnwrapKey wants CKA_VALUE_LEN, and does not pass it on
//! clock SLOT TEXT                 the slot's token has a clock, and its time is TEXT
//! ```
//!
//! Codes and mechanisms are numbers in hexadecimal, with `0x`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use cryptoki_sys::{CK_MECHANISM_TYPE, CK_RV, CK_SLOT_ID};

use crate::real;

#[derive(Default)]
pub struct Plan {
    pub module: PathBuf,
    pub log: Option<PathBuf>,
    pub faults: Vec<Fault>,
    pub lengths: Vec<(String, i64)>,
    pub delays: Vec<(String, u64)>,
    pub sessions: Option<usize>,
    pub losses: Vec<Loss>,
    pub hidden: Vec<CK_MECHANISM_TYPE>,
    pub aliases: Vec<(CK_MECHANISM_TYPE, CK_MECHANISM_TYPE)>,
    pub iv: IvMode,
    pub value_len: bool,
    pub clock: Option<(CK_SLOT_ID, String)>,
    environment: Vec<(String, String)>,
}

pub struct Fault {
    pub function: String,
    pub code: CK_RV,
    pub late: bool,
    pub skip: u64,
    pub times: u64,
}

pub struct Loss {
    pub of: Lost,
    every: u64,
    calls: u64,
    times: u64,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Lost {
    Sessions,
    Module,
    Everything,
}

#[derive(Clone, Copy, Default, PartialEq)]
pub enum IvMode {
    #[default]
    Caller,
    Returned,
    ReturnedAtInit,
    Zero,
    Appended,
    Prepended,
}

/// Asks the plan, which is read anew when its file was replaced.
pub fn with<R>(ask: impl FnOnce(&mut Plan) -> R) -> R {
    ask(&mut current().plan)
}

struct Current {
    path: PathBuf,
    version: (u64, i64, i64, u64),
    plan: Plan,
}

fn current() -> MutexGuard<'static, Current> {
    static CURRENT: OnceLock<Mutex<Current>> = OnceLock::new();
    let mut current = CURRENT
        .get_or_init(|| {
            let mut path = real::own_path().into_os_string();
            path.push(".control");
            Mutex::new(Current {
                path: path.into(),
                version: Default::default(),
                plan: Plan::default(),
            })
        })
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let file = fs::metadata(&current.path)
        .unwrap_or_else(|error| panic!("the shim's {}: {error}", current.path.display()));
    let version = (file.ino(), file.mtime(), file.mtime_nsec(), file.size());
    if current.version != version {
        let text = fs::read_to_string(&current.path).expect("the shim's control file");
        current.plan = Plan::parse(&text);
        current.version = version;
        for (name, value) in &current.plan.environment {
            if std::env::var_os(name).is_none_or(|now| now != value.as_str()) {
                // SAFETY: the tests that use this line do so before they start threads.
                unsafe { std::env::set_var(name, value) };
            }
        }
    }
    current
}

impl Plan {
    fn parse(text: &str) -> Self {
        let mut plan = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            plan.rule(line)
                .unwrap_or_else(|| panic!("the shim does not understand '{line}'"));
        }
        plan
    }

    fn rule(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["module", path] => self.module = path.into(),
            ["env", name, value] => self.environment.push((name.into(), value.into())),
            ["log", path] => self.log = Some(path.into()),
            [verb @ ("fail" | "fail-late"), function, code, ref rest @ ..] => {
                self.faults.push(Fault {
                    function: function.into(),
                    code: number(code)?,
                    late: verb == "fail-late",
                    skip: rest.first().map_or(Some(0), |skip| skip.parse().ok())?,
                    times: rest
                        .get(1)
                        .map_or(Some(u64::MAX), |times| times.parse().ok())?,
                });
            }
            ["length", function, change] => {
                self.lengths.push((function.into(), change.parse().ok()?));
            }
            ["delay", function, milliseconds] => {
                self.delays
                    .push((function.into(), milliseconds.parse().ok()?));
            }
            ["sessions", limit] => self.sessions = Some(limit.parse().ok()?),
            ["lose", what, every, times] => self.losses.push(Loss {
                of: match what {
                    "sessions" => Lost::Sessions,
                    "module" => Lost::Module,
                    "everything" => Lost::Everything,
                    _ => return None,
                },
                every: every.parse().ok()?,
                calls: 0,
                times: times.parse().ok()?,
            }),
            ["hide", mechanism] => self.hidden.push(number(mechanism)?),
            ["alias", mechanism, real] => {
                self.aliases.push((number(mechanism)?, number(real)?));
            }
            ["iv", mode] => {
                self.iv = match mode {
                    "caller" => IvMode::Caller,
                    "returned" => IvMode::Returned,
                    "returned-at-init" => IvMode::ReturnedAtInit,
                    "zero" => IvMode::Zero,
                    "appended" => IvMode::Appended,
                    "prepended" => IvMode::Prepended,
                    _ => return None,
                };
            }
            ["value-len"] => self.value_len = true,
            ["clock", slot, time] => self.clock = Some((slot.parse().ok()?, time.into())),
            _ => return None,
        }
        Some(())
    }

    /// The code that this call of `function` fails with, if it does.
    pub fn fault(&mut self, function: &str, late: bool) -> Option<CK_RV> {
        let is_start = matches!(function, "C_Initialize" | "C_Finalize");
        let fault = self.faults.iter_mut().find(|fault| {
            let named = fault.function == function || (fault.function == "*" && !is_start);
            named && fault.late == late && fault.times > 0
        })?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times -= 1;
        Some(fault.code)
    }

    /// What is lost before this call, if anything is.
    pub fn loss(&mut self) -> Option<Lost> {
        let loss = self.losses.iter_mut().find(|loss| loss.times > 0)?;
        loss.calls += 1;
        if loss.calls < loss.every {
            return None;
        }
        loss.calls = 0;
        loss.times -= 1;
        Some(loss.of)
    }

    pub fn delay(&self, function: &str) -> Option<u64> {
        of(&self.delays, function)
    }

    pub fn length(&self, function: &str) -> Option<i64> {
        of(&self.lengths, function)
    }

    /// What the real module calls a mechanism; nothing if it is hidden.
    pub fn real_mechanism(&self, mechanism: CK_MECHANISM_TYPE) -> Option<CK_MECHANISM_TYPE> {
        if self.hidden.contains(&mechanism) {
            return None;
        }
        let alias = self.aliases.iter().find(|(alias, _)| *alias == mechanism);
        Some(alias.map_or(mechanism, |(_, real)| *real))
    }
}

fn of<T: Copy>(rules: &[(String, T)], function: &str) -> Option<T> {
    let rule = rules.iter().find(|(name, _)| name == function)?;
    Some(rule.1)
}

fn number(text: &str) -> Option<CK_RV> {
    CK_RV::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
