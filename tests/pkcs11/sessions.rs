//! What a pool of sessions is good for.

use std::thread;
use std::time::{Duration, Instant};

use waxseal::{CreateKeyRequest, DataKey, KeyHandle, KeyProvider, UnwrapRequest, WrapRequest};

use crate::providers::{self, Pkcs11KeyProvider};
use crate::tokens::{SOFTHSM, token_tests};

const BINDING: &[u8] = b"binding";
const THREADS: usize = 4;

token_tests! {
    fn four_threads_use_four_sessions_where_the_token_takes_its_time(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["delay C_DecryptInit 5"]);
        let time = |sessions| {
            let config = providers::config(&shim.path, SOFTHSM).with_max_sessions(sessions);
            unwrap_on_threads(&providers::try_open(config).unwrap())
        };
        let (one, four) = (time(1), time(THREADS));
        let times = one.as_secs_f64() / four.as_secs_f64();
        eprintln!("{THREADS} sessions are {times:.2} times as fast as one");
        assert!(times > 2.5, "{times:.2}");
    }

    fn a_token_with_fewer_sessions_than_threads(tokens) {
        // So long that the threads meet.
        let plan = ["sessions 3", "delay C_DecryptInit 5"];
        let shim = tokens.shim(&tokens.softhsm(), &plan);
        unwrap_on_threads(&providers::open(&shim.path, SOFTHSM));
        assert!(shim.calls().iter().any(|(_, code)| *code == 0xb1));
    }
}

/// The time that four threads take to unwrap, each forty times.
fn unwrap_on_threads(provider: &Pkcs11KeyProvider) -> Duration {
    let handle = provider.create_key(CreateKeyRequest::default()).unwrap();
    let data_key = DataKey::from_bytes(&[1; 32]).unwrap();
    let request = WrapRequest::new(&handle, &data_key, BINDING);
    let wrapped = provider.wrap_key(request).unwrap();
    let unwrap = |handle: &KeyHandle| {
        let request = UnwrapRequest::new(handle, wrapped.as_bytes(), BINDING);
        assert_eq!(provider.unwrap_key(request).unwrap(), data_key);
    };
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..40).for_each(|_| unwrap(&handle)));
        }
    });
    begin.elapsed()
}
