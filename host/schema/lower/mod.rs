//! Schema files of an edition, told in the terms of proto2 or proto3.
//!
//! The descriptor crate knows those two alone, and panics at anything else.
//! What an edition can say of a field they can say too, field by field:
//!
//! | feature | told as |
//! |---|---|
//! | presence IMPLICIT | proto3, where the file's other fields are `optional` |
//! | presence LEGACY_REQUIRED | `required` |
//! | repeated PACKED, EXPANDED | `[packed = …]` |
//! | message DELIMITED | a group; never a map, nor what is in one |
//! | enum OPEN, CLOSED | nothing: unknown numbers are kept as they are |
//!
//! A file with both implicit presence and an enum that does not begin at zero
//! can be told in neither's terms; it is proto2, and its fields have presence.
//! What the file itself says is served to clients to the byte.

mod features;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use super::{Head, clean};
use crate::config::Problem;
use features::{Features, FieldView, FileView, MessageView, Presence};

/// Editions 2023 and 2024 by their numbers.
const EDITIONS: [i32; 2] = [1000, 1001];

/// One file as the descriptor crate can take it.
pub(in crate::host) fn decode(bytes: &[u8]) -> Result<FileDescriptorProto, Problem> {
    let unreadable = |error| {
        let name = Head::decode(bytes).map(|head| format!(" `{}`", clean(&head.name))).unwrap_or_default();
        Problem::new(format!("the schema file{name} cannot be decoded: {error}"))
    };
    let mut file = FileDescriptorProto::decode(bytes).map_err(unreadable)?;
    let name = || clean(file.name());
    match file.syntax() {
        "" => file.syntax = None,
        "proto2" | "proto3" => {}
        "editions" => {
            let view = FileView::decode(bytes).map_err(unreadable)?;
            if !EDITIONS.contains(&view.edition) {
                let problem = Problem::new(match view.edition {
                    newer if newer > EDITIONS[1] => {
                        format!("the schema file `{}` is of an edition newer than 2024", name())
                    }
                    other => format!("the schema file `{}` is of an edition {other} that there is not", name()),
                });
                return Err(problem.help("proto2, proto3 and editions to 2024 are known here"));
            }
            lower(&mut file, &view);
        }
        other => {
            return Err(Problem::new(format!("the schema file `{}` has the syntax `{}`", name(), clean(other)))
                .help("proto2, proto3 and editions to 2024 are known here"));
        }
    }
    Ok(file)
}

fn lower(file: &mut FileDescriptorProto, view: &FileView) {
    let features = Features::default().with(view.features());
    let mut has_implicit = false;
    for (message, view) in file.message_type.iter_mut().zip(&view.messages) {
        lower_message(message, view, features, &mut has_implicit);
    }
    lower_extensions(&mut file.extension, &view.extensions, features);
    let is_proto3 =
        has_implicit && file.enum_type.iter().all(begins_at_zero) && file.message_type.iter().all(enums_begin_at_zero);
    file.syntax = Some(if is_proto3 { "proto3" } else { "proto2" }.to_owned());
    if !is_proto3 {
        // Proto2 has presence without a word.
        file.message_type.iter_mut().for_each(without_marks);
    }
}

fn lower_message(message: &mut DescriptorProto, view: &MessageView, features: Features, has_implicit: &mut bool) {
    let features = features.with(view.features());
    let is_entry = |message: &DescriptorProto| message.options.as_ref().is_some_and(|options| options.map_entry());
    if is_entry(message) {
        return;
    }
    let maps: Vec<String> =
        message.nested_type.iter().filter(|nested| is_entry(nested)).map(|nested| nested.name().to_owned()).collect();
    for (field, field_view) in message.field.iter_mut().zip(&view.fields) {
        let oneof = field.oneof_index.and_then(|at| view.oneofs.get(usize::try_from(at).ok()?));
        let features = features.with(oneof.and_then(|oneof| oneof.features())).with(field_view.features());
        let name = field.type_name().rsplit('.').next().unwrap_or_default();
        let is_map = field.label() == Label::Repeated && maps.iter().any(|map| map == name);
        if !is_map {
            lower_field(field, features);
        }
        let has_choice = field.label() == Label::Optional
            && field.oneof_index.is_none()
            && !matches!(field.r#type(), Type::Message | Type::Group);
        let is_single = field.label() == Label::Optional && field.oneof_index.is_none();
        if is_single && features.presence == Presence::Required {
            field.set_label(Label::Required);
        }
        match features.presence {
            _ if !has_choice => {}
            Presence::Implicit => *has_implicit = true,
            Presence::Explicit | Presence::Required => field.proto3_optional = Some(true),
        }
    }
    lower_extensions(&mut message.extension, &view.extensions, features);
    for (message, view) in message.nested_type.iter_mut().zip(&view.nested) {
        lower_message(message, view, features, has_implicit);
    }
}

/// Extensions always have presence.
fn lower_extensions(extensions: &mut [FieldDescriptorProto], views: &[FieldView], features: Features) {
    for (extension, view) in extensions.iter_mut().zip(views) {
        lower_field(extension, features.with(view.features()));
    }
}

/// How a field is coded.
fn lower_field(field: &mut FieldDescriptorProto, features: Features) {
    match field.r#type() {
        Type::Message if features.delimited => field.set_type(Type::Group),
        Type::Message | Type::Group | Type::String | Type::Bytes => {}
        _ if field.label() == Label::Repeated => {
            field.options.get_or_insert_default().packed.get_or_insert(features.packed);
        }
        _ => {}
    }
}

