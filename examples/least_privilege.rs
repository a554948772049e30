//! Three services, each of which may do what it needs: a tenant condition, a grant that expires, a
//! denial explained, and the trail of it all, verified; then one byte of it is edited, and found.
//!
//! `cargo run --example least_privilege`

use std::error::Error;
use std::time::Duration;

use waxseal::audit::{AuditQuery, AuditTrail, MemorySink, Outcome, TrailReader, Verification};
use waxseal::kms::policy::{Condition, Policy, Statement};
use waxseal::kms::{Access, Authorisation, CreateGrant, GrantConstraint, Operation};
use waxseal::{
    Clock, CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, Kms, ManualClock,
    MemoryKeyStore, SoftwareKeyProvider,
};

const HOUR: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Box<dyn Error>> {
    let (clock, trail) = (ManualClock::default(), MemorySink::new());
    let kms = Kms::builder(MemoryKeyStore::new())
        .provider(SoftwareKeyProvider::generate()?)
        .clock(clock.clone())
        .authorisation(Authorisation::enforced("ops:alice"))
        .audit(AuditTrail::builder(trail.clone()))
        .open()?;
    let alice = kms.as_principal("ops:alice");

    // The application seals invoices and the portal opens them, each for the tenant that it is
    // serving: so says the attribute that they vouch for.
    let own_tenant = || Condition::context_equals_attribute("tenant", "tenant");
    let policy = Policy::builder()
        .statement(
            Statement::allow()
                .sid("Owner")
                .principal("ops:alice")
                .all_actions(),
        )
        .statement(
            Statement::allow()
                .sid("Seal")
                .principal("svc:invoices")
                .actions([Operation::GenerateDataKey])
                .when(own_tenant()),
        )
        .statement(
            Statement::allow()
                .sid("Open")
                .principal("svc:portal")
                .actions([Operation::Decrypt])
                .when(own_tenant()),
        )
        .build()?;
    let key = alice.create_key(CreateKey::new().with_policy(policy))?.id;

    let acme = EncryptionContext::new([("tenant", "acme")])?;
    let invoices = kms
        .as_principal("svc:invoices")
        .with_attribute("tenant", "acme");
    let sealed = Envelope::new(invoices.keyring(key)?).encrypt(b"invoice 17", &acme)?;
    let portal = |tenant: &str| {
        let handle = kms
            .as_principal("svc:portal")
            .with_attribute("tenant", tenant);
        handle.keyring(key).map(Envelope::new)
    };
    let opened = portal("acme")?.decrypt(&sealed, &acme)?;
    println!(
        "the portal opens for its own tenant: {}",
        String::from_utf8_lossy(&opened)
    );

    // For another tenant it does not, and the error says no more than that.
    let denied = portal("umbrella")?
        .decrypt(&sealed, &acme)
        .expect_err("not its tenant");
    println!("for another:        {denied}");
    let access = Access::of("svc:portal", Operation::Decrypt)
        .with_attribute("tenant", "umbrella")
        .with_key(key)
        .under(&acme);
    println!("alice may ask why:  {}", alice.explain(&access)?);

    // An export may read one tenant for an hour.
    let until = clock.unix_time().saturating_add(HOUR);
    let grant = CreateGrant::to("svc:export", [Operation::Decrypt])
        .with_constraint(GrantConstraint::Subset(acme.clone()))
        .expiring(until);
    alice.create_grant(key, &grant)?;
    let export = Envelope::new(kms.as_principal("svc:export").keyring(key)?);
    export.decrypt(&sealed, &acme)?;
    clock.advance(HOUR);
    export
        .decrypt(&sealed, &acme)
        .expect_err("the hour is over");
    alice.tick()?;
    println!("the export could read for an hour, and cannot any more");

    let lines = trail.to_bytes();
    let verified = alice.verify_audit_trail(TrailReader::bytes(&lines), &Verification::new())?;
    println!("{} records, verified; the denials:", verified.records);
    let denials = AuditQuery::new().key(key).outcome(Outcome::Denied);
    for record in alice.read_audit_trail(TrailReader::bytes(&lines), &denials)? {
        println!(
            "  {} {} {}",
            record.time, record.identity.principal, record.action
        );
    }

    // Somebody would rather not have been denied.
    let text = String::from_utf8(lines)?;
    let place = text.find("denied").ok_or("there are denials")?;
    let mut edited = text.into_bytes();
    if let Some(byte) = edited.get_mut(place) {
        *byte ^= 1;
    }
    let found = alice
        .verify_audit_trail(TrailReader::bytes(&edited), &Verification::new())
        .expect_err("it was edited");
    println!("one byte edited:    {found}");
    Ok(())
}
