//! Policies of keys and of the store, as the KMS asks them.

mod common;

use std::time::Duration;

use common::kms::World;
use common::kms_access::{ADMIN, Guarded, admin_statement, allow, assert_denied, policy, tenant};
use waxseal::kms::policy::Mismatch;
use waxseal::kms::{
    Access, Authorisation, Explanation, ListAliases, Operation, Policy, STORE_POLICY,
};
use waxseal::{
    CachingKeyring, CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, KeyId, Kms,
    KmsError, KmsHandle, ListKeys, RotationPolicy, WaitingPeriod,
};

fn key(kms: &KmsHandle) -> KeyId {
    kms.create_key(CreateKey::new()).unwrap().id
}

/// Services may use the key for their own tenant.
fn tenants() -> Policy {
    policy(&format!(
        r#"{}, {{
            "Sid": "OwnTenant", "Effect": "Allow", "Principal": "svc:billing",
            "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*",
            "Condition": {{"StringEquals": {{
                "kms:EncryptionContext:tenant": "${{aws:PrincipalTag/tenant}}"
            }}}}
        }}"#,
        admin_statement(),
    ))
}

#[test]
fn a_store_without_policies_lets_everybody_do_everything() {
    let world = World::new();
    let kms = world.open();
    let key = key(&kms.as_principal("ops:alice"));
    let anybody = kms.as_principal("anybody");
    assert_eq!(anybody.get_store_policy().unwrap(), None);
    assert_eq!(anybody.get_key_policy(key).unwrap(), None);
    assert_eq!(anybody.list_key_policies(key).unwrap(), [""; 0]);
    anybody.disable_key(key).unwrap();
    let access = Access::of("nobody", Operation::Decrypt).with_key(key);
    assert_eq!(anybody.explain(&access).unwrap(), Explanation::NoPolicy);
}

#[test]
fn a_key_with_a_policy_asks_it_also_in_a_store_without_one() {
    let world = World::new();
    let kms = world.open();
    let admin = kms.as_principal(ADMIN);
    let (guarded, open) = (key(&admin), key(&admin));
    admin
        .put_key_policy(guarded, &policy(&admin_statement()))
        .unwrap();
    let other = kms.as_principal("svc:other");
    assert_denied(other.generate_data_key(guarded, &EncryptionContext::empty()));
    other
        .generate_data_key(open, &EncryptionContext::empty())
        .unwrap();
    other.list_keys(&ListKeys::new()).unwrap();
}

#[test]
fn enforcement_is_of_the_store_and_holds_for_everybody_who_opens_it() {
    let world = World::new();
    let old = key(&world.handle());
    let kms = world
        .builder()
        .authorisation(Authorisation::enforced(ADMIN))
        .open()
        .unwrap();
    // Others open it without a word about policies.
    for kms in [kms, world.open()] {
        let (admin, other) = (kms.as_principal(ADMIN), kms.as_principal("svc:other"));
        assert_denied(other.create_key(CreateKey::new()));
        assert_denied(other.list_keys(&ListKeys::new()));
        assert_denied(other.generate_random(8));
        // A key of before has no policy: the store's decides.
        assert_denied(other.describe_key(old));
        admin.describe_key(old).unwrap();
    }
    // A second administrator is not let in by asking for it.
    let again = world
        .builder()
        .authorisation(Authorisation::enforced("svc:other"))
        .open()
        .unwrap();
    assert_denied(again.as_principal("svc:other").list_keys(&ListKeys::new()));
}

