//! Grants: rights with an end.

mod common;

use std::time::Duration;

use common::kms::{DAY, World, key_address};
use common::kms_access::{ADMIN, Guarded, admin_statement, assert_denied, policy, tenant};
use waxseal::kms::{
    Access, Authorisation, CreateGrant, Explanation, GrantConstraint, GrantId, GrantMismatch,
    GrantToken, ListGrants, Operation,
};
use waxseal::store::{Collection, KeyStore, ScanRequest, Transaction};
use waxseal::{
    Backup, Clock, CreateKey, EncryptionContext, Envelope, KeyId, KeySpec, Kms, KmsError,
    KmsHandle, ManualClock, MemoryKeyStore, RootKey, SingleKeyring, SoftwareKeyProvider,
    WaitingPeriod,
};

const USE: [Operation; 2] = [Operation::GenerateDataKey, Operation::Decrypt];

fn key(guarded: &Guarded) -> KeyId {
    guarded.admin().create_key(CreateKey::new()).unwrap().id
}

fn ids(kms: &KmsHandle, key: KeyId) -> Vec<GrantId> {
    let page = kms.list_grants(key, &ListGrants::new()).unwrap();
    page.grants.iter().map(|grant| grant.id).collect()
}

#[test]
fn a_grant_allows_until_it_ends() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let export = guarded.kms.as_principal("svc:export");
    let use_it = || export.generate_data_key(key, &tenant("a"));
    assert_denied(use_it());

    let revoked = admin
        .create_grant(key, &CreateGrant::to("svc:export", USE))
        .unwrap();
    use_it().unwrap();
    assert_denied(export.describe_key(key));
    assert_denied(
        guarded
            .kms
            .as_principal("svc:other")
            .generate_data_key(key, &tenant("a")),
    );
    admin.revoke_grant(key, revoked.id).unwrap();
    assert_denied(use_it());
    let again = admin.revoke_grant(key, revoked.id);
    assert!(matches!(again, Err(KmsError::NoGrant { .. })), "{again:?}");

    let expires = guarded.world.clock.unix_time().saturating_add(DAY);
    let expiring = CreateGrant::to("svc:export", USE).expiring(expires);
    let expiring = admin.create_grant(key, &expiring).unwrap();
    use_it().unwrap();
    guarded.world.clock.advance(DAY);
    assert_denied(use_it());
    assert_eq!(ids(&admin, key), [expiring.id], "not swept yet");
    assert_eq!(admin.tick().unwrap().ended_grants, [(key, expiring.id)]);
    assert_eq!(ids(&admin, key), []);
    assert!(admin.tick().unwrap().is_empty());
    assert_eq!(guarded.world.body(key).get("grants"), None);
}

#[test]
fn who_retires() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let (grantee, retiring) = (
        guarded.kms.as_principal("svc:grantee"),
        guarded.kms.as_principal("svc:retiring"),
    );
    let plain = CreateGrant::to("svc:grantee", USE).with_retiring_principal("svc:retiring");
    let given = admin.create_grant(key, &plain).unwrap();
    assert_denied(grantee.retire_grant(&given.token));
    assert_denied(retiring.revoke_grant(key, given.id));
    let listed = admin
        .list_retirable_grants("svc:retiring", &ListGrants::new())
        .unwrap();
    assert_eq!(listed.grants.len(), 1);
    retiring.retire_grant(&given.token).unwrap();
    assert_denied(retiring.retire_grant(&given.token));

    let with_right = CreateGrant::to("svc:grantee", [Operation::Decrypt, Operation::RetireGrant]);
    let (first, second) = (
        admin.create_grant(key, &with_right).unwrap(),
        admin.create_grant(key, &plain).unwrap(),
    );
    assert_denied(grantee.retire_grant_by_id(key, second.id));
    grantee.retire_grant_by_id(key, first.id).unwrap();
    admin.retire_grant(&second.token).unwrap();
    assert_eq!(ids(&admin, key), []);
}

#[test]
fn a_constraint_narrows_it() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let both = EncryptionContext::new([("tenant", "a"), ("purpose", "x")]).unwrap();
    let export = guarded.kms.as_principal("svc:export");
    let use_under = |context: &EncryptionContext| export.generate_data_key(key, context);
    let give = |constraint: GrantConstraint| {
        let request = CreateGrant::to("svc:export", USE).with_constraint(constraint);
        admin.create_grant(key, &request).unwrap().id
    };

    let subset = give(GrantConstraint::Subset(tenant("a")));
    use_under(&tenant("a")).unwrap();
    use_under(&both).unwrap();
    assert_denied(use_under(&tenant("b")));
    assert_denied(use_under(&EncryptionContext::empty()));
    admin.revoke_grant(key, subset).unwrap();

    let equals = give(GrantConstraint::Equals(tenant("a")));
    use_under(&tenant("a")).unwrap();
    assert_denied(use_under(&both));
    admin.revoke_grant(key, equals).unwrap();
    assert_denied(use_under(&tenant("a")));
}

