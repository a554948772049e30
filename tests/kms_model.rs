//! Random operations on two KMSs over one store, with jumps of the clock and reopening, against a
//! model.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use common::kms::{DAY, Ledger, stored_handles};
use common::kms_model::{Model, ModelKey, ModelVersion, Refusal, State, Ticked, first};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use waxseal::kms::{KeyUsage, ListAliases, VersionState};
use waxseal::{
    Clock, CreateKey, KeyId, KeySpec, KeyState, KeyStore, KeyVersion, Kms, KmsError, KmsHandle,
    ListKeys, ManualClock, MemoryKeyStore, RotationPolicy, WaitingPeriod,
};

#[derive(Debug, Clone)]
enum Step {
    Create { kind: Kind, policy: Option<Policy> },
    On { key: Which, does: Does },
    CreateAlias { alias: usize, key: Which },
    UpdateAlias { alias: usize, key: Which },
    DeleteAlias { alias: usize },
    Tick,
    Advance(Duration),
    Reopen,
    Switch,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Wraps,
    Macs,
    Imported,
}

#[derive(Debug, Clone, Copy)]
struct Policy {
    days: Option<u32>,
    guard_days: u32,
}

/// A key, by its number, or by an alias.
#[derive(Debug, Clone, Copy)]
enum Which {
    Number(prop::sample::Index),
    Alias(usize),
}

#[derive(Debug, Clone)]
enum Does {
    Describe,
    Enable,
    Disable,
    WriteDescription(u8),
    Tag(u8, u8),
    Untag(u8),
    EnableRotation(Policy),
    DisableRotation,
    RotationStatus,
    RotateNow,
    CreatePending,
    Promote(u32),
    Schedule(u32),
    Cancel,
}

const ALIASES: [&str; 4] = ["alias/a", "alias/b", "alias/c", "alias/d"];

fn policy() -> impl Strategy<Value = Policy> {
    let days = prop::option::weighted(0.8, prop::sample::select(vec![90, 100, 365]));
    (days, prop::sample::select(vec![0, 0, 1, 30]))
        .prop_map(|(days, guard_days)| Policy { days, guard_days })
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        3 => any::<prop::sample::Index>().prop_map(Which::Number),
        1 => (0..ALIASES.len()).prop_map(Which::Alias),
    ]
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        2 => Just(Does::Describe),
        2 => Just(Does::Enable),
        2 => Just(Does::Disable),
        1 => any::<u8>().prop_map(Does::WriteDescription),
        1 => (0..3u8, any::<u8>()).prop_map(|(tag, value)| Does::Tag(tag, value)),
        1 => (0..3u8).prop_map(Does::Untag),
        2 => policy().prop_map(Does::EnableRotation),
        1 => Just(Does::DisableRotation),
        1 => Just(Does::RotationStatus),
        2 => Just(Does::RotateNow),
        2 => Just(Does::CreatePending),
        2 => (1..5u32).prop_map(Does::Promote),
        2 => prop::sample::select(vec![7, 14, 30]).prop_map(Does::Schedule),
        2 => Just(Does::Cancel),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(Kind::Wraps),
        1 => Just(Kind::Macs),
        1 => Just(Kind::Imported),
    ];
    let alias = || 0..ALIASES.len();
    let days = prop::sample::select(vec![0, 1, 7, 30, 90, 100, 400]);
    prop_oneof![
        3 => (kind, prop::option::of(policy()))
            .prop_map(|(kind, policy)| Step::Create { kind, policy }),
        16 => (which(), does()).prop_map(|(key, does)| Step::On { key, does }),
        2 => (alias(), which()).prop_map(|(alias, key)| Step::CreateAlias { alias, key }),
        2 => (alias(), which()).prop_map(|(alias, key)| Step::UpdateAlias { alias, key }),
        1 => alias().prop_map(|alias| Step::DeleteAlias { alias }),
        6 => Just(Step::Tick),
        4 => (days, 0..1000u64)
            .prop_map(|(days, millis)| Step::Advance(days * DAY + Duration::from_millis(millis))),
        1 => Just(Step::Reopen),
        3 => Just(Step::Switch),
    ]
}

impl Policy {
    fn made(self) -> RotationPolicy {
        let policy = match self.days {
            Some(days) => RotationPolicy::every_days(days),
            None => RotationPolicy::by_budget(1 << 40),
        };
        policy.with_guard(self.guard_days * DAY)
    }
}

/// Two KMSs, and the model that both must be like.
struct Run<'a> {
    open_store: &'a dyn Fn() -> Arc<dyn KeyStore>,
    interval: Duration,
    provider: Ledger,
    clock: ManualClock,
    handles: [KmsHandle; 2],
    active: usize,
    ids: Vec<KeyId>,
    model: Model,
}

