//! Whatever the text, reading it and asking it do not panic; a policy that is accepted reads as the
//! same, and answers the same, after it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use waxseal::kms::Operation;
use waxseal::kms::policy::{
    ConditionKey, ConditionValues, Decision, Policy, Request, Resource, Value, ValueKind,
};
use waxseal::{KeyId, Timestamp};

fuzz_target!(|text: &str| {
    let Ok(policy) = Policy::from_json(text) else {
        return;
    };
    let written = policy.to_json();
    let again = Policy::from_json(&written).unwrap();
    assert!(again == policy);
    assert_eq!(again.to_json(), written);

    let words: Vec<&str> = text.split('"').take(200).collect();
    for (index, word) in words.iter().enumerate() {
        let values = Words(word);
        let operation = Operation::ALL[index % Operation::ALL.len()];
        for resource in [
            Resource::Store,
            Resource::Alias(word),
            Resource::Key(KeyId::from_bytes([index as u8; 16])),
        ] {
            let request = Request::new(word, operation, resource, &values);
            let decision = policy.evaluate(&request);
            assert_eq!(decision, again.evaluate(&request));
            if let Decision::Allow { statement } | Decision::Deny { statement } = decision {
                assert!(statement.index < policy.statements());
            }
        }
    }
});

/// Answers every question with one word, as far as it fits.
struct Words<'a>(&'a str);

impl ConditionValues for Words<'_> {
    fn attribute(&self, name: &str) -> Option<&str> {
        (name.len() % 2 == 0).then_some(self.0)
    }

    fn values(&self, key: &ConditionKey, give: &mut dyn FnMut(Value<'_>)) {
        let number = self.0.len() as u64;
        match key.kind() {
            ValueKind::Text => give(Value::Text(self.0)),
            ValueKind::Number => give(Value::Number(number)),
            ValueKind::Bool => give(Value::Bool(number % 2 == 0)),
            _ => give(Value::Date(Timestamp::from_unix_millis(number << 34))),
        }
        if key.is_multivalued() {
            give(Value::Text(""));
        }
    }
}
