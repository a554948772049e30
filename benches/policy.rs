//! What it costs to ask a policy of 100 statements.
//!
//! `cargo bench --bench policy`. Prints the median of many runs for each request.

use std::hint::black_box;
use std::time::{Duration, Instant};

use waxseal::kms::Operation;
use waxseal::kms::policy::{
    Comparison, Condition, ConditionKey, ConditionValues, Policy, Request, Resource, Statement,
    Value,
};
use waxseal::{EncryptionContext, KeyId};

const STATEMENTS: usize = 100;

fn main() {
    let context = EncryptionContext::new([("purpose", "invoice"), ("tenant", "acme")])
        .expect("two short pairs");
    let values = Session {
        tenant: "acme",
        context: &context,
    };
    let last = format!("svc:service-{}", STATEMENTS - 1);

    let services = services();
    ask(
        &services,
        "each about a principal: the last allows",
        &last,
        &values,
        true,
    );
    ask(
        &services,
        "each about a principal: none allows",
        "eve",
        &values,
        false,
    );

    let tenants = tenants();
    ask(
        &tenants,
        "each with a condition to evaluate: the last allows",
        &last,
        &values,
        true,
    );
    let other = EncryptionContext::new([("tenant", "evil")]).expect("a short pair");
    let values = Session {
        tenant: "acme",
        context: &other,
    };
    ask(
        &tenants,
        "each with a condition to evaluate: none allows",
        &last,
        &values,
        false,
    );

    let text = tenants.to_json();
    report(&format!("reading {} bytes of JSON", text.len()), 20, || {
        black_box(Policy::from_json(black_box(&text)).expect("it was written"));
    });
}

/// As a key has that many services use, each for its own tenant.
fn services() -> Policy {
    let statements = (0..STATEMENTS).map(|number| {
        Statement::allow()
            .sid(format!("Service{number}"))
            .principal(format!("svc:service-{number}"))
            .actions([Operation::GenerateDataKey, Operation::Decrypt])
            .when(Condition::context_equals_attribute("tenant", "tenant"))
    });
    build(statements)
}

/// The worst: every statement is about the request, and its condition decides.
fn tenants() -> Policy {
    let tenant = ConditionKey::EncryptionContext("tenant".into());
    let statements = (0..STATEMENTS).map(|number| {
        let value = if number + 1 == STATEMENTS {
            "${aws:PrincipalTag/tenant}".to_owned()
        } else {
            format!("tenant-{number}")
        };
        Statement::allow()
            .everybody()
            .actions([Operation::GenerateDataKey, Operation::Decrypt])
            .when(Condition::new(
                Comparison::StringEquals,
                tenant.clone(),
                [value],
            ))
    });
    build(statements)
}

fn build(statements: impl Iterator<Item = Statement>) -> Policy {
    statements
        .fold(Policy::builder(), |policy, statement| {
            policy.statement(statement)
        })
        .build()
        .expect("it is a policy")
}

struct Session<'a> {
    tenant: &'a str,
    context: &'a EncryptionContext,
}

impl ConditionValues for Session<'_> {
    fn attribute(&self, name: &str) -> Option<&str> {
        (name == "tenant").then_some(self.tenant)
    }

    fn values(&self, key: &ConditionKey, give: &mut dyn FnMut(Value<'_>)) {
        if let ConditionKey::EncryptionContext(name) = key
            && let Some(value) = self.context.get(name)
        {
            give(Value::Text(value));
        }
    }
}

fn ask(policy: &Policy, name: &str, principal: &str, values: &Session<'_>, allowed: bool) {
    let key = Resource::Key(KeyId::from_bytes([7; 16]));
    let request = Request::new(principal, Operation::Decrypt, key, values);
    assert_eq!(policy.evaluate(&request).is_allowed(), allowed, "{name}");
    report(&format!("{STATEMENTS} statements, {name}"), 1000, || {
        black_box(policy.evaluate(black_box(&request)));
    });
}

/// Prints the median of many runs.
fn report(name: &str, runs: u32, mut work: impl FnMut()) {
    let samples = if is_bench() { 201 } else { 1 };
    let mut times: Vec<Duration> = (0..samples)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..runs {
                work();
            }
            began.elapsed() / runs
        })
        .collect();
    times.sort_unstable();
    println!("{name}: {:?}", times[times.len() / 2]);
}

/// Whether this is a measurement, and not a test that the bench runs.
fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
