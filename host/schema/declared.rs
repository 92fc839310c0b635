//! What a file declares, by its full names: one walk for all who ask.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto,
};

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) enum Kind<'a> {
    /// The file's, or one that it lies in; many files may have the same.
    Package,
    Message(&'a DescriptorProto),
    Enum(&'a EnumDescriptorProto),
    Extension(&'a FieldDescriptorProto),
    Method(&'a MethodDescriptorProto),
    /// A field, a oneof, an enum's value or a service.
    Other,
}

/// The full name of what stands in a scope.
pub(in crate::host) fn full(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// Tells `each` everything that a file declares, by its scope, its name there
/// and its kind, what holds others before them; the first error ends it.
pub(in crate::host) fn walk<'a, E>(
    file: &'a FileDescriptorProto,
    each: &mut impl FnMut(&str, &'a str, Kind<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let package = file.package();
    if !package.is_empty() {
        let mut scope = "";
        for (at, _) in package.match_indices('.').chain([(package.len(), "")]) {
            each(scope, package[scope.len()..at].trim_start_matches('.'), Kind::Package)?;
            scope = &package[..at];
        }
    }
    for declared in &file.message_type {
        message(package, declared, each)?;
    }
    for declared in &file.enum_type {
        enumeration(package, declared, each)?;
    }
    for extension in &file.extension {
        each(package, extension.name(), Kind::Extension(extension))?;
    }
    for service in &file.service {
        each(package, service.name(), Kind::Other)?;
        let scope = full(package, service.name());
        for method in &service.method {
            each(&scope, method.name(), Kind::Method(method))?;
        }
    }
    Ok(())
}

fn message<'a, E>(
    scope: &str,
    declared: &'a DescriptorProto,
    each: &mut impl FnMut(&str, &'a str, Kind<'a>) -> Result<(), E>,
) -> Result<(), E> {
    each(scope, declared.name(), Kind::Message(declared))?;
    let scope = full(scope, declared.name());
    for field in &declared.field {
        each(&scope, field.name(), Kind::Other)?;
    }
    for oneof in &declared.oneof_decl {
        each(&scope, oneof.name(), Kind::Other)?;
    }
    for nested in &declared.enum_type {
        enumeration(&scope, nested, each)?;
    }
    for extension in &declared.extension {
        each(&scope, extension.name(), Kind::Extension(extension))?;
    }
    for nested in &declared.nested_type {
        message(&scope, nested, each)?;
    }
    Ok(())
}

/// An enum's values stand beside it, as in C++, and not inside it.
fn enumeration<'a, E>(
    scope: &str,
    declared: &'a EnumDescriptorProto,
    each: &mut impl FnMut(&str, &'a str, Kind<'a>) -> Result<(), E>,
) -> Result<(), E> {
    each(scope, declared.name(), Kind::Enum(declared))?;
    for value in &declared.value {
        each(scope, value.name(), Kind::Other)?;
    }
    Ok(())
}
