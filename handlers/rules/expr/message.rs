//! Messages as an evaluation sees them, read field by field.

use std::borrow::Cow;
use std::sync::Arc;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _};

use super::failed::Failed;
use super::seen::Seen;
use super::steps::Steps;
use super::types::WellKnown;
use super::value::proto_size;

/// A message, lent or made.
#[derive(Clone)]
pub(super) enum Message<'a> {
    Lent(&'a DynamicMessage),
    Kept(&'a Arc<DynamicMessage>),
    Made(Arc<DynamicMessage>),
}

impl std::ops::Deref for Message<'_> {
    type Target = DynamicMessage;

    fn deref(&self) -> &DynamicMessage {
        match self {
            Message::Lent(message) => message,
            Message::Kept(message) => message,
            Message::Made(message) => message,
        }
    }
}

impl<'a> Message<'a> {
    /// A field that the message's type has.
    pub(super) fn read(&self, field: &FieldDescriptor, steps: &mut Steps) -> Result<Seen<'a>, Failed> {
        // Null is what a wrapper, an Any or a Value is that was not set.
        if let Kind::Message(of) = field.kind()
            && !field.is_list()
            && !field.is_map()
            && matches!(WellKnown::of(&of), Some(WellKnown::Value | WellKnown::Wrapper | WellKnown::Any))
            && !self.has_field(field)
        {
            return Ok(Seen::Null);
        }
        let lent: &'a DynamicMessage = match self {
            Message::Lent(message) => message,
            Message::Kept(message) => message,
            Message::Made(message) => {
                let value = message.get_field(field);
                steps.bytes(proto_size(&value))?;
                return Ok(Seen::owned(value.into_owned()));
            }
        };
        Ok(match lent.get_field(field) {
            Cow::Borrowed(value) => Seen::proto(value),
            Cow::Owned(default) => Seen::owned(default),
        })
    }

    /// A field by name; of an Any, a field of what is packed in it.
    pub(super) fn member(&self, name: &str, steps: &mut Steps) -> Result<Seen<'a>, Failed> {
        if let Some(packed) = self.unpacked(steps)? {
            return packed.member(name, steps);
        }
        match self.descriptor().get_field_by_name(name) {
            Some(field) => self.read(&field, steps),
            None => Err(Failed::NoSuchField(name.to_owned())),
        }
    }

    /// Whether a field by name is set.
    pub(super) fn has(&self, name: &str, steps: &mut Steps) -> Result<bool, Failed> {
        if let Some(packed) = self.unpacked(steps)? {
            return packed.has(name, steps);
        }
        match self.descriptor().get_field_by_name(name) {
            Some(field) => Ok(self.has_field(&field)),
            None => Err(Failed::NoSuchField(name.to_owned())),
        }
    }

    /// What an Any holds, if it is one and its type is known. One that holds
    /// another is not looked into further.
    pub(super) fn unpacked(&self, steps: &mut Steps) -> Result<Option<Message<'a>>, Failed> {
        let descriptor = self.descriptor();
        if WellKnown::of(&descriptor) != Some(WellKnown::Any) {
            return Ok(None);
        }
        let (url, bytes) = (self.get_field_by_number(1), self.get_field_by_number(2));
        let (Some(url), Some(bytes)) =
            (url.as_ref().and_then(|url| url.as_str()), bytes.as_ref().and_then(|bytes| bytes.as_bytes()))
        else {
            return Ok(None);
        };
        let name = url.rsplit('/').next().unwrap_or_default();
        let Some(of) = descriptor.parent_pool().get_message_by_name(name) else { return Ok(None) };
        if WellKnown::of(&of) == Some(WellKnown::Any) {
            return Ok(None);
        }
        steps.bytes(4 * bytes.len())?;
        Ok(DynamicMessage::decode(of, bytes.clone()).ok().map(|message| Message::Made(Arc::new(message))))
    }
}