#[test]
fn what_cannot_be_given() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let refused = |request: CreateGrant| admin.create_grant(key, &request).unwrap_err();
    let invalid = |request| {
        let error = refused(request);
        assert!(matches!(error, KmsError::InvalidGrant { .. }), "{error}");
    };
    invalid(CreateGrant::to("svc:a", []));
    invalid(CreateGrant::to("", USE));
    invalid(CreateGrant::to("svc:a", [Operation::PutKeyPolicy]));
    invalid(CreateGrant::to("svc:a", [Operation::ScheduleKeyDeletion]));
    invalid(
        CreateGrant::to("svc:a", [Operation::Sign])
            .with_constraint(GrantConstraint::Subset(tenant("a"))),
    );
    let error = refused(CreateGrant::to("svc:a", [Operation::Sign]));
    assert!(matches!(error, KmsError::InvalidUsage { .. }), "{error}");
    let error = refused(CreateGrant::to("svc:a", USE).with_name("a b"));
    assert!(matches!(error, KmsError::InvalidName { .. }), "{error}");
    let now = guarded.world.clock.unix_time();
    let error = refused(CreateGrant::to("svc:a", USE).expiring(now));
    assert!(matches!(error, KmsError::ExpiresInPast { .. }), "{error}");
    let signing = CreateKey::new().with_spec(KeySpec::Ed25519);
    let signing = admin.create_key(signing).unwrap().id;
    let grant = CreateGrant::to("svc:a", [Operation::Sign, Operation::GetPublicKey]);
    admin.create_grant(signing, &grant).unwrap();
    assert_eq!(ids(&admin, key), []);
}

#[test]
fn the_same_request_by_name_is_one_grant() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let named = CreateGrant::to("svc:a", USE).with_name("batch-1");
    let first = admin.create_grant(key, &named).unwrap();
    assert_eq!(admin.create_grant(key, &named).unwrap(), first);
    // Another process finds it too.
    let there = guarded.world.open().as_principal(ADMIN);
    assert_eq!(there.create_grant(key, &named).unwrap(), first);
    let other = CreateGrant::to("svc:a", [Operation::Decrypt]).with_name("batch-1");
    assert_ne!(admin.create_grant(key, &other).unwrap().id, first.id);
    let unnamed = CreateGrant::to("svc:a", USE);
    let (second, third) = (
        admin.create_grant(key, &unnamed).unwrap(),
        admin.create_grant(key, &unnamed).unwrap(),
    );
    assert_ne!(second.id, third.id);
    assert_eq!(ids(&admin, key).len(), 4);
}

#[test]
fn delegation_cannot_widen() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let end = guarded.world.clock.unix_time().saturating_add(DAY);
    let operations = [Operation::Decrypt, Operation::CreateGrant];
    let parent = CreateGrant::to("svc:lead", operations)
        .with_constraint(GrantConstraint::Subset(tenant("a")))
        .expiring(end);
    admin.create_grant(key, &parent).unwrap();
    let lead = guarded.kms.as_principal("svc:lead");
    let decrypt = || CreateGrant::to("svc:worker", [Operation::Decrypt]);
    let subset = |name| GrantConstraint::Subset(tenant(name));
    let both = EncryptionContext::new([("tenant", "a"), ("purpose", "x")]).unwrap();
    for wider in [
        decrypt(),
        decrypt().with_constraint(subset("a")),
        decrypt().expiring(end),
        decrypt().with_constraint(subset("b")).expiring(end),
        decrypt()
            .with_constraint(subset("a"))
            .expiring(end.saturating_add(Duration::from_millis(1))),
        CreateGrant::to("svc:worker", USE)
            .with_constraint(subset("a"))
            .expiring(end),
        CreateGrant::to("svc:worker", [Operation::RetireGrant])
            .with_constraint(subset("a"))
            .expiring(end),
    ] {
        assert_denied(lead.create_grant(key, &wider));
    }
    for narrower in [
        decrypt().with_constraint(subset("a")).expiring(end),
        decrypt()
            .with_constraint(GrantConstraint::Equals(both.clone()))
            .expiring(end),
        CreateGrant::to("svc:worker", operations)
            .with_constraint(GrantConstraint::Subset(both))
            .expiring(end),
    ] {
        lead.create_grant(key, &narrower).unwrap();
    }
    let listed = admin.list_grants(key, &ListGrants::new()).unwrap().grants;
    assert_eq!(listed.len(), 4);
    let issued = |principal: &str| {
        let by = listed
            .iter()
            .filter(|grant| grant.issued_by.as_str() == principal);
        by.count()
    };
    assert_eq!((issued(ADMIN), issued("svc:lead")), (1, 3));
}