impl<'a> Run<'a> {
    fn new(open_store: &'a dyn Fn() -> Arc<dyn KeyStore>, interval: Duration) -> Self {
        let provider = Ledger::new("software");
        let clock = ManualClock::default();
        let open = || open(open_store(), &provider, &clock, interval);
        let handles = [open(), open()];
        Self {
            open_store,
            interval,
            provider,
            clock,
            handles,
            active: 0,
            ids: Vec::new(),
            model: Model::default(),
        }
    }

    fn kms(&self) -> &KmsHandle {
        &self.handles[self.active]
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Create { kind, policy } => self.create(*kind, *policy),
            Step::On { key, does } => self.on(*key, does),
            Step::CreateAlias { alias, key } => self.alias(
                *alias,
                *key,
                |kms, alias, key| kms.create_alias(alias, key),
                Model::create_alias,
            ),
            Step::UpdateAlias { alias, key } => self.alias(
                *alias,
                *key,
                |kms, alias, key| kms.update_alias(alias, key),
                Model::update_alias,
            ),
            Step::DeleteAlias { alias } => {
                let done = self.kms().delete_alias(ALIASES[*alias]);
                assert_same(done, self.model.delete_alias(ALIASES[*alias]));
            }
            Step::Tick => self.tick(),
            Step::Advance(by) => self.clock.advance(*by),
            Step::Reopen => {
                let store = (self.open_store)();
                self.handles[self.active] = open(store, &self.provider, &self.clock, self.interval);
            }
            Step::Switch => {
                // So long it may take until one knows what the other did, and no longer.
                self.clock.advance(self.interval);
                self.active = 1 - self.active;
            }
        }
    }

    fn create(&mut self, kind: Kind, policy: Option<Policy>) {
        let mut request = CreateKey::new();
        let policy = policy.map(Policy::made);
        match (kind, policy) {
            (Kind::Wraps, Some(policy)) => request = request.with_rotation(policy),
            (Kind::Wraps, None) => {}
            (Kind::Macs, _) => request = request.with_spec(KeySpec::Hmac256),
            (Kind::Imported, _) => request = request.for_import(),
        }
        let now = self.clock.unix_time();
        let key = self.kms().create_key(request).unwrap();
        let imported = matches!(kind, Kind::Imported);
        let state = if imported {
            VersionState::PendingImport
        } else {
            VersionState::Enabled
        };
        self.ids.push(key.id);
        let rotation = key.rotation.map(|policy| (policy, first(policy, now)));
        let model = ModelKey {
            state: if imported {
                State::PendingImport
            } else {
                State::Enabled
            },
            usage: key.usage,
            imported,
            description: String::new(),
            tags: BTreeMap::new(),
            rotation,
            versions: vec![ModelVersion {
                state,
                created: now,
                promotion: None,
            }],
            primary: 1,
        };
        assert!(self.model.keys.insert(key.id, model).is_none());
    }

    /// A key to ask for, and the one that the model says it is. Nothing while there are no keys.
    fn choose(&self, which: Which) -> Option<(String, Result<KeyId, Refusal>)> {
        match which {
            Which::Number(_) if self.ids.is_empty() => None,
            Which::Number(index) => {
                let id = *index.get(&self.ids);
                Some((id.to_string(), Ok(id)))
            }
            Which::Alias(alias) => {
                let alias = ALIASES[alias];
                Some((alias.to_owned(), self.model.named(alias)))
            }
        }
    }

    fn alias(
        &mut self,
        alias: usize,
        key: Which,
        act: impl FnOnce(&KmsHandle, &str, &str) -> Result<(), KmsError>,
        expect: impl FnOnce(&mut Model, &str, KeyId) -> Result<(), Refusal>,
    ) {
        let Some((name, id)) = self.choose(key) else {
            return;
        };
        let done = act(self.kms(), ALIASES[alias], &name);
        let expected = id.and_then(|id| expect(&mut self.model, ALIASES[alias], id));
        assert_same(done, expected);
    }

    fn on(&mut self, which: Which, does: &Does) {
        let Some((name, id)) = self.choose(which) else {
            return;
        };
        let name = name.as_str();
        let now = self.clock.unix_time();
        let kms = self.kms().clone();
        let key = id.and_then(|id| self.model.key(id));
        match does {
            Does::Describe => {
                let told = kms.describe_key(name).map(|told| told.description);
                assert_same(told, key.map(|key| key.description.clone()));
            }
            Does::Enable => {
                let expected = key
                    .and_then(ModelKey::switchable)
                    .map(|key| key.state = State::Enabled);
                assert_same(kms.enable_key(name), expected);
            }
            Does::Disable => {
                let expected = key
                    .and_then(ModelKey::switchable)
                    .map(|key| key.state = State::Disabled);
                assert_same(kms.disable_key(name), expected);
            }
            Does::WriteDescription(text) => {
                let expected = key
                    .and_then(ModelKey::changeable)
                    .map(|key| key.description = text.to_string());
                assert_same(kms.update_description(name, &text.to_string()), expected);
            }
            Does::Tag(tag, value) => {
                let (tag, value) = (tag.to_string(), value.to_string());
                let done = kms.tag_key(name, &tag, &value);
                let expected = key.and_then(ModelKey::changeable).map(|key| {
                    key.tags.insert(tag, value);
                });
                assert_same(done, expected);
            }
            Does::Untag(tag) => {
                let expected = key.and_then(ModelKey::changeable).map(|key| {
                    key.tags.remove(&tag.to_string());
                });
                assert_same(kms.untag_key(name, &tag.to_string()), expected);
            }
            Does::EnableRotation(policy) => {
                let policy = policy.made();
                let expected = key
                    .and_then(ModelKey::rotatable)
                    .map(|key| key.enable_rotation(policy, now));
                assert_same(kms.enable_rotation(name, policy), expected);
            }
            Does::DisableRotation => {
                let expected = key
                    .and_then(ModelKey::rotatable)
                    .map(|key| key.rotation = None);
                assert_same(kms.disable_rotation(name), expected);
            }
            Does::RotationStatus => {
                let told = kms.rotation_status(name).map(|told| told.next_rotation);
                let expected = key.and_then(|key| {
                    key.has_rotation_status()?;
                    let is_off = matches!(key.state, State::PendingDeletion(_));
                    Ok(key.rotation.and_then(|(_, next)| next).filter(|_| !is_off))
                });
                assert_same(told, expected);
            }
            Does::RotateNow => {
                let done = kms.rotate_now(name).map(|version| version.get() as usize);
                let expected = key
                    .and_then(ModelKey::rotatable)
                    .map(|key| key.rotate_now(now));
                assert_same(done, expected);
            }
            Does::CreatePending => {
                let done = kms.create_pending_version(name);
                let expected =
                    key.and_then(ModelKey::rotatable)
                        .and_then(|key| match key.pending() {
                            Some(_) => Err(Refusal::PendingVersion),
                            None => Ok(key.add_version(now, None)),
                        });
                assert_same(done.map(|version| version.get() as usize), expected);
            }
            Does::Promote(version) => {
                let done = kms.promote_version(name, KeyVersion::new(*version).unwrap());
                let expected = key
                    .and_then(ModelKey::rotatable)
                    .and_then(|key| key.promote_by_hand(*version as usize));
                assert_same(done, expected);
            }
            Does::Schedule(days) => {
                let waiting = WaitingPeriod::days(*days).unwrap();
                let done = kms.schedule_deletion(name, waiting);
                assert_same(done, key.and_then(|key| key.schedule(now, *days)));
            }
            Does::Cancel => {
                assert_same(kms.cancel_deletion(name), key.and_then(ModelKey::cancel));
            }
        }
    }

    fn tick(&mut self) {
        let report = self.kms().tick().unwrap();
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        assert!(report.expired.is_empty());
        let numbers = |versions: Vec<(KeyId, KeyVersion)>| {
            let versions = versions.into_iter();
            versions
                .map(|(key, version)| (key, version.get()))
                .collect()
        };
        let ticked = Ticked {
            pending: numbers(report.pending),
            promoted: numbers(report.promoted),
            deleted: report.deleted.into_iter().collect(),
        };
        assert_eq!(ticked, self.model.tick(self.clock.unix_time()));
        assert!(self.kms().tick().unwrap().is_empty(), "all is done");
    }

    /// All that can be told is as the model says, and nothing is lost or left over.
    fn check(&self) {
        let kms = self.kms();
        for (&id, key) in &self.model.keys {
            self.check_key(kms, id, key);
        }
        for alias in ALIASES {
            let told = kms.describe_key(alias).map(|key| key.id);
            assert_same(told, self.model.named(alias));
        }
        let all = ListKeys::new().with_limit(1000);
        let listed: Vec<_> = kms.list_keys(&all).unwrap().keys;
        let alive = self.model.keys.iter();
        let alive = alive.filter(|(_, key)| !matches!(key.state, State::Deleted(_)));
        assert_eq!(
            listed.iter().map(|key| key.id).collect::<Vec<_>>(),
            alive.map(|(id, _)| *id).collect::<Vec<_>>()
        );
        let aliases = kms.list_aliases(&ListAliases::new()).unwrap().aliases;
        let aliases = aliases.into_iter();
        assert_eq!(
            aliases
                .map(|alias| (alias.name.to_string(), alias.key))
                .collect::<BTreeMap<_, _>>(),
            self.model.aliases
        );
        let store = (self.open_store)();
        assert_eq!(stored_handles(store.as_ref()), self.provider.alive());
    }

    fn check_key(&self, kms: &KmsHandle, id: KeyId, key: &ModelKey) {
        let told = match (kms.describe_key(id), key.state) {
            (Ok(told), _) => told,
            (Err(KmsError::Deleted { on, .. }), State::Deleted(expected)) => {
                assert_eq!(on, expected);
                return;
            }
            (Err(error), state) => panic!("{error}, and it is {state:?}"),
        };
        let (state, deletion_date) = match key.state {
            State::Enabled => (KeyState::Enabled, None),
            State::Disabled => (KeyState::Disabled, None),
            State::PendingImport => (KeyState::PendingImport, None),
            State::PendingDeletion(on) => (KeyState::PendingDeletion, Some(on)),
            State::Deleted(on) => panic!("{id} was deleted on {on}"),
        };
        assert_eq!((told.state, told.deletion_date), (state, deletion_date));
        assert_eq!(told.usage, key.usage);
        assert_eq!(told.description, key.description);
        assert_eq!(told.tags, key.tags);
        assert_eq!(told.rotation, key.rotation.map(|(policy, _)| policy));
        assert_eq!(told.primary.get() as usize, key.primary);
        let aliases: BTreeSet<_> = told.aliases.iter().map(ToString::to_string).collect();
        assert_eq!(aliases, self.model.aliases_of(id));

        let versions = kms.list_versions(id).unwrap();
        let told: Vec<_> = versions
            .iter()
            .map(|version| ModelVersion {
                state: version.state,
                created: version.created,
                promotion: version.promotion_date,
            })
            .collect();
        assert_eq!(told, key.versions);
        let primaries = versions.iter().filter(|version| version.primary);
        assert_eq!(primaries.count(), 1);
        assert!(key.usage == KeyUsage::EncryptDecrypt || versions.len() == 1);
    }
}

