//! The lines of a trail, as they are written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use base64ct::{Base64, Encoding};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::AuditError;
use super::event::{AuditEvent, ParameterValue};
use super::key::HASH_PREFIX;
use super::{AuditKey, EventId, TrailId};
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::crypto::{HASH_LEN, sha256};
use crate::format::label;

/// The longest line, without its line feed, in bytes: 64 KiB.
pub const MAX_LINE_LEN: usize = 1 << 16;

/// What the chain adds to a record, at most.
const CHAIN_LEN: usize = 256;
/// What is kept of the name that a caller gave for a key, in bytes: an alias has at most 255.
const MAX_SELECTOR_LEN: usize = 256;

/// The SHA-256 of a line, which the next line has.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LineHash([u8; HASH_LEN]);

impl LineHash {
    /// What the first line of a trail has in place of the hash of a line before.
    pub const NONE: Self = Self([0; HASH_LEN]);

    /// The hash of a line, given without its line feed (`FORMAT.md`, "Audit trail").
    #[must_use]
    pub fn of(line: &[u8]) -> Self {
        Self(sha256(&[label!("audit-line"), line]))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; HASH_LEN] {
        &self.0
    }

    fn write_hex(&self, line: &mut Vec<u8>) {
        let mut digits = [0; 2 * HASH_LEN];
        if let Ok(digits) = base16ct::lower::encode(&self.0, &mut digits) {
            line.extend_from_slice(digits);
        }
    }
}

impl Serialize for LineHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LineHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let mut bytes = [0; HASH_LEN];
        match base16ct::lower::decode(text.as_bytes(), &mut bytes) {
            Ok(decoded) if decoded.len() == HASH_LEN => Ok(Self(bytes)),
            _ => Err(D::Error::custom("a hash is 64 hexadecimal digits")),
        }
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineHash({self})")
    }
}

/// How values of encryption contexts are recorded. Their keys always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContextValues {
    /// As `hmac:` and a hash under the trail's key: equal values of one key show as equal, and who
    /// has the key can look for a value. The default.
    #[default]
    Hashed,
    /// As they are. A context is not secret, but a trail is often kept longer and read by more.
    Clear,
}

/// A record without its place in a chain: a JSON object.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) time: Timestamp,
    json: Vec<u8>,
}

impl Entry {
    pub(super) fn new(
        event: &AuditEvent<'_>,
        id: EventId,
        time: Timestamp,
        values: ContextValues,
        key: &AuditKey,
    ) -> Result<Self, AuditError> {
        let mut bytes = Vec::with_capacity(512);
        let mut line = Object::open(&mut bytes);
        line.display("eventTime", time);
        line.hex("eventID", id.as_bytes());
        line.text("requestID", event.request);
        {
            let mut identity = line.object("userIdentity");
            identity.text("principalId", event.principal);
            identity.map("attributes", event.attributes);
            identity.close();
        }
        line.texts("eventName", ["kms:", event.operation.name()]);
        if let Some(key) = event.key {
            line.hex("keyId", key.as_bytes());
        }
        if let Some(version) = event.key_version {
            line.display_bare("keyVersion", version.get());
        }
        if event.selector.is_some() || event.context.is_some() || !event.parameters.is_empty() {
            let mut parameters = line.object("requestParameters");
            parameters.request(event, values, key);
            parameters.close();
        }
        line.text("outcome", event.outcome.name());
        if let Some(error) = event.error {
            line.text("errorCode", error);
        }
        if let Some(decided_by) = event.decided_by {
            line.text("decidedBy", &decided_by.to_string());
        }
        if event.dry_run {
            line.display_bare("dryRun", true);
        }
        line.map("source", event.source);
        line.close();
        let max = MAX_LINE_LEN - CHAIN_LEN;
        if bytes.len() > max {
            return Err(AuditError::TooLong {
                len: bytes.len(),
                max,
            });
        }
        Ok(Self { time, json: bytes })
    }

    pub(super) fn len(&self) -> usize {
        self.json.len()
    }

    /// The JSON object.
    pub(super) fn as_json(&self) -> &str {
        std::str::from_utf8(&self.json).unwrap_or_default()
    }

    /// Its members, and the brace that ends it.
    fn members(&self) -> &[u8] {
        self.json.split_first().map_or(&[], |(_, members)| members)
    }
}

