//! A store does what the memory store does, whatever is asked of it.

use super::{meta, scan};
use crate::store::{
    Collection, CommitError, Expected, KeyStore, MemoryKeyStore, RecordKey, Revision, Sequence,
    Transaction, Write,
};

/// Does 60 things that `seed` chooses, to both.
pub(super) fn agrees_with_the_memory_store(store: &dyn KeyStore, seed: u64) {
    let model = MemoryKeyStore::new();
    let mut dice = Dice(seed);
    for step in 0..60 {
        let transaction = random_transaction(&mut dice, &model);
        let [did, should] = [store, &model].map(|store| outcome(store, &transaction));
        assert_eq!(did, should, "seed {seed}, step {step}: {transaction:?}");
        let since = Sequence::new(dice.roll(model.latest().unwrap().get() + 2));
        let limit = usize::try_from(dice.roll(5)).unwrap();
        let [did, should] = [store, &model].map(|store| {
            let mut changes = store.changes(since, limit).unwrap();
            changes
                .changed
                .sort_by_key(|change| (change.sequence, change.key.clone()));
            changes
        });
        assert_eq!(did, should, "seed {seed}, step {step}");
    }
    for collection in [Collection::META, Collection::KEYS] {
        let [did, should] = [store, &model].map(|store| scan(store, collection, None, 100));
        assert_eq!(did, should, "seed {seed}");
    }
}

/// The sequence, or the record in conflict, or the refusal.
fn outcome(store: &dyn KeyStore, transaction: &Transaction) -> Result<Sequence, String> {
    store.commit(transaction).map_err(|error| match error {
        CommitError::Conflict { key } => key.to_string(),
        CommitError::Store(error) => error.to_string(),
    })
}

/// One to four steps on few records, so that they meet; most of what they expect is so.
fn random_transaction(dice: &mut Dice, model: &MemoryKeyStore) -> Transaction {
    let steps = 1 + dice.roll(4);
    (0..steps).fold(Transaction::new(), |transaction, _| {
        let mut key: RecordKey = meta(&format!("record-{}", dice.roll(12)));
        if dice.roll(3) == 0 {
            key.collection = Collection::KEYS;
        }
        let present = model.get(&key).unwrap().map(|record| record.revision);
        let expected = match (dice.roll(8), present) {
            (0, _) => Expected::Revision(Revision::new(dice.roll(10))),
            (1, _) | (_, None) => Expected::Absent,
            (_, Some(revision)) => Expected::Revision(revision),
        };
        let write = match dice.roll(4) {
            0 => Write::Check,
            1 => Write::Delete,
            _ => Write::Put(vec![7; usize::try_from(dice.roll(3000)).unwrap()]),
        };
        transaction.with(key, expected, write)
    })
}

/// SplitMix64: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}
