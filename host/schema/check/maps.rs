//! Maps, which protobuf tells as repeated messages of a shape of their own.

use prost_types::DescriptorProto;
use prost_types::field_descriptor_proto::{Label, Type};

use super::shapes::Shapes;
use crate::host::schema::declared::full;

pub(super) fn is_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

impl Shapes<'_, '_> {
    /// The entries among a message's own messages: each of the shape it needs,
    /// and each used by one repeated field of that very message.
    pub(super) fn maps(&mut self, name: &str, message: &DescriptorProto) {
        for entry in message.nested_type.iter().filter(|nested| is_entry(nested)) {
            let symbol = full(name, entry.name());
            if !is_well_formed(entry) {
                self.fault(&symbol, "is a map's entry, and not of a key and a value");
            }
            let mut users = message.field.iter().filter(|field| {
                let given = field.type_name();
                given.strip_prefix('.').is_some_and(|given| given == symbol) || given == entry.name()
            });
            let user = users.next();
            let is_map = user.is_some_and(|field| field.label() == Label::Repeated && field.r#type() == Type::Message);
            if !is_map || users.next().is_some() {
                self.fault(&symbol, "is a map's entry, and not of one map");
            }
        }
    }
}

fn is_well_formed(entry: &DescriptorProto) -> bool {
    let [key, value] = entry.field.as_slice() else { return false };
    let is_key =
        !matches!(key.r#type(), Type::Double | Type::Float | Type::Bytes | Type::Enum | Type::Message | Type::Group);
    is_key
        && (key.name(), key.number(), key.label()) == ("key", 1, Label::Optional)
        && (value.name(), value.number(), value.label()) == ("value", 2, Label::Optional)
        && value.r#type() != Type::Group
        && entry.nested_type.is_empty()
        && entry.enum_type.is_empty()
        && entry.extension.is_empty()
        && entry.extension_range.is_empty()
        && entry.oneof_decl.is_empty()
}
