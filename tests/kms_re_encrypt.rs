//! Re-encryption, as the policies of both keys are asked about it.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::kms::World;
use common::kms_access::{ADMIN, Guarded, admin_statement, allow, assert_denied, policy, tenant};
use waxseal::audit::{Appended, AuditError, AuditSink, AuditTrail, Batch, MemorySink, Tail};
use waxseal::kms::KeySelector;
use waxseal::{CreateKey, KeyId, KmsError, KmsHandle};

fn key(kms: &KmsHandle) -> KeyId {
    kms.create_key(CreateKey::new()).unwrap().id
}

/// Denies what would go from a key to another.
const OWN_KEY_ONLY: &str = r#"{"Effect":"Deny","Principal":"*","Action":"kms:ReEncryptFrom","Resource":"*","Condition":{"Bool":{"kms:ReEncryptOnSameKey":"false"}}}"#;

/// Moves an alias as soon as something was decrypted to be encrypted again.
#[derive(Debug, Clone, Default)]
struct MovesAlias {
    inner: MemorySink,
    to: Arc<Mutex<Option<(KmsHandle, KeyId)>>>,
}

impl AuditSink for MovesAlias {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        self.inner.tail()
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        if batch
            .records()
            .any(|record| record.contains("ReEncryptFrom"))
            && let Some((kms, key)) = self.to.lock().unwrap().take()
        {
            kms.update_alias("alias/to", key).unwrap();
        }
        self.inner.append(batch)
    }
}

#[test]
fn an_alias_that_is_moved_meanwhile_takes_nothing_to_another_key() {
    let (world, sink) = (World::new(), MovesAlias::default());
    let trail = AuditTrail::builder(sink.clone());
    let admin = world
        .builder()
        .refresh_interval(Duration::ZERO)
        .audit(trail)
        .open()
        .unwrap()
        .as_principal(ADMIN);
    let (stays, elsewhere) = (key(&admin), key(&admin));
    let policy = policy(&format!("{}, {OWN_KEY_ONLY}", admin_statement()));
    admin.put_key_policy(stays, &policy).unwrap();
    let sealed = admin.encrypt(stays, b"x", &tenant("a")).unwrap().bytes;
    let again = |to: &str| admin.re_encrypt(&sealed, &tenant("a"), to, &tenant("b"));
    admin.create_alias("alias/to", stays).unwrap();
    admin.create_alias("alias/elsewhere", elsewhere).unwrap();
    assert_denied(again("alias/elsewhere"));
    again("alias/to").unwrap();

    let mover = world.open().as_principal(ADMIN);
    *sink.to.lock().unwrap() = Some((mover, elsewhere));
    let moved = again("alias/to");
    assert!(matches!(moved, Err(KmsError::Conflict { .. })), "{moved:?}");
    assert_denied(again("alias/to"));
}

/// Nor by which half of a re-encryption is denied.
#[test]
fn a_key_that_is_not_there_is_another_key() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let (own, other) = (key(&admin), key(&admin));
    admin.create_alias("alias/known", other).unwrap();
    let may = allow("svc:billing", r#""kms:ReEncrypt*""#);
    let policy = policy(&format!("{}, {may}, {OWN_KEY_ONLY}", admin_statement()));
    admin.put_key_policy(own, &policy).unwrap();
    let sealed = admin.encrypt(own, b"x", &tenant("a")).unwrap().bytes;
    let billing = guarded.kms.as_principal("svc:billing");
    let again = |to: KeySelector<'_>| {
        let again = billing.re_encrypt(&sealed, &tenant("a"), to, &tenant("b"));
        again.map_err(|error| error.to_string())
    };
    again((&own).into()).unwrap();
    let denied = again("alias/known".into()).unwrap_err();
    assert!(denied.starts_with("ReEncryptFrom"), "{denied}");
    assert_eq!(again("alias/unknown".into()).unwrap_err(), denied);
    let unknown = KeyId::from_bytes([0x77; 16]);
    assert_eq!(again((&unknown).into()).unwrap_err(), denied);
}
