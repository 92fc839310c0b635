//! Two files of one name, from two services: whether they are one.

use std::collections::HashMap;

use bytes::{Buf as _, Bytes};
use prost::encoding::{DecodeContext, decode_key, skip_field};
use prost_types::{DescriptorProto, FileDescriptorProto};

use super::index::decode;
use crate::config::Problem;
use crate::host::schema::clean;

/// Where a file has its comments.
const SOURCE_CODE_INFO: u32 = 9;

/// What becomes of the newcomer.
pub(super) enum Merged {
    /// It says nothing that the one that is there does not say.
    Same,
    /// It says more, and takes the other's place.
    Better,
    /// It says otherwise, in this.
    Contradiction(String),
}

pub(super) fn merge(name: &str, there: &Bytes, new: &Bytes) -> Result<Merged, Problem> {
    if there == new {
        return Ok(Merged::Same);
    }
    let better = |is_better: bool| if is_better { Merged::Better } else { Merged::Same };
    if let (Some(old), Some(bare)) = (without_comments(there), without_comments(new))
        && old == bare
    {
        return Ok(better(new.len() > there.len()));
    }
    let (old, file) = (decode(there)?, decode(new)?);
    if name.starts_with("google/protobuf/") {
        // Later releases only ever add to the well-known files.
        return Ok(better(declares(&file) > declares(&old)));
    }
    Ok(Merged::Contradiction(difference(&old, &file)))
}

/// A file's bytes but for those of its comments.
fn without_comments(file: &Bytes) -> Option<Vec<u8>> {
    let mut left = file.clone();
    let mut kept = Vec::with_capacity(file.len());
    while left.has_remaining() {
        let before = left.clone();
        let (tag, wire) = decode_key(&mut left).ok()?;
        skip_field(wire, tag, &mut left, DecodeContext::default()).ok()?;
        if tag != SOURCE_CODE_INFO {
            kept.extend_from_slice(&before[..before.len() - left.len()]);
        }
    }
    Some(kept)
}

/// How much a file declares.
fn declares(file: &FileDescriptorProto) -> usize {
    fn of(message: &DescriptorProto) -> usize {
        let values: usize = message.enum_type.iter().map(|declared| 1 + declared.value.len()).sum();
        1 + message.field.len() + message.extension.len() + values + message.nested_type.iter().map(of).sum::<usize>()
    }
    let values: usize = file.enum_type.iter().map(|declared| 1 + declared.value.len()).sum();
    let methods: usize = file.service.iter().map(|declared| 1 + declared.method.len()).sum();
    file.message_type.iter().map(of).sum::<usize>() + values + methods + file.extension.len()
}

/// The first thing that two files declare differently.
fn difference(old: &FileDescriptorProto, new: &FileDescriptorProto) -> String {
    let messages = || unlike(&old.message_type, &new.message_type, |declared| declared.name());
    let enums = || unlike(&old.enum_type, &new.enum_type, |declared| declared.name());
    let services = || unlike(&old.service, &new.service, |declared| declared.name());
    let extensions = || unlike(&old.extension, &new.extension, |declared| declared.name());
    match messages().or_else(enums).or_else(services).or_else(extensions) {
        Some(name) => format!("`{}`", clean(name)),
        None => "imports or options".to_owned(),
    }
}

/// The first name of which one has none, or another.
fn unlike<'a, T: PartialEq>(old: &'a [T], new: &'a [T], name: impl Fn(&'a T) -> &'a str) -> Option<&'a str> {
    let lacks = |from: &'a [T], of: &'a [T]| {
        let from: HashMap<&str, &T> = from.iter().map(|declared| (name(declared), declared)).collect();
        of.iter().find(|declared| from.get(name(declared)) != Some(declared)).map(&name)
    };
    lacks(old, new).or_else(|| lacks(new, old))
}
