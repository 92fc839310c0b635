//! Schemas at run time: whatever is wrong with one is told and changes nothing,
//! whatever is right reaches every client to the byte.

mod clash;
mod details;
mod editions;
mod large;
mod mutated;
mod reflect;
mod refused;
mod several;
mod truth;
mod wire;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};

/// A set of these files, serialized.
pub fn set(file: Vec<FileDescriptorProto>) -> Vec<u8> {
    FileDescriptorSet { file }.encode_to_vec()
}

/// A proto3 file of the package `p` that imports these.
pub fn file(name: &str, imports: &[&str], messages: Vec<DescriptorProto>) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some("p".to_owned()),
        syntax: Some("proto3".to_owned()),
        dependency: imports.iter().map(|&import| import.to_owned()).collect(),
        message_type: messages,
        ..Default::default()
    }
}

pub fn message(name: &str, field: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto { name: Some(name.to_owned()), field, ..Default::default() }
}

pub fn field(name: &str, number: i32, kind: Type) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        ..Default::default()
    }
}

/// A field of a message or an enum.
pub fn of(name: &str, number: i32, kind: Type, of: &str) -> FieldDescriptorProto {
    FieldDescriptorProto { type_name: Some(of.to_owned()), ..field(name, number, kind) }
}

pub fn enumeration(name: &str, values: &[(&str, i32)]) -> EnumDescriptorProto {
    let value = |&(name, number): &(&str, i32)| EnumValueDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        options: None,
    };
    EnumDescriptorProto { name: Some(name.to_owned()), value: values.iter().map(value).collect(), ..Default::default() }
}

pub fn service(name: &str, methods: &[(&str, &str, &str)]) -> ServiceDescriptorProto {
    let method = |&(name, input, output): &(&str, &str, &str)| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(input.to_owned()),
        output_type: Some(output.to_owned()),
        ..Default::default()
    };
    ServiceDescriptorProto {
        name: Some(name.to_owned()),
        method: methods.iter().map(method).collect(),
        ..Default::default()
    }
}
