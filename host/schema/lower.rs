//! Schema files of an edition, told in the terms of proto2.
//!
//! The descriptor crate knows proto2 and proto3 alone, and panics at anything
//! else. What an edition can say of a message is presence, packing and groups,
//! and proto2 can say each of them field by field. Enums come out open and
//! defaults of no presence are sent when they are written down: neither is
//! wrong for a client.

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use super::clean;
use crate::config::Problem;

/// Edition 2024 by its number.
const NEWEST: i32 = 1001;
const EXPANDED: i32 = 2;
const DELIMITED: i32 = 2;

/// One file as the descriptor crate can take it.
pub(in crate::host) fn decode(bytes: &[u8]) -> Result<FileDescriptorProto, Problem> {
    let unreadable = |error| Problem::new(format!("a schema file cannot be decoded: {error}"));
    let mut file = FileDescriptorProto::decode(bytes).map_err(unreadable)?;
    match file.syntax() {
        "" | "proto2" | "proto3" => {}
        "editions" => {
            let view = FileView::decode(bytes).map_err(unreadable)?;
            if view.edition > NEWEST {
                return Err(Problem::new(format!(
                    "the schema file `{}` is of an edition newer than 2024",
                    clean(file.name())
                )));
            }
            lower(&mut file, &view);
        }
        other => {
            let (name, syntax) = (clean(file.name()), clean(other));
            return Err(Problem::new(format!("the schema file `{name}` has the syntax `{syntax}`"))
                .help("proto2, proto3 and editions to 2024 are known here"));
        }
    }
    Ok(file)
}

fn lower(file: &mut FileDescriptorProto, view: &FileView) {
    file.syntax = Some("proto2".to_owned());
    let features = Resolved::default().with(view.options.as_ref().and_then(|options| options.features.as_ref()));
    for (message, view) in file.message_type.iter_mut().zip(&view.messages) {
        lower_message(message, view, features);
    }
    lower_fields(&mut file.extension, &view.extensions, features);
}

fn lower_message(message: &mut DescriptorProto, view: &MessageView, features: Resolved) {
    let features = features.with(view.options.as_ref().and_then(|options| options.features.as_ref()));
    lower_fields(&mut message.field, &view.fields, features);
    lower_fields(&mut message.extension, &view.extensions, features);
    for (message, view) in message.nested_type.iter_mut().zip(&view.nested) {
        lower_message(message, view, features);
    }
}

fn lower_fields(fields: &mut [FieldDescriptorProto], views: &[FieldView], features: Resolved) {
    for (field, view) in fields.iter_mut().zip(views) {
        let features = features.with(view.options.as_ref().and_then(|options| options.features.as_ref()));
        match field.r#type() {
            Type::Message if features.delimited => field.set_type(Type::Group),
            Type::Message | Type::Group | Type::String | Type::Bytes => {}
            _ if field.label() == Label::Repeated => {
                field.options.get_or_insert_default().packed.get_or_insert(features.packed);
            }
            _ => {}
        }
    }
}

/// What holds for a field.
#[derive(Clone, Copy)]
struct Resolved {
    packed: bool,
    delimited: bool,
}

impl Default for Resolved {
    fn default() -> Resolved {
        Resolved { packed: true, delimited: false }
    }
}

impl Resolved {
    fn with(self, features: Option<&Features>) -> Resolved {
        let Some(features) = features else { return self };
        Resolved {
            packed: features.repeated.map_or(self.packed, |encoding| encoding != EXPANDED),
            delimited: features.message.map_or(self.delimited, |encoding| encoding == DELIMITED),
        }
    }
}

/// The parts of a file that name features; the crate's own types drop them.
#[derive(Clone, PartialEq, prost::Message)]
struct FileView {
    #[prost(message, repeated, tag = "4")]
    messages: Vec<MessageView>,
    #[prost(message, repeated, tag = "7")]
    extensions: Vec<FieldView>,
    #[prost(message, optional, tag = "8")]
    options: Option<FileOptions>,
    #[prost(int32, tag = "14")]
    edition: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessageView {
    #[prost(message, repeated, tag = "2")]
    fields: Vec<FieldView>,
    #[prost(message, repeated, tag = "3")]
    nested: Vec<MessageView>,
    #[prost(message, repeated, tag = "6")]
    extensions: Vec<FieldView>,
    #[prost(message, optional, tag = "7")]
    options: Option<MessageOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FieldView {
    #[prost(message, optional, tag = "8")]
    options: Option<FieldOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FileOptions {
    #[prost(message, optional, tag = "50")]
    features: Option<Features>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessageOptions {
    #[prost(message, optional, tag = "12")]
    features: Option<Features>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FieldOptions {
    #[prost(message, optional, tag = "21")]
    features: Option<Features>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Features {
    #[prost(int32, optional, tag = "3")]
    repeated: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    message: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a field that the crate has no name for, appended to what it has.
    fn with(mut bytes: Vec<u8>, more: &impl prost::Message) -> Vec<u8> {
        bytes.extend(more.encode_to_vec());
        bytes
    }

    #[test]
    fn features_hold_from_the_file_down_until_a_field_says_otherwise() {
        let field = |kind: Type, options: Option<FieldOptions>| {
            let known = FieldDescriptorProto {
                label: Some(if kind == Type::Message { Label::Optional } else { Label::Repeated }.into()),
                r#type: Some(kind.into()),
                ..Default::default()
            };
            with(known.encode_to_vec(), &FieldView { options })
        };
        let features = |repeated, message| Some(Features { repeated, message });
        // As `MessageView`, with fields that are bytes already.
        #[derive(Clone, PartialEq, prost::Message)]
        struct Raw {
            #[prost(bytes = "vec", repeated, tag = "2")]
            fields: Vec<Vec<u8>>,
            #[prost(bytes = "vec", repeated, tag = "4")]
            messages: Vec<Vec<u8>>,
        }
        let fields = vec![
            field(Type::Int32, None),
            field(Type::Int32, Some(FieldOptions { features: features(Some(1), None) })),
            field(Type::String, None),
            field(Type::Message, None),
            field(Type::Message, Some(FieldOptions { features: features(None, Some(1)) })),
        ];
        let message = Raw { fields, messages: Vec::new() }.encode_to_vec();
        let known = FileDescriptorProto { syntax: Some("editions".to_owned()), ..Default::default() };
        let view = FileView {
            options: Some(FileOptions { features: features(Some(EXPANDED), Some(DELIMITED)) }),
            edition: 1000,
            ..Default::default()
        };
        let bytes = with(with(known.encode_to_vec(), &Raw { fields: Vec::new(), messages: vec![message] }), &view);
        let file = decode(&bytes).unwrap();
        let fields = &file.message_type[0].field;
        let packed = |at: usize| fields[at].options.as_ref().and_then(|options| options.packed);
        assert_eq!((packed(0), packed(1), packed(2)), (Some(false), Some(true), None));
        assert_eq!((fields[3].r#type(), fields[4].r#type()), (Type::Group, Type::Message));
        assert_eq!(file.syntax(), "proto2");
    }
}
