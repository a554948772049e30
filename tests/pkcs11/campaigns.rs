//! Bad days: sessions lost, modules initialised anew, logouts, a token that disappears, all while
//! eight threads use it. Whatever fails fails as an outage, nothing is ever wrong, and it ends by itself.

use std::thread;
use std::time::Duration;

use cryptoki::context::Pkcs11;

use crate::load::{Load, Tally};
use crate::tokens::{FULL, SOFTHSM, Shim, token_tests};
use crate::{providers, raw};

/// Within this time after the last disturbance every thread succeeds again.
const RECOVERY: Duration = Duration::from_secs(6);

token_tests! {
    fn a_thousand_lost_sessions(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        lose(&shim, SOFTHSM, "lose sessions 200 1000", 1000);
    }

    fn a_thousand_lost_sessions_of_kryoptic(tokens) {
        let shim = tokens.shim(&tokens.kryoptic(), &[]);
        lose(&shim, FULL, "lose sessions 200 1000", 1000);
    }

    fn a_hundred_initialisations_by_others(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        lose(&shim, SOFTHSM, "lose module 2000 100", 100);
    }

    fn a_hundred_initialisations_of_kryoptic_by_others(tokens) {
        let shim = tokens.shim(&tokens.kryoptic(), &[]);
        lose(&shim, FULL, "lose module 2000 100", 100);
    }

    fn a_hundred_logouts_by_another_user_of_the_module(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let provider = providers::open(&shim.path, SOFTHSM);
        let load = Load::new(&provider);
        let module = raw::module(&shim.path);
        let tally = load.under(|| {
            for _ in 0..100 {
                let session = raw::session(&module, SOFTHSM);
                session.logout().unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
        assert!(shim.count("C_Login") >= 100);
        recovered(&tally);
        load.check();
    }

    fn another_user_finalises_the_module(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let provider = providers::open(&shim.path, SOFTHSM);
        let load = Load::new(&provider);
        let tally = load.under(|| {
            for _ in 0..100 {
                Pkcs11::new(&shim.path).unwrap().finalize().unwrap();
                thread::sleep(Duration::from_millis(10));
                raw::module(&shim.path);
                thread::sleep(Duration::from_millis(5));
            }
        });
        recovered(&tally);
        load.check();
    }

    fn a_token_store_deleted_and_restored(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let provider = providers::open(&shim.path, SOFTHSM);
        let load = Load::new(&provider);
        let (store, away) = (tokens.softhsm_store(), tokens.path("away"));
        let tally = load.under(|| {
            for _ in 0..5 {
                std::fs::rename(&store, &away).unwrap();
                std::fs::create_dir(&store).unwrap();
                thread::sleep(Duration::from_millis(200));
                std::fs::remove_dir(&store).unwrap();
                std::fs::rename(&away, &store).unwrap();
                load.wait_for_work(RECOVERY);
            }
        });
        recovered(&tally);
        load.check();
    }

    fn a_token_whose_server_died_and_came_back(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let provider = providers::open(&shim.path, SOFTHSM);
        let load = Load::new(&provider);
        let tally = load.under(|| {
            for code in ["0x30", "0x5", "0x32", "0xe0"] {
                shim.obey(&[&format!("fail * {code}")]);
                thread::sleep(Duration::from_millis(500));
                shim.obey(&[]);
                thread::sleep(Duration::from_millis(500));
            }
        });
        assert!(tally.unavailable > 0);
        recovered(&tally);
        load.check();
    }
}

/// A load while the token loses something again and again.
fn lose(shim: &Shim, label: &str, rule: &str, times: usize) {
    let provider = providers::open(&shim.path, label);
    let load = Load::new(&provider);
    let tally = load.under(|| {
        shim.obey(&[rule]);
        while shim.count("lost") < times {
            thread::sleep(Duration::from_millis(100));
        }
    });
    recovered(&tally);
    load.check();
}

fn recovered(tally: &Tally) {
    eprintln!("{tally:?}");
    assert!(tally.done > 200, "{tally:?}");
    assert!(tally.recovery < RECOVERY, "{tally:?}");
}