#[test]
fn a_statement_that_denies_wins_over_a_grant() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    admin
        .create_grant(key, &CreateGrant::to("svc:a", USE))
        .unwrap();
    let user = guarded.kms.as_principal("svc:a");
    user.generate_data_key(key, &tenant("a")).unwrap();
    let deny = r#"{"Effect":"Deny","Principal":"svc:a","Action":"kms:Generate*","Resource":"*"}"#;
    let both = format!("{}, {deny}", admin_statement());
    admin.put_key_policy(key, &policy(&both)).unwrap();
    assert_denied(user.generate_data_key(key, &tenant("a")));
}

#[test]
fn a_token_counts_at_once_in_another_process() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let interval = Duration::from_secs(60);
    let there = guarded
        .world
        .builder()
        .refresh_interval(interval)
        .open()
        .unwrap();
    let user = there.as_principal("svc:a");
    assert_denied(user.generate_data_key(key, &tenant("a")));
    let given = admin
        .create_grant(key, &CreateGrant::to("svc:a", USE))
        .unwrap();
    assert_denied(user.generate_data_key(key, &tenant("a")));

    let text = given.token.to_string();
    let token: GrantToken = text.parse().unwrap();
    assert_eq!(GrantToken::from_bytes(&token.to_bytes()).unwrap(), token);
    let with_token = user.clone().with_grant_token(token);
    with_token.generate_data_key(key, &tenant("a")).unwrap();
    user.generate_data_key(key, &tenant("a")).unwrap();

    // It is no right by itself, and cannot be made.
    let thief = there.as_principal("svc:thief").with_grant_token(token);
    assert_denied(thief.generate_data_key(key, &tenant("a")));
    for index in 1..token.to_bytes().len() {
        let mut bytes = token.to_bytes();
        bytes[index] ^= 1;
        let forged = GrantToken::from_bytes(&bytes).unwrap();
        let error = there
            .as_principal("svc:a")
            .retire_grant(&forged)
            .unwrap_err();
        assert!(matches!(error, KmsError::InvalidGrantToken), "{error}");
    }
    for bytes in [&b""[..], &[1; 80], &[1; 82], &[2; 81]] {
        GrantToken::from_bytes(bytes).unwrap_err();
    }
}

#[test]
fn grants_count_within_the_interval_there_and_end_there_too() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let interval = Duration::from_secs(5);
    let there = guarded
        .world
        .builder()
        .refresh_interval(interval)
        .open()
        .unwrap();
    let user = there.as_principal("svc:a");
    assert_denied(user.generate_data_key(key, &tenant("a")));
    let given = admin
        .create_grant(key, &CreateGrant::to("svc:a", USE))
        .unwrap();
    guarded.world.clock.advance(interval);
    user.generate_data_key(key, &tenant("a")).unwrap();
    admin.revoke_grant(key, given.id).unwrap();
    user.generate_data_key(key, &tenant("a")).unwrap();
    guarded.world.clock.advance(interval);
    assert_denied(user.generate_data_key(key, &tenant("a")));
}

#[test]
fn many_grants_are_listed_by_pages() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let other = self::key(&guarded);
    for number in 0..250 {
        let request = CreateGrant::to(format!("svc:{}", number % 2), USE)
            .with_retiring_principal(format!("svc:r{}", number % 5));
        admin
            .create_grant(if number % 3 == 0 { other } else { key }, &request)
            .unwrap();
    }
    let collect = |first: ListGrants, list: &dyn Fn(&ListGrants) -> waxseal::kms::GrantPage| {
        let mut found = Vec::new();
        let mut request = first.clone();
        loop {
            let page = list(&request);
            found.extend(page.grants);
            match page.next {
                Some(next) => request = first.clone().after(next),
                None => return found,
            }
        }
    };
    let of_key = |request: &ListGrants| admin.list_grants(key, request).unwrap();
    assert_eq!(collect(ListGrants::new().with_limit(7), &of_key).len(), 166);
    let of_grantee = ListGrants::new().with_grantee("svc:1").with_limit(10);
    let found = collect(of_grantee, &of_key);
    assert!(found.iter().all(|grant| grant.grantee.as_str() == "svc:1"));
    let retirable = |request: &ListGrants| admin.list_retirable_grants("svc:r3", request).unwrap();
    assert_eq!(
        collect(ListGrants::new().with_limit(9), &retirable).len(),
        50
    );
}