/// Writes one line after the other.
#[derive(Debug)]
pub(super) struct LineWriter {
    pub(super) bytes: Vec<u8>,
    /// Where each line ends, its line feed included.
    pub(super) ends: Vec<usize>,
    pub(super) next: u64,
    pub(super) prev: LineHash,
}

impl LineWriter {
    pub(super) fn new(next: u64, prev: LineHash) -> Self {
        Self {
            bytes: Vec::with_capacity(USUAL_LEN),
            ends: Vec::with_capacity(1),
            next,
            prev,
        }
    }

    pub(super) fn reserve(&mut self, entries: &[Entry]) {
        let members: usize = entries.iter().map(Entry::len).sum();
        self.bytes.reserve(members + entries.len() * CHAIN_LEN);
        self.ends.reserve(entries.len() + 1);
    }

    pub(super) fn record(&mut self, entry: &Entry) {
        let start = self.open("record");
        self.bytes.extend_from_slice(entry.members());
        self.close(start);
    }

    /// The first line of a trail, and of each of its files.
    pub(super) fn begin(&mut self, trail: TrailId, time: Timestamp) {
        let start = self.open("begin");
        let mut line = Object::go_on(&mut self.bytes);
        line.display("eventTime", time);
        line.display("trail", trail);
        line.close();
        self.close(start);
    }

    /// The last line of a file: the trail goes on in another.
    pub(super) fn end(&mut self, time: Timestamp) {
        let start = self.open("end");
        let mut line = Object::go_on(&mut self.bytes);
        line.display("eventTime", time);
        line.close();
        self.close(start);
    }

    /// A line that signs all lines before it. Nothing is written if `sign` fails.
    pub(super) fn checkpoint<E>(
        &mut self,
        trail: TrailId,
        time: Timestamp,
        [signer, algorithm]: [&str; 2],
        sign: impl FnOnce(&[u8]) -> Result<String, E>,
    ) -> Result<(), E> {
        let start = self.open("checkpoint");
        let mut line = Object::go_on(&mut self.bytes);
        line.display("eventTime", time);
        line.display("trail", trail);
        line.text("signer", signer);
        line.text("algorithm", algorithm);
        let signed = self.bytes.get(start..).unwrap_or_default();
        match sign(signed) {
            Ok(signature) => {
                let mut line = Object::go_on(&mut self.bytes);
                line.has_members = true;
                line.text("signature", &signature);
                line.close();
                self.close(start);
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                Err(error)
            }
        }
    }

    /// What was cut off because it was half written, by a process that died.
    pub(super) fn recovered(&mut self, time: Timestamp, cut: &[u8]) {
        let shown = cut.get(..MAX_CUT_SHOWN).unwrap_or(cut);
        let start = self.open("recovered");
        let mut line = Object::go_on(&mut self.bytes);
        line.display("eventTime", time);
        line.display_bare("cutBytes", cut.len());
        line.text("cut", &Base64::encode_string(shown));
        line.close();
        self.close(start);
    }

    fn open(&mut self, kind: &str) -> usize {
        let start = self.bytes.len();
        // Writing to memory does not fail.
        let _ = write!(
            self.bytes,
            r#"{{"eventVersion":{VERSION},"sequence":{},"prev":""#,
            self.next
        );
        self.prev.write_hex(&mut self.bytes);
        self.bytes.extend_from_slice(br#"","eventType":""#);
        self.bytes.extend_from_slice(kind.as_bytes());
        self.bytes.extend_from_slice(br#"","#);
        start
    }

    fn close(&mut self, start: usize) {
        self.prev = LineHash::of(self.bytes.get(start..).unwrap_or_default());
        self.next = self.next.saturating_add(1);
        self.bytes.push(b'\n');
        self.ends.push(self.bytes.len());
    }
}

/// Room for a line of the usual length.
const USUAL_LEN: usize = 1024;

/// How much is kept of what was half written.
const MAX_CUT_SHOWN: usize = 1024;

/// The version of the lines.
pub(super) const VERSION: u32 = 1;

/// A JSON object that is being written.
struct Object<'b> {
    bytes: &'b mut Vec<u8>,
    has_members: bool,
}

impl<'b> Object<'b> {
    fn open(bytes: &'b mut Vec<u8>) -> Self {
        bytes.push(b'{');
        Self::go_on(bytes)
    }