#[test]
fn a_new_key_is_its_creators_and_whose_the_store_says() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    admin
        .put_store_policy(&policy(&format!(
            "{}, {}",
            admin_statement(),
            allow("svc:billing", r#""kms:CreateKey""#)
        )))
        .unwrap();
    let billing = guarded.kms.as_principal("svc:billing");
    let key = key(&billing);
    assert_eq!(admin.list_key_policies(key).unwrap(), ["default"]);
    billing.generate_data_key(key, &tenant("a")).unwrap();
    admin.describe_key(key).unwrap();
    assert_denied(guarded.kms.as_principal("svc:other").describe_key(key));
    let explain = |principal| {
        let access = Access::of(principal, Operation::Decrypt).with_key(key);
        admin.explain(&access).unwrap()
    };
    assert!(matches!(
        explain("svc:billing"),
        Explanation::AllowedByKeyPolicy(_)
    ));
    assert!(matches!(
        explain(ADMIN),
        Explanation::AllowedByStorePolicy(_)
    ));

    // The owner takes the key out of the store's hands.
    billing
        .put_key_policy(key, &policy(&allow("svc:billing", r#""kms:*""#)))
        .unwrap();
    assert_denied(admin.describe_key(key));
}

#[test]
fn a_statement_that_denies_wins_in_either_policy() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let key = key(&admin);
    let deny =
        r#"{"Sid":"Never","Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}"#;
    let sealed = admin.encrypt(key, b"x", &tenant("a")).unwrap().bytes;
    let everything = admin_statement();

    admin
        .put_key_policy(key, &policy(&format!("{deny}, {everything}")))
        .unwrap();
    assert_denied(admin.decrypt(&sealed, &tenant("a")));
    let access = Access::of(ADMIN, Operation::Decrypt).with_key(key);
    let explained = admin.explain(&access).unwrap();
    assert!(!explained.is_allowed());
    assert_eq!(
        explained.to_string(),
        "denied by Statement[0] (Never) of the key's policy"
    );

    admin.put_key_policy(key, &policy(&everything)).unwrap();
    admin.decrypt(&sealed, &tenant("a")).unwrap();
    admin
        .put_store_policy(&policy(&format!("{everything}, {deny}")))
        .unwrap();
    assert_denied(admin.decrypt(&sealed, &tenant("a")));
    assert_eq!(
        admin.explain(&access).unwrap().to_string(),
        "denied by Statement[1] (Never) of the store's policy"
    );
}

#[test]
fn a_service_reads_its_own_tenant_and_no_other() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let key = admin
        .create_key(CreateKey::new().with_policy(tenants()))
        .unwrap()
        .id;
    let billing = guarded.kms.as_principal("svc:billing");
    let acme = billing.clone().with_attribute("tenant", "acme");
    let data_key = acme.generate_data_key(key, &tenant("acme")).unwrap();
    acme.decrypt(&data_key.ciphertext, &tenant("acme")).unwrap();

    let other = billing.clone().with_attribute("tenant", "other");
    for denied in [&billing, &other] {
        assert_denied(denied.decrypt(&data_key.ciphertext, &tenant("acme")));
    }
    assert_denied(acme.generate_data_key(key, &tenant("other")));
    assert_denied(acme.generate_data_key(key, &EncryptionContext::empty()));

    let context = tenant("acme");
    let access = Access::of("svc:billing", Operation::Decrypt)
        .with_key(key)
        .with_attribute("tenant", "other")
        .under(&context);
    let Explanation::NothingAllows {
        key_policy: Some(closest),
        ..
    } = admin.explain(&access).unwrap()
    else {
        panic!("nothing should allow it");
    };
    assert_eq!(closest.statement.sid.as_deref(), Some("OwnTenant"));
    let Mismatch::Condition { key, .. } = closest.mismatch else {
        panic!("{}", closest.mismatch);
    };
    assert_eq!(key.to_string(), "kms:EncryptionContext:tenant");
    assert!(
        admin
            .explain(&access.with_attribute("tenant", "acme"))
            .unwrap()
            .is_allowed()
    );
}

#[test]
fn who_may_not_learns_neither_state_nor_existence() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let (enabled, disabled, deleted) = (key(&admin), key(&admin), key(&admin));
    admin.disable_key(disabled).unwrap();
    admin.create_alias("alias/known", enabled).unwrap();
    admin
        .schedule_deletion(deleted, WaitingPeriod::days(7).unwrap())
        .unwrap();
    guarded.world.clock.advance(Duration::from_secs(8 * 86_400));
    admin.tick().unwrap();
    let stranger = guarded.kms.as_principal("svc:stranger");
    let foreign = admin
        .encrypt(key(&admin), b"x", &tenant("a"))
        .unwrap()
        .bytes;
    let unknown = KeyId::from_bytes([0x77; 16]);
    let told = |error: KmsError| {
        let text = error.to_string();
        assert!(matches!(error, KmsError::Denied { .. }), "{text}");
        text
    };
    for id in [enabled, disabled, deleted, unknown] {
        assert_eq!(
            told(stranger.encrypt(id, b"x", &tenant("a")).unwrap_err()),
            format!(
                "Encrypt with the key {id} is denied to this principal; ask those who look after the key for permission"
            )
        );
    }
    for alias in ["alias/known", "alias/unknown"] {
        let text = told(stranger.describe_key(alias).unwrap_err());
        assert_eq!(
            text.replace(alias, ""),
            "DescribeKey with the key  is denied to this principal; ask those who look after the key for permission"
        );
        told(stranger.delete_alias(alias).unwrap_err());
        let keyring = stranger.keyring(alias).unwrap();
        let envelope = Envelope::new(keyring);
        let sealed = envelope.encrypt(b"x", &tenant("a"));
        assert!(sealed.unwrap_err().to_string().contains("denied"));
        // Nor by whether a message is under the key that has the alias.
        guarded.take_records();
        let error = envelope.decrypt(&foreign, &tenant("a")).unwrap_err();
        assert!(error.to_string().contains("denied"), "{error}");
        assert_eq!(guarded.take_records().len(), 1);
    }
    // Those who may look are told.
    assert!(matches!(
        admin.describe_key(unknown),
        Err(KmsError::NoKey { .. })
    ));
    assert!(matches!(
        admin.describe_key("alias/unknown"),
        Err(KmsError::NoAlias { .. })
    ));
    assert!(matches!(
        admin.describe_key(deleted),
        Err(KmsError::Deleted { .. })
    ));
    admin
        .put_store_policy(&policy(&format!(
            "{}, {}",
            admin_statement(),
            allow("svc:stranger", r#""kms:ListAliases""#)
        )))
        .unwrap();
    stranger.list_aliases(&ListAliases::new()).unwrap();
    assert!(matches!(
        stranger.describe_key("alias/unknown"),
        Err(KmsError::NoAlias { .. })
    ));
    assert_denied(stranger.describe_key("alias/known"));
    assert_denied(stranger.describe_key(unknown));
}

#[test]
fn nobody_locks_himself_out_by_mistake() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let key = key(&admin);
    let others = policy(&allow("svc:other", r#""kms:*""#));
    for refused in [
        admin.put_key_policy(key, &others),
        admin.put_store_policy(&others),
        admin
            .create_key(CreateKey::new().with_policy(others.clone()))
            .map(drop),
    ] {
        assert!(
            matches!(refused, Err(KmsError::PolicyLockout { .. })),
            "{refused:?}"
        );
    }
    admin.describe_key(key).unwrap();

    // What the store's policy allows is not locked out.
    let delegating = policy(&allow(STORE_POLICY, r#""kms:*""#));
    admin.put_key_policy(key, &delegating).unwrap();
    admin.describe_key(key).unwrap();

    admin
        .put_key_policy_even_if_locked_out(key, &others)
        .unwrap();
    assert_denied(admin.describe_key(key));
    assert_denied(admin.put_key_policy_even_if_locked_out(key, &delegating));
    guarded
        .kms
        .as_principal("svc:other")
        .put_key_policy(key, &others)
        .unwrap();
    let foreign = CreateKey::new().with_policy_even_if_locked_out(others);
    let foreign = admin.create_key(foreign).unwrap().id;
    assert_denied(admin.describe_key(foreign));
}

/// Whatever name a statement knows them by.
#[test]
fn what_is_left_to_the_store_asks_conditions_of_who_acts() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let key = key(&admin);
    let everybody = allow("*", r#""kms:*""#);
    admin.put_store_policy(&policy(&everybody)).unwrap();
    let [one, other] = ["svc:one", "svc:other"].map(|name| guarded.kms.as_principal(name));
    for principal in [STORE_POLICY, "*"] {
        let under = |condition: &str| {
            let left = format!(
                r#"{{"Effect":"Allow","Principal":"{principal}","Action":"kms:*","Resource":"*","Condition":{condition}}}"#
            );
            let policy = policy(&format!("{}, {left}", admin_statement()));
            admin.put_key_policy(key, &policy).unwrap();
        };
        under(r#"{"StringNotEquals":{"aws:PrincipalArn":"svc:other"}}"#);
        one.describe_key(key).unwrap();
        assert_denied(other.describe_key(key));
        under(r#"{"StringEquals":{"aws:PrincipalArn":"svc:one"}}"#);
        one.describe_key(key).unwrap();
        assert_denied(other.describe_key(key));
    }
}

#[test]
fn the_name_that_stands_for_the_store_is_nobodys() {
    let guarded = Guarded::new();
    let key = key(&guarded.admin());
    let impostor = guarded.kms.as_principal(STORE_POLICY);
    assert_denied(impostor.describe_key(key));
    assert_denied(impostor.list_keys(&ListKeys::new()));
}

#[test]
fn parameters_of_requests_are_asked_for() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let limited = |action: &str, condition: &str| {
        policy(&format!(
            r#"{}, {{"Effect":"Allow","Principal":"svc:limited","Action":"{action}","Resource":"*","Condition":{condition}}}"#,
            admin_statement()
        ))
    };
    let handle = guarded.kms.as_principal("svc:limited");
    let key = key(&admin);
    let put = |policy: &Policy| admin.put_key_policy(key, policy).unwrap();

    put(&limited(
        "kms:ScheduleKeyDeletion",
        r#"{"NumericGreaterThanEquals":{"kms:ScheduleKeyDeletionPendingWindowInDays":"20"}}"#,
    ));
    assert_denied(handle.schedule_deletion(key, WaitingPeriod::days(19).unwrap()));
    handle
        .schedule_deletion(key, WaitingPeriod::days(20).unwrap())
        .unwrap();
    admin.cancel_deletion(key).unwrap();
    admin.enable_key(key).unwrap();

    put(&limited(
        "kms:TagResource",
        r#"{"StringEquals":{"aws:RequestTag/team":"billing"},"ForAllValues:StringEquals":{"aws:TagKeys":"team"}}"#,
    ));
    assert_denied(handle.tag_key(key, "team", "other"));
    assert_denied(handle.tag_key(key, "cost", "billing"));
    handle.tag_key(key, "team", "billing").unwrap();

    put(&limited(
        "kms:Encrypt",
        r#"{"StringEquals":{"aws:ResourceTag/team":"billing","kms:RequestAlias":"alias/now"}}"#,
    ));
    admin.create_alias("alias/now", key).unwrap();
    assert_denied(handle.encrypt(key, b"x", &tenant("a")));
    handle.encrypt("alias/now", b"x", &tenant("a")).unwrap();
    admin.untag_key(key, "team").unwrap();
    assert_denied(handle.encrypt("alias/now", b"x", &tenant("a")));

    put(&limited(
        "kms:EnableKeyRotation",
        r#"{"NumericLessThanEquals":{"kms:RotationPeriodInDays":"100"}}"#,
    ));
    assert_denied(handle.enable_rotation(key, RotationPolicy::every_days(365)));
    handle
        .enable_rotation(key, RotationPolicy::every_days(90))
        .unwrap();

    put(&limited(
        "kms:ReEncrypt*",
        r#"{"Bool":{"kms:ReEncryptOnSameKey":"true"}}"#,
    ));
    let sealed = admin.encrypt(key, b"x", &tenant("a")).unwrap().bytes;
    let elsewhere = self::key(&admin);
    handle
        .re_encrypt(&sealed, &tenant("a"), key, &tenant("b"))
        .unwrap();
    assert_denied(handle.re_encrypt(&sealed, &tenant("a"), elsewhere, &tenant("b")));

    admin
        .put_store_policy(&limited(
            "kms:CreateKey",
            r#"{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT","aws:RequestTag/team":"billing"}}"#,
        ))
        .unwrap();
    assert_denied(handle.create_key(CreateKey::new()));
    handle
        .create_key(CreateKey::new().with_tag("team", "billing"))
        .unwrap();
}
#[test]
fn an_alias_is_moved_by_whom_both_keys_and_the_store_allow_it() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let (first, second) = (key(&admin), key(&admin));
    admin.create_alias("alias/cards", first).unwrap();
    let mover = guarded.kms.as_principal("svc:mover");
    let may = |key: KeyId| {
        let statements = [
            admin_statement(),
            allow("svc:mover", r#""kms:UpdateAlias""#),
        ];
        admin
            .put_key_policy(key, &policy(&statements.join(",")))
            .unwrap();
    };
    assert_denied(mover.update_alias("alias/cards", second));
    may(second);
    assert_denied(mover.update_alias("alias/cards", second));
    let aliases = r#"{"Effect":"Allow","Principal":"svc:mover","Action":"kms:UpdateAlias","Resource":"alias/*"}"#;
    let of_store = format!("{}, {aliases}", admin_statement());
    admin.put_store_policy(&policy(&of_store)).unwrap();
    // The key that has it is not his to take it from.
    assert_denied(mover.update_alias("alias/cards", second));
    assert_eq!(admin.describe_key("alias/cards").unwrap().id, first);
    may(first);
    mover.update_alias("alias/cards", second).unwrap();
    assert_eq!(admin.describe_key("alias/cards").unwrap().id, second);
}

#[test]
fn policies_count_at_once_here_and_within_the_interval_there() {
    let guarded = Guarded::new();
    let interval = Duration::from_secs(5);
    let there = guarded
        .world
        .builder()
        .refresh_interval(interval)
        .open()
        .unwrap();
    let admin = guarded.admin();
    let key = key(&admin);
    let user = |kms: &Kms| kms.as_principal("svc:user").describe_key(key);
    let allowing = policy(&format!(
        "{}, {}",
        admin_statement(),
        allow("svc:user", r#""kms:DescribeKey""#)
    ));
    admin.put_key_policy(key, &allowing).unwrap();
    user(&guarded.kms).unwrap();
    user(&there).unwrap();
    admin
        .put_key_policy(key, &policy(&admin_statement()))
        .unwrap();
    assert_denied(user(&guarded.kms));
    guarded
        .world
        .clock
        .advance(interval - Duration::from_nanos(1));
    user(&there).unwrap();
    guarded.world.clock.advance(Duration::from_nanos(1));
    assert_denied(user(&there));

    // So does the policy of the store.
    let list = |kms: &Kms| kms.as_principal("svc:user").list_keys(&ListKeys::new());
    assert_denied(list(&there));
    let listing = allow("svc:user", r#""kms:ListKeys""#);
    let of_store = format!("{}, {listing}", admin_statement());
    admin.put_store_policy(&policy(&of_store)).unwrap();
    list(&guarded.kms).unwrap();
    assert_denied(list(&there));
    guarded.world.clock.advance(interval);
    list(&there).unwrap();
}

#[test]
fn two_who_put_policies_at_once_lose_none() {
    let guarded = Guarded::new();
    let kms = &guarded.kms;
    let key = key(&guarded.admin());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let admin = kms.as_principal(ADMIN);
            scope.spawn(move || {
                for round in 0..10 {
                    let statements = [
                        admin_statement(),
                        allow(&format!("svc:{thread}-{round}"), r#""kms:Decrypt""#),
                    ];
                    let policy = policy(&statements.join(","));
                    admin.put_key_policy(key, &policy).unwrap();
                    admin.put_store_policy(&policy).unwrap();
                }
            });
        }
    });
    let records = guarded.records();
    let puts = |action: &str| records.iter().filter(|it| it.action == action).count();
    assert_eq!(puts("kms:PutKeyPolicy"), 40);
    assert_eq!(puts("kms:PutStorePolicy"), 41);
    let body = guarded.world.body(key);
    assert_eq!(body["generation"], 41);
}

/// Through cached data keys a right goes on to be used for as long as they are kept.
#[test]
fn a_revoked_right_ends_cached_use_when_the_cache_lets_go() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let key = admin
        .create_key(CreateKey::new().with_policy(tenants()))
        .unwrap()
        .id;
    let acme = guarded
        .kms
        .as_principal("svc:billing")
        .with_attribute("tenant", "acme");
    let limits = waxseal::CacheLimits::default();
    let keyring =
        CachingKeyring::new(acme.keyring(key).unwrap()).with_clock(guarded.world.clock.clone());
    let envelope = Envelope::new(keyring.clone());
    let sealed = envelope.encrypt(b"x", &tenant("acme")).unwrap();
    envelope.decrypt(&sealed, &tenant("acme")).unwrap();
    admin
        .put_key_policy(key, &policy(&admin_statement()))
        .unwrap();

    envelope.encrypt(b"x", &tenant("acme")).unwrap();
    guarded.world.clock.advance(limits.max_age);
    let error = envelope.encrypt(b"x", &tenant("acme")).unwrap_err();
    assert!(error.to_string().contains("denied"), "{error}");
    let error = envelope.decrypt(&sealed, &tenant("acme")).unwrap_err();
    assert!(error.to_string().contains("denied"), "{error}");
    // Whoever cannot wait empties the cache.
    keyring.clear();
}
