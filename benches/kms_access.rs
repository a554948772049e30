//! What it costs to ask policies and grants, and to record.
//!
//! `cargo bench --bench kms_access`. Prints medians; the runs of what is compared alternate.

use std::hint::black_box;
use std::time::{Duration, Instant};

use waxseal::audit::{AuditTrail, MemorySink};
use waxseal::kms::policy::{Condition, Policy, Statement};
use waxseal::kms::{Authorisation, CreateGrant, GrantConstraint, Operation};
use waxseal::{
    CreateKey, EncryptionContext, KeyId, Kms, KmsHandle, MemoryKeyStore, SoftwareKeyProvider,
};

const ADMIN: &str = "ops:admin";
const USER: &str = "svc:billing";
const RUNS: u32 = 200;

fn main() {
    let context = EncryptionContext::new([("tenant", "acme"), ("purpose", "cards")]);
    let context = context.expect("two short pairs");
    whole_operation(&context);
    check_alone(&context);
}

/// `generate_data_key` without any policy, with policies, and with policies and a trail in memory.
fn whole_operation(context: &EncryptionContext) {
    let open = kms(Setting::Open);
    let asked = kms(Setting::Enforced);
    let recorded = kms(Setting::Recorded);
    let [open, asked, recorded] = [&open, &asked, &recorded].map(|kms| {
        let key = key_for(kms, Policy::all_to(ADMIN).expect("a plain name"));
        (kms.as_principal(ADMIN), key)
    });
    let generate = |(kms, key): &(KmsHandle, KeyId)| {
        black_box(kms.generate_data_key(*key, context).expect("it generates"));
    };
    let [open, asked, recorded] = medians([
        &mut || generate(&open),
        &mut || generate(&asked),
        &mut || generate(&recorded),
    ]);
    println!("generate_data_key: {open:?}; with policies {asked:?}; and recorded {recorded:?}");
    println!(
        "policies and record add {:?}",
        recorded.saturating_sub(open)
    );
}

/// The check alone, by dry runs: 100 statements, and 1,000 grants on the key.
fn check_alone(context: &EncryptionContext) {
    let kms = kms(Setting::Enforced);
    let mut policy = Policy::builder().statement(Statement::allow().principal(ADMIN).all_actions());
    for number in 1..99 {
        let tenant = format!("tenant-{number}");
        policy = policy.statement(
            Statement::allow()
                .principal(format!("svc:{number}"))
                .actions([Operation::GenerateDataKey, Operation::Decrypt])
                .when(Condition::context_equals_attribute(&tenant, "tenant")),
        );
    }
    let last = Statement::allow()
        .principal("svc:last")
        .actions([Operation::GenerateDataKey])
        .when(Condition::context_equals_attribute("tenant", "tenant"));
    let policy = policy.statement(last).build().expect("100 statements");
    let key = key_for(&kms, policy);
    let admin = kms.as_principal(ADMIN);
    let grants = if is_bench() { 1000 } else { 10 };
    for number in 0..grants {
        let tenant = if number + 1 == grants {
            "acme".to_owned()
        } else {
            format!("t{number}")
        };
        let pairs = EncryptionContext::new([("tenant", tenant)]).expect("a short pair");
        // All are the same service's, and the last is the one that allows.
        let grant = CreateGrant::to(USER, [Operation::GenerateDataKey])
            .with_constraint(GrantConstraint::Subset(pairs));
        admin.create_grant(key, &grant).expect("it is given");
    }
    let dry = |principal: &str| {
        let handle = kms.as_principal(principal).with_attribute("tenant", "acme");
        handle.dry_run()
    };
    let by = |handle: &KmsHandle| {
        black_box(
            handle
                .generate_data_key(key, context)
                .expect_err("a dry run"),
        );
    };
    let (statement, grant, nobody) = (dry("svc:last"), dry(USER), dry("svc:nobody"));
    let denied = nobody
        .generate_data_key(key, context)
        .expect_err("not allowed");
    assert!(denied.to_string().contains("denied"));
    let allowed = grant
        .generate_data_key(key, context)
        .expect_err("a dry run");
    assert!(!allowed.to_string().contains("denied"), "{allowed}");
    let [statement, grant, nobody] =
        medians([&mut || by(&statement), &mut || by(&grant), &mut || {
            by(&nobody)
        }]);
    println!("100 statements, {grants} grants: allowed by the last statement {statement:?}");
    println!("100 statements, {grants} grants: allowed by a grant {grant:?}; denied {nobody:?}");
}

enum Setting {
    Open,
    Enforced,
    Recorded,
}

fn kms(setting: Setting) -> Kms {
    let provider = SoftwareKeyProvider::generate().expect("the system has randomness");
    let builder = Kms::builder(MemoryKeyStore::new()).provider(provider);
    let builder = match setting {
        Setting::Open => builder,
        Setting::Enforced => builder.authorisation(Authorisation::enforced(ADMIN)),
        Setting::Recorded => builder
            .authorisation(Authorisation::enforced(ADMIN))
            .audit(AuditTrail::builder(MemorySink::new())),
    };
    builder.open().expect("it opens")
}

fn key_for(kms: &Kms, policy: Policy) -> KeyId {
    let admin = kms.as_principal(ADMIN);
    let has_policies = admin.get_store_policy().expect("it is read").is_some();
    let request = CreateKey::new();
    let request = if has_policies {
        request.with_policy(policy)
    } else {
        request
    };
    admin.create_key(request).expect("it is created").id
}

/// The median time of each, of runs that alternate.
fn medians<const N: usize>(mut works: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let samples = if is_bench() { 301 } else { 1 };
    let mut times: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..samples {
        for (work, times) in works.iter_mut().zip(&mut times) {
            let began = Instant::now();
            for _ in 0..RUNS {
                work();
            }
            times.push(began.elapsed() / RUNS);
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

/// Whether this is a measurement, and not a test that the bench runs.
fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
