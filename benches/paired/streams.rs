//! Streams from memory to memory: over a few MiB, which stay in the cache, and over 256.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::{Read, Write};

use waxseal::{
    DecryptReader, EncryptReader, EncryptWriter, EncryptionContext, Envelope, EnvelopeEncryptor,
    MessageOptions, RootKey, SingleKeyring,
};

use crate::engine::{Aes256Gcm, Engine};
use crate::pairs::compare;
#[cfg(feature = "rayon")]
use crate::report::report_speed_up;
use crate::report::{is_bench, report, rounds};

const MIB: usize = 1024 * 1024;

pub fn measure() {
    let small = Streams::of(4 * MIB);
    small.against_engine(rounds(400));
    let large = Streams::of(if is_bench() { 256 * MIB } else { MIB });
    large.against_engine(rounds(25));
    #[cfg(feature = "rayon")]
    large.in_parallel(rounds(15));
}

/// One payload, and the buffers that all ways of sealing and opening it share.
struct Streams {
    envelope: Envelope,
    context: EncryptionContext,
    payload: Vec<u8>,
    message: RefCell<Vec<u8>>,
    opened: RefCell<Vec<u8>>,
    engine: Engine<Aes256Gcm>,
    /// As long as the message, and the pieces begin where the body of the message does: how source and
    /// destination lie to each other can matter more than all else.
    engine_sealed: RefCell<Vec<u8>>,
    body_start: usize,
}

impl Streams {
    fn of(len: usize) -> Self {
        let root_key = RootKey::generate().expect("the system has randomness");
        let envelope = Envelope::new(SingleKeyring::software(&root_key));
        let context = EncryptionContext::new([("tenant", "acme")]).expect("one short pair");
        let payload = vec![0x5a; len];
        let message = envelope.encrypt(&payload, &context).expect("it seals");
        let last_chunk_len = 16;
        let body_len = Engine::<Aes256Gcm>::sealed_len(len) + last_chunk_len;
        Self {
            body_start: message.len() - body_len,
            engine_sealed: RefCell::new(message.clone()),
            message: RefCell::new(message),
            opened: RefCell::new(vec![0; len]),
            engine: Engine::new(),
            envelope,
            context,
            payload,
        }
    }

    fn against_engine(&self, rounds: usize) {
        let len = self.payload.len();
        let seal = || {
            let pieces = &mut self.engine_sealed.borrow_mut()[self.body_start..];
            self.engine.seal(black_box(&self.payload), pieces);
        };
        let open = || {
            let pieces = &self.engine_sealed.borrow()[self.body_start..];
            self.engine.open(pieces, &mut self.opened.borrow_mut());
        };
        let written = compare(rounds, || self.write(&self.envelope), seal);
        report("stream/seal", len, &written);
        let read = compare(rounds, || self.read(&self.envelope), open);
        report("stream/open", len, &read);
        let pulled = compare(rounds, || self.pull_buffered(&self.envelope), seal);
        report("stream/seal_buffered", len, &pulled);
        let read = compare(rounds, || self.read_buffered(&self.envelope), open);
        report("stream/open_buffered", len, &read);
    }

    #[cfg(feature = "rayon")]
    fn in_parallel(&self, rounds: usize) {
        let parallel = self
            .envelope
            .clone()
            .with_parallelism(waxseal::Parallelism::Rayon);
        let [one, many] = [&self.envelope, &parallel];
        let written = compare(rounds, || self.write(one), || self.write(many));
        report_speed_up("stream/seal", &written);
        let read = compare(rounds, || self.read(one), || self.read(many));
        report_speed_up("stream/open", &read);
        let pulled = compare(
            rounds,
            || self.pull_buffered(one),
            || self.pull_buffered(many),
        );
        report_speed_up("stream/seal_buffered", &pulled);
        let read = compare(
            rounds,
            || self.read_buffered(one),
            || self.read_buffered(many),
        );
        report_speed_up("stream/open_buffered", &read);
    }

    fn options(&self) -> MessageOptions<'_> {
        MessageOptions::new(&self.context)
    }

    fn write(&self, envelope: &Envelope) {
        let mut message = self.message.borrow_mut();
        let sink = message.as_mut_slice();
        let mut writer = EncryptWriter::new(envelope, sink, self.options()).expect("it begins");
        writer
            .write_all(black_box(&self.payload))
            .expect("it seals");
        writer.finish().expect("it ends");
    }

    fn read(&self, envelope: &Envelope) {
        let message = self.message.borrow();
        let source = message.as_slice();
        let reader = DecryptReader::new(envelope, source, self.options()).expect("it begins");
        self.read_all(reader);
    }

    fn pull_buffered(&self, envelope: &Envelope) {
        let payload = black_box(self.payload.as_slice());
        EncryptReader::buffered(envelope, payload, self.options())
            .expect("it begins")
            .read_exact(&mut self.message.borrow_mut())
            .expect("it seals");
    }

    fn read_buffered(&self, envelope: &Envelope) {
        let message = self.message.borrow();
        let source = message.as_slice();
        let reader = DecryptReader::buffered(envelope, source, self.options()).expect("it begins");
        self.read_all(reader);
    }

    fn read_all(&self, mut reader: impl Read) {
        let mut opened = self.opened.borrow_mut();
        reader.read_exact(&mut opened).expect("it opens");
        assert_eq!(reader.read(&mut [0]).expect("the end is verified"), 0);
    }
}