fn begins_at_zero(enumeration: &EnumDescriptorProto) -> bool {
    enumeration.value.first().is_none_or(|value| value.number() == 0)
}

fn enums_begin_at_zero(message: &DescriptorProto) -> bool {
    message.enum_type.iter().all(begins_at_zero) && message.nested_type.iter().all(enums_begin_at_zero)
}

fn without_marks(message: &mut DescriptorProto) {
    message.field.iter_mut().for_each(|field| field.proto3_optional = None);
    message.nested_type.iter_mut().for_each(without_marks);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length-delimited field, as bytes.
    fn field(tag: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_key(tag, prost::encoding::WireType::LengthDelimited, &mut bytes);
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend(content);
        bytes
    }

    /// Presence (1), repeated (3) and message (5) encoding, each as its number.
    fn features(said: &[(u8, u8)]) -> Vec<u8> {
        said.iter().flat_map(|(tag, value)| [tag << 3, *value]).collect()
    }

    /// A field of a type, repeated or not, that says something itself.
    fn of(kind: Type, label: Label, said: &[(u8, u8)]) -> Vec<u8> {
        let known = FieldDescriptorProto { label: Some(label.into()), r#type: Some(kind.into()), ..Default::default() };
        [known.encode_to_vec(), field(8, &field(21, &features(said)))].concat()
    }

    /// A file of edition 2023 that says something for all of these.
    fn file(said: &[(u8, u8)], fields: &[Vec<u8>], more: Vec<u8>) -> FileDescriptorProto {
        let message: Vec<u8> = fields.iter().flat_map(|bytes| field(2, bytes)).collect();
        let known = FileDescriptorProto { syntax: Some("editions".to_owned()), ..Default::default() };
        let edition = vec![14 << 3, 0xe8, 0x07];
        let parts = [known.encode_to_vec(), field(4, &message), field(8, &field(50, &features(said))), edition, more];
        decode(&parts.concat()).unwrap()
    }

    #[test]
    fn features_hold_from_the_file_down_until_a_field_says_otherwise() {
        let fields = [
            of(Type::Int32, Label::Repeated, &[]),
            of(Type::Int32, Label::Repeated, &[(3, 1)]),
            of(Type::String, Label::Repeated, &[]),
            of(Type::Message, Label::Optional, &[]),
            of(Type::Message, Label::Optional, &[(5, 1)]),
            of(Type::Int32, Label::Optional, &[(1, 3)]),
        ];
        let file = file(&[(3, 2), (5, 2)], &fields, Vec::new());
        let fields = &file.message_type[0].field;
        let packed = |at: usize| fields[at].options.as_ref().and_then(|options| options.packed);
        assert_eq!((packed(0), packed(1), packed(2)), (Some(false), Some(true), None));
        assert_eq!((fields[3].r#type(), fields[4].r#type()), (Type::Group, Type::Message));
        assert_eq!((file.syntax(), fields[5].label()), ("proto2", Label::Required));
        assert!(fields.iter().all(|field| field.proto3_optional.is_none()), "proto2 has presence without a word");
    }

    #[test]
    fn implicit_presence_is_proto3_s_unless_an_enum_begins_elsewhere() {
        let fields = [of(Type::Int32, Label::Optional, &[]), of(Type::Int32, Label::Optional, &[(1, 1)])];
        let marks = |file: &FileDescriptorProto| {
            file.message_type[0].field.iter().map(FieldDescriptorProto::proto3_optional).collect::<Vec<_>>()
        };
        let implicit = file(&[(1, 2)], &fields, Vec::new());
        assert_eq!((implicit.syntax(), marks(&implicit)), ("proto3", vec![false, true]));
        // An enum whose only value is 7.
        let closed = file(&[(1, 2)], &fields, field(5, &field(2, &[2 << 3, 7])));
        assert_eq!((closed.syntax(), marks(&closed)), ("proto2", vec![false, false]));
    }
}