fn open(
    store: Arc<dyn KeyStore>,
    provider: &Ledger,
    clock: &ManualClock,
    interval: Duration,
) -> KmsHandle {
    Kms::builder(store)
        .provider(provider.clone())
        .clock(clock.clone())
        .refresh_interval(interval)
        .cached_keys(3)
        .open()
        .unwrap()
        .as_principal("model")
}

fn assert_same<T: PartialEq + std::fmt::Debug>(
    done: Result<T, KmsError>,
    expected: Result<T, Refusal>,
) {
    match (&done, &expected) {
        (Ok(done), Ok(expected)) => assert_eq!(done, expected),
        (Err(error), Err(refusal)) => assert_eq!(Refusal::from(error), *refusal, "{error}"),
        _ => panic!("{done:?} and not {expected:?}"),
    }
}

fn run(steps: &[Step], interval: Duration, open_store: &dyn Fn() -> Arc<dyn KeyStore>) {
    let mut run = Run::new(open_store, interval);
    for (number, step) in steps.iter().enumerate() {
        run.step(step);
        if number % 8 == 7 {
            run.check();
        }
    }
    run.check();
    run.step(&Step::Switch);
    run.check();
}

fn check_cases(cases: u32, steps: usize, with_store: impl Fn(&[Step], Duration)) {
    let config = Config {
        cases,
        ..Config::default()
    };
    let interval = prop::sample::select(vec![Duration::ZERO, Kms::DEFAULT_REFRESH_INTERVAL]);
    TestRunner::new(config)
        .run(&(vec(step(), steps), interval), |(steps, interval)| {
            with_store(&steps, interval);
            Ok(())
        })
        .unwrap();
}

#[test]
fn two_kms_on_a_store_in_memory_are_like_the_model() {
    check_cases(100, 120, |steps, interval| {
        let store = MemoryKeyStore::new();
        run(steps, interval, &|| Arc::new(store.clone()));
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn two_kms_on_a_file_are_like_the_model() {
    use waxseal::SqliteKeyStore;

    check_cases(6, 120, |steps, interval| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.db");
        drop(SqliteKeyStore::create(&path).unwrap());
        run(steps, interval, &|| {
            Arc::new(SqliteKeyStore::open(&path).unwrap())
        });
    });
}