#[test]
fn grants_end_with_their_key() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let given = admin
        .create_grant(key, &CreateGrant::to("svc:a", USE))
        .unwrap();
    admin
        .schedule_deletion(key, WaitingPeriod::days(7).unwrap())
        .unwrap();
    guarded.world.clock.advance(8 * DAY);
    assert_eq!(admin.tick().unwrap().deleted, [key]);
    assert_eq!(grants_in(&guarded.world), 0);
    assert_denied(guarded.kms.as_principal("svc:a").retire_grant(&given.token));
}

fn grants_in(world: &World) -> usize {
    let all = ScanRequest::new(Collection::GRANTS, usize::MAX);
    world.store.scan(all).unwrap().len()
}

/// By somebody who writes to the store from elsewhere.
#[test]
fn a_grant_that_is_put_back_or_taken_away_is_noticed() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let store = &guarded.world.store;
    let kept = admin
        .create_grant(key, &CreateGrant::to("svc:a", USE))
        .unwrap();
    let revoked = admin
        .create_grant(key, &CreateGrant::to("svc:b", USE))
        .unwrap();
    let all = ScanRequest::new(Collection::GRANTS, usize::MAX);
    let before = store.scan(all).unwrap();
    admin.revoke_grant(key, revoked.id).unwrap();

    let notices = |who: &str| {
        let kms = guarded.world.open();
        let error = kms
            .as_principal(who)
            .generate_data_key(key, &tenant("a"))
            .unwrap_err();
        assert!(matches!(error, KmsError::Tampered { .. }), "{error}");
        assert!(error.to_string().contains("grants/"), "{error}");
    };
    let of_revoked = before
        .iter()
        .find(|(id, _)| id.as_bytes()[16..] == *revoked.id.as_bytes());
    let (id, record) = of_revoked.unwrap();
    let address = waxseal::store::RecordKey::new(Collection::GRANTS, id.clone());
    guarded.world.overwrite(&address, record.bytes.clone());
    notices("svc:b");
    let revision = store.get(&address).unwrap().unwrap().revision;
    store
        .commit(&Transaction::new().delete(address, revision))
        .unwrap();
    let kms = guarded.world.open();
    kms.as_principal("svc:a")
        .generate_data_key(key, &tenant("a"))
        .unwrap();

    let of_kept = before
        .iter()
        .find(|(id, _)| id.as_bytes()[16..] == *kept.id.as_bytes());
    let address = waxseal::store::RecordKey::new(Collection::GRANTS, of_kept.unwrap().0.clone());
    let revision = store.get(&address).unwrap().unwrap().revision;
    let mut bytes = store.get(&address).unwrap().unwrap().bytes;
    store
        .commit(&Transaction::new().delete(address.clone(), revision))
        .unwrap();
    notices("svc:a");
    bytes[20] ^= 1;
    guarded.world.overwrite(&address, bytes);
    let error = guarded
        .world
        .open()
        .as_principal("svc:a")
        .generate_data_key(key, &tenant("a"))
        .unwrap_err();
    assert!(matches!(error, KmsError::Tampered { .. }), "{error}");
    assert!(store.get(&key_address(key)).unwrap().is_some());
}

#[test]
fn grants_are_given_by_many_at_once() {
    let guarded = Guarded::new();
    let key = key(&guarded);
    let others = [
        guarded.world.open(),
        guarded.world.open(),
        guarded.kms.clone(),
    ];
    std::thread::scope(|scope| {
        for (process, kms) in others.iter().enumerate() {
            let admin = kms.as_principal(ADMIN);
            scope.spawn(move || {
                for number in 0..20 {
                    let request = CreateGrant::to(format!("svc:{process}-{number}"), USE);
                    let given = admin.create_grant(key, &request).unwrap();
                    if number % 2 == 0 {
                        admin.revoke_grant(key, given.id).unwrap();
                    }
                }
            });
        }
    });
    guarded.world.clock.advance(Duration::from_secs(2));
    for kms in &others {
        assert_eq!(ids(&kms.as_principal(ADMIN), key).len(), 30);
    }
    assert_eq!(grants_in(&guarded.world), 30);
}