    fn go_on(bytes: &'b mut Vec<u8>) -> Self {
        Self {
            bytes,
            has_members: false,
        }
    }

    fn close(self) {
        self.bytes.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if self.has_members {
            self.bytes.push(b',');
        }
        self.has_members = true;
        self.string(name);
        self.bytes.push(b':');
    }

    fn string(&mut self, text: &str) {
        if text.bytes().all(needs_no_escape) {
            self.bytes.push(b'"');
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.push(b'"');
        } else {
            // Text is written to memory: nothing fails.
            let _ = serde_json::to_writer(&mut *self.bytes, text);
        }
    }

    /// One value in parts that need no escape.
    fn texts(&mut self, name: &str, parts: [&str; 2]) {
        self.name(name);
        self.bytes.push(b'"');
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.bytes.push(b'"');
    }

    fn hex(&mut self, name: &str, bytes: &[u8; 16]) {
        self.name(name);
        let mut digits = [0; 32];
        self.bytes.push(b'"');
        if let Ok(digits) = base16ct::lower::encode(bytes, &mut digits) {
            self.bytes.extend_from_slice(digits);
        }
        self.bytes.push(b'"');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.string(value);
    }

    /// A value whose text needs no escape.
    fn display(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        let _ = write!(self.bytes, "\"{value}\"");
    }

    /// A number, `true` or `false`.
    fn display_bare(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        let _ = write!(self.bytes, "{value}");
    }

    fn object(&mut self, name: &str) -> Object<'_> {
        self.name(name);
        Object::open(self.bytes)
    }

    fn map(&mut self, name: &str, map: Option<&BTreeMap<String, String>>) {
        if let Some(map) = map.filter(|map| !map.is_empty()) {
            let mut object = self.object(name);
            for (key, value) in map {
                object.text(key, value);
            }
            object.close();
        }
    }

    fn request(&mut self, event: &AuditEvent<'_>, values: ContextValues, key: &AuditKey) {
        if let Some(selector) = event.selector {
            self.text("keyId", &cut(selector));
        }
        if let Some(context) = event.context.filter(|context| !context.is_empty()) {
            let mut object = self.object("encryptionContext");
            object.context(context, values, key);
            object.close();
        }
        for (place, (name, value)) in event.parameters.iter().enumerate() {
            let later = event.parameters.get(place + 1..).unwrap_or_default();
            let is_taken = matches!(*name, "keyId" | "encryptionContext");
            if is_taken || later.iter().any(|(later, _)| later == name) {
                continue;
            }
            match value {
                ParameterValue::Text(text) => self.text(name, text),
                ParameterValue::Number(number) => self.display_bare(name, number),
                ParameterValue::Flag(flag) => self.display_bare(name, flag),
                ParameterValue::List(texts) => {
                    self.name(name);
                    self.list(texts);
                }
            }
        }
    }

    fn list(&mut self, texts: &[Cow<'_, str>]) {
        self.bytes.push(b'[');
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.bytes.push(b',');
            }
            self.string(text);
        }
        self.bytes.push(b']');
    }

    fn context(&mut self, context: &EncryptionContext, values: ContextValues, key: &AuditKey) {
        for (name, value) in context.iter() {
            match values {
                ContextValues::Clear => self.text(name, value),
                ContextValues::Hashed => {
                    self.name(name);
                    self.bytes.push(b'"');
                    self.bytes.extend_from_slice(HASH_PREFIX.as_bytes());
                    let mut digits = [0; 32];
                    let digits = key.hash_digits(name, value, &mut digits);
                    self.bytes.extend_from_slice(digits.as_bytes());
                    self.bytes.push(b'"');
                }
            }
        }
    }
}

fn needs_no_escape(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

/// Any text can be given for a key, of any length.
fn cut(selector: &str) -> Cow<'_, str> {
    if selector.len() <= MAX_SELECTOR_LEN {
        return selector.into();
    }
    let end = (0..=MAX_SELECTOR_LEN)
        .rev()
        .find(|&end| selector.is_char_boundary(end))
        .unwrap_or(0);
    let kept = selector.get(..end).unwrap_or_default();
    format!("{kept}... ({} bytes)", selector.len()).into()
}
