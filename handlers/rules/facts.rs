//! What expressions may know of a call beside its messages.

use std::time::Instant;

use prost_reflect::DynamicMessage;
use tonic::metadata::{KeyRef, MetadataMap};

use super::expr::{Duration, Fields, Key, Names, Timestamp, Value};
use super::program::{Program, Wants};
use super::scope::{ADDRESS, ELAPSED, METADATA, METHOD, NOW, NUMBER, PEER, REQUEST};
use crate::host::Peer;

/// What is known of a call from its beginning; what no rule reads is null.
pub(super) struct Facts {
    method: Value,
    metadata: Value,
    peer: Value,
    clock: bool,
    started: Instant,
}

impl Facts {
    /// Those of a call that begins now, as far as its rules want them.
    pub(super) fn new(method: &str, metadata: &MetadataMap, peer: &Peer, wants: Wants) -> Facts {
        Facts {
            method: method.into(),
            metadata: if wants.metadata { metadata_of(metadata) } else { Value::Null },
            peer: if wants.peer { peer_of(peer) } else { Value::Null },
            clock: wants.clock,
            started: Instant::now(),
        }
    }

    /// The names of one event, but for those of states, in their scope's order.
    pub(super) fn names<'a>(
        &'a self,
        program: &'a Program,
        request: Option<&'a DynamicMessage>,
        number: i64,
    ) -> Names<'a> {
        let names = Names::default().steps(program.steps);
        let names = match request {
            Some(request) => names.message(REQUEST, request),
            None => names,
        };
        let names = names.lent(METADATA, &self.metadata).lent(PEER, &self.peer).lent(METHOD, &self.method);
        let names = match self.clock {
            true => names.value(NOW, Timestamp::now()).value(ELAPSED, Duration::from(self.started.elapsed())),
            false => names.value(NOW, Value::Null).value(ELAPSED, Value::Null),
        };
        let names = names.value(NUMBER, number);
        program.tables.iter().fold(names, |names, table| names.lent(&table.name, &table.rows))
    }
}

/// Metadata as a map of texts, those of one name joined as HTTP has it; of a name
/// in `-bin` bytes, the first of them where there are several.
fn metadata_of(metadata: &MetadataMap) -> Value {
    let of = |key| match key {
        KeyRef::Ascii(name) => {
            let texts: Vec<_> = metadata.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
            (!texts.is_empty()).then(|| (Key::from(name.as_str()), Value::from(texts.join(", "))))
        }
        KeyRef::Binary(name) => {
            let bytes = metadata.get_bin(name)?.to_bytes().ok()?;
            Some((Key::from(name.as_str()), Value::from(bytes)))
        }
    };
    metadata.keys().filter_map(of).collect::<Fields>().into()
}

fn peer_of(peer: &Peer) -> Value {
    let mut fields = Fields::new();
    if let Some(address) = peer.address() {
        fields.insert(Key::from(ADDRESS), address.ip().to_string().into());
    }
    fields.into()
}