#[test]
fn explained_and_recorded() {
    let guarded = Guarded::new();
    let (admin, key) = (guarded.admin(), key(&guarded));
    let constraint = GrantConstraint::Subset(tenant("a"));
    let request = CreateGrant::to("svc:a", [Operation::Decrypt]).with_constraint(constraint);
    let given = admin.create_grant(key, &request).unwrap();
    let (a, b) = (tenant("a"), tenant("b"));
    let explain = |operation, context| {
        let access = Access::of("svc:a", operation).with_key(key).under(context);
        admin.explain(&access).unwrap()
    };
    assert_eq!(
        explain(Operation::Decrypt, &a),
        Explanation::AllowedByGrant(given.id)
    );
    for (operation, context, expected) in [
        (Operation::Decrypt, &b, GrantMismatch::Constraint),
        (Operation::Encrypt, &a, GrantMismatch::Operation),
    ] {
        let explanation = explain(operation, context);
        let Explanation::NothingAllows { grant, .. } = &explanation else {
            panic!("{explanation}");
        };
        assert_eq!(*grant, Some((given.id, expected)));
        assert!(explanation.to_string().contains(&given.id.to_string()));
    }

    let sealed = admin.encrypt(key, b"x", &a).unwrap().bytes;
    guarded.take_records();
    let user = guarded.kms.as_principal("svc:a");
    user.decrypt(&sealed, &a).unwrap();
    let records = guarded.take_records();
    assert_eq!(records.len(), 1);
    let by = format!("grant:{}", given.id);
    assert_eq!(records[0].decided_by.as_deref(), Some(by.as_str()));
    assert_eq!(records[0].key, Some(key));
    assert_eq!(records[0].key_version.map(|version| version.get()), Some(1));
    assert!(records[0].parameters.context["tenant"].starts_with("hmac:"));
}

#[test]
fn policies_and_grants_come_through_a_new_root_key_and_a_backup() {
    let (old, new) = (RootKey::generate().unwrap(), RootKey::generate().unwrap());
    let clock = ManualClock::default();
    let open = |store: &MemoryKeyStore, provider: &SoftwareKeyProvider| {
        Kms::builder(store.clone())
            .provider(provider.clone())
            .clock(clock.clone())
            .authorisation(Authorisation::enforced(ADMIN))
            .open()
            .unwrap()
    };
    let store = MemoryKeyStore::new();
    let provider = SoftwareKeyProvider::new(&new).with_other_root(&old);
    let kms = open(&store, &SoftwareKeyProvider::new(&old));
    let key = kms
        .as_principal(ADMIN)
        .create_key(CreateKey::new())
        .unwrap()
        .id;
    let given = kms
        .as_principal(ADMIN)
        .create_grant(key, &CreateGrant::to("svc:a", USE))
        .unwrap();
    let check = |kms: &Kms| {
        kms.as_principal("svc:a")
            .generate_data_key(key, &tenant("a"))
            .unwrap();
        assert_denied(
            kms.as_principal("svc:b")
                .generate_data_key(key, &tenant("a")),
        );
        assert_denied(
            kms.as_principal("svc:b")
                .list_keys(&waxseal::ListKeys::new()),
        );
    };
    let kms = open(&store, &provider);
    kms.as_principal(ADMIN).rekey_root(&provider).unwrap();
    check(&kms);
    let provider = SoftwareKeyProvider::new(&new);
    let kms = open(&store, &provider);
    check(&kms);

    let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate().unwrap()));
    let backup = Backup::under(&envelope).with_software(&provider);
    let mut file = Vec::new();
    let admin = kms.as_principal(ADMIN);
    admin.backup(&backup, &mut file).unwrap();
    let restored = MemoryKeyStore::new();
    Kms::restore(&restored, ADMIN, &backup, file.as_slice()).unwrap();
    let restored_kms = open(&restored, &provider);
    check(&restored_kms);
    // Onto the same state too, by those who may, and not over a later policy or an ended grant.
    let restored_admin = restored_kms.as_principal(ADMIN);
    restored_admin.restore(&backup, file.as_slice()).unwrap();
    assert_denied(
        restored_kms
            .as_principal("svc:b")
            .restore(&backup, file.as_slice()),
    );
    admin.put_store_policy(&policy(&admin_statement())).unwrap();
    let error = admin.restore(&backup, file.as_slice()).unwrap_err();
    assert!(
        error.to_string().contains("meta/waxseal/v1/store"),
        "{error}"
    );
    restored_admin.revoke_grant(key, given.id).unwrap();
    restored_admin
        .restore(&backup, file.as_slice())
        .unwrap_err();
    assert_denied(
        restored_kms
            .as_principal("svc:a")
            .generate_data_key(key, &tenant("a")),
    );
}
