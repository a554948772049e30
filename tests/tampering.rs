//! Every change to a message is refused, and costs no more than the message's size.

mod common;

use std::sync::LazyLock;

use proptest::prelude::*;
use waxseal::{EncryptionContext, Envelope, EnvelopeEncryptor, Error, MessageOptions, Suite};

/// A sealed message and what opens it.
struct Sealed {
    envelope: Envelope,
    context: EncryptionContext,
    message: Vec<u8>,
}

impl Sealed {
    fn new(suite: Suite, payload_len: usize) -> Self {
        let envelope = common::envelope().with_suite(suite);
        let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
        let payload = vec![0xa5; payload_len];
        let message = envelope.encrypt(&payload, &context).unwrap();
        Self {
            envelope,
            context,
            message,
        }
    }

    /// Fails unless `message` is refused by every way of opening, at a cost of at most its size.
    fn assert_refused(&self, message: &[u8], what: &str) {
        let options = MessageOptions::new(&self.context);
        let mut result = None;
        let cost = allocation_counter::measure(|| {
            result = Some(self.envelope.decrypt_with(message, options).map(drop));
        });
        let refused = result.unwrap().expect_err(what);
        assert!(
            matches!(
                refused,
                Error::Decrypt | Error::Format(_) | Error::OtherKey { .. }
            ),
            "{what}: {refused:?}"
        );
        let most = u64::try_from(message.len()).unwrap();
        assert!(
            cost.bytes_total <= most,
            "{what}: {} bytes",
            cost.bytes_total
        );

        let mut buffer = vec![0x55; message.len()];
        let into = self.envelope.decrypt_into(message, options, &mut buffer);
        assert_eq!(into.unwrap_err().to_string(), refused.to_string(), "{what}");
        assert!(
            !buffer.windows(8).any(|window| window == [0xa5; 8]),
            "{what}: the buffer holds plaintext"
        );
    }
}

#[test]
fn every_bit_of_a_200_byte_message() {
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        let sealed = Sealed::new(suite, 83);
        assert_eq!(sealed.message.len(), 200);
        for bit in 0..200 * 8 {
            let mut changed = sealed.message.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            sealed.assert_refused(&changed, &format!("bit {bit}"));
        }
    }
}

#[test]
fn every_truncation() {
    for payload_len in [0, 83, 16384, 16385] {
        let sealed = Sealed::new(Suite::Aes256Gcm, payload_len);
        for len in (0..sealed.message.len()).filter(|len| payload_len < 100 || len % 61 < 2) {
            sealed.assert_refused(&sealed.message[..len], &format!("{len} bytes"));
        }
    }
}

#[test]
fn every_extension() {
    let sealed = Sealed::new(Suite::Aes256Gcm, 83);
    for byte in 0..=u8::MAX {
        let longer = [&sealed.message[..], &[byte]].concat();
        sealed.assert_refused(&longer, &format!("one byte {byte}"));
    }
    for len in (1..100).chain([16284, 16285, 16384, 16400, 40000]) {
        let longer = [&sealed.message[..], &vec![0; len]].concat();
        sealed.assert_refused(&longer, &format!("{len} zeros"));
        let front = [&vec![0; len], &sealed.message[..]].concat();
        sealed.assert_refused(&front, &format!("{len} zeros in front"));
    }
    let twice = [&sealed.message[..], &sealed.message].concat();
    sealed.assert_refused(&twice, "the message twice");
}

#[test]
fn a_failure_in_the_last_chunk_leaves_nothing_of_the_first() {
    let sealed = Sealed::new(Suite::Aes256Gcm, 40000);
    let mut changed = sealed.message.clone();
    *changed.last_mut().unwrap() ^= 1;
    let options = MessageOptions::new(&sealed.context);
    let mut buffer = vec![0x55; 50000];
    let refused = sealed.envelope.decrypt_into(&changed, options, &mut buffer);
    assert!(matches!(refused, Err(Error::Decrypt)));
    assert!(buffer[..40000].iter().all(|&byte| byte == 0));
    assert!(buffer[40000..].iter().all(|&byte| byte == 0x55));
}

#[test]
fn chunks_of_one_message_do_not_fit_another() {
    let first = Sealed::new(Suite::Aes256Gcm, 40000);
    let other = first
        .envelope
        .encrypt(&[0xa5; 40000], &first.context)
        .unwrap();
    let header = first.message.len() - (40000 + 3 * 16);
    for chunk in 0..2 {
        let range = header + chunk * 16400..header + (chunk + 1) * 16400;
        let mut mixed = first.message.clone();
        mixed[range.clone()].copy_from_slice(&other[range]);
        first.assert_refused(&mixed, &format!("chunk {chunk} of another message"));
    }
    let mut mixed = other;
    mixed[..header].copy_from_slice(&first.message[..header]);
    first.assert_refused(&mixed, "the header of another message");
}

static LARGE: LazyLock<Sealed> = LazyLock::new(|| Sealed::new(Suite::Aes256Gcm, 20000));

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(LARGE.envelope.decrypt(&bytes, &LARGE.context).is_err());
        let mut headed = vec![0x11, 0x00];
        headed.extend(bytes);
        prop_assert!(LARGE.envelope.decrypt(&headed, &LARGE.context).is_err());
    }

    #[test]
    fn any_splice_is_refused(
        from in 0..20000usize, to in 0..20000usize, len in 1..5000usize, cut in any::<bool>(),
    ) {
        let message = &LARGE.message;
        let end = message.len().min(from + len);
        let mut changed = message.clone();
        if cut {
            changed.drain(from..end);
        } else {
            changed.splice(to..to, message[from..end].iter().copied());
        }
        prop_assume!(changed != *message);
        LARGE.assert_refused(&changed, "splice");
    }

    #[test]
    fn any_other_context_or_aad_is_refused(
        tenant in "[a-z]{0,8}", key in "[a-z]{1,8}", aad in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let context = EncryptionContext::new([(key, tenant)]).unwrap();
        let options = MessageOptions::new(&context).with_aad(&aad);
        prop_assume!(context != LARGE.context || !aad.is_empty());
        let refused = LARGE.envelope.decrypt_with(&LARGE.message, options);
        prop_assert!(matches!(refused, Err(Error::Decrypt)));
    }
}
