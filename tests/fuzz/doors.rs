//! Doors for the fuzz targets, into rooms that are nobody else's business.
//! They are part of ostler itself, and only where `--cfg fuzzing` is set.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind};

use crate::config::{Document, Problem, Problems};
use crate::handlers::route_guide::features::json;
use crate::handlers::rules::doors as rules;
use crate::host::doors as host;
use crate::host::entrance::framing::{Cardinality, Framing};
use crate::host::entrance::guard;
use crate::host::listen::meter;
use crate::host::{Plan, Plugin, Registry, Schema};

/// Service and method of a path, if it is one a call may have.
pub fn canonical(path: &str) -> Option<(&str, &str)> {
    guard::canonical(path)
}

/// Service, method and timeout of a request that may go on.
pub fn admitted(request: &http::Request<()>) -> Option<(String, String, Option<Duration>)> {
    let admitted = guard::admit(request).ok()?;
    let (service, method) = admitted.names();
    Some((service.to_owned(), method.to_owned(), admitted.timeout))
}

/// How a stream of messages ends that comes in these pieces, if not well: a
/// code and its words. One message is due, or any number.
pub fn framed<'a>(many: bool, largest: u64, mut pieces: impl Iterator<Item = &'a [u8]>) -> Option<(i32, String)> {
    let cardinality = if many { Cardinality::Many } else { Cardinality::One };
    let mut framing = Framing::new(cardinality, largest);
    let passed = pieces.try_for_each(|piece| framing.pass(piece)).and_then(|()| framing.end());
    passed.err().map(|status| (status.code() as i32, status.message().to_owned()))
}

/// What counts a connection's frames.
#[derive(Debug)]
pub struct Meter(meter::Meter);

impl Meter {
    /// That of a connection opened now.
    pub fn new(now: Instant) -> Meter {
        Meter(meter::Meter::new(now))
    }

    /// Bytes the peer sent; the error cuts it off.
    pub fn received(&mut self, bytes: &[u8], now: Instant) -> Result<(), impl Debug + PartialEq + use<>> {
        self.0.received(bytes, || now)
    }

    /// Bytes it was sent.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.0.sent(bytes);
    }

    /// Whether the peer owes something, and whether a frame may be sent now.
    pub fn state(&self) -> (bool, bool) {
        (self.0.is_awaited(), self.0.is_between_frames())
    }
}

/// Name, latitude and longitude of every feature of a database.
pub fn features(file: &str, json: &[u8]) -> Result<Vec<(String, i32, i32)>, Problems> {
    let entries = json::parse(file, json)?;
    Ok(entries.into_iter().map(|entry| (entry.name, entry.location.latitude, entry.location.longitude)).collect())
}

/// A descriptor set loaded, as bytes: what it was refused for, or each service
/// with all that its messages hold walked through.
pub fn descriptors(set: &[u8]) -> Result<usize, Problem> {
    let schema = Schema::decode(set)?;
    let mut fields = 0;
    for message in schema.pool().all_messages() {
        // Where the descriptor crate takes something for granted, this is where it is missed.
        let empty = DynamicMessage::new(message.clone());
        assert!(empty.encode_to_vec().is_empty());
        for field in message.fields() {
            fields += 1;
            let _ = (field.kind(), field.default_value(), field.containing_oneof(), field.supports_presence());
            if field.is_map()
                && let Kind::Message(entry) = field.kind()
            {
                let _ = (entry.map_entry_key_field(), entry.map_entry_value_field());
            }
        }
    }
    for service in schema.pool().services() {
        service.methods().for_each(|method| drop((method.input(), method.output())));
    }
    Ok(fields)
}

/// What expressions and rules are over: the fuzz targets' own schema, and those of examples.
#[allow(clippy::expect_used, reason = "nothing can be searched without it")]
fn schema() -> Arc<Schema> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["tests/fuzz/schema", "docs/examples/ticker", "proto/routeguide"].map(|folder| base.join(folder));
    let files = ["kinds.proto", "greeter.proto", "ticker.proto", "route_guide.proto"];
    host::schema(&folders.each_ref().map(|folder| folder.as_path()), &files).expect("the schema compiles")
}

/// The language of rules over a message that has every kind of field.
pub struct Language(rules::Language);

impl Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Language").finish_non_exhaustive()
    }
}

#[allow(clippy::expect_used, reason = "nothing can be searched without")]
impl Default for Language {
    fn default() -> Language {
        let of = schema().pool().get_message_by_name("fuzz.All").expect("it is in the schema");
        Language(rules::Language::new(of))
    }
}

impl Language {
    /// Compiles a text wherever one may stand, and works it out over several
    /// messages; panics where something does not hold that should.
    pub fn try_out(&self, text: &str) -> bool {
        self.0.try_out(text)
    }
}

/// Services that behave by rules.
#[derive(Debug)]
pub struct Behaving {
    registry: Registry,
    schema: Arc<Schema>,
}

impl Default for Behaving {
    fn default() -> Behaving {
        Behaving { registry: crate::handlers::standard().with(rules::Bounded), schema: schema() }
    }
}

impl Behaving {
    /// Builds every service of a configuration, and calls each method of
    /// those that could be built; at most so many bytes of an answer are read.
    pub async fn try_out(&self, text: &str, most_bytes: usize) -> Result<(), Problems> {
        let document = Document::parse("ostler.yaml", text, Path::new("/nonexistent"), &|_| None)?;
        let mut problems = Problems::default();
        for mut plan in self.registry.plan(&document)? {
            let is_of_rules = |plan: &Plan| plan.entry.kind == <rules::Bounded as Plugin>::KIND;
            plan.methods.retain(is_of_rules);
            if !is_of_rules(&plan) {
                continue;
            }
            problems.take(rules::behave(plan, &self.schema, most_bytes).await);
        }
        problems.or(())
    }
}
