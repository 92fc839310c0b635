//! Messages, enums, extensions and services: that each is one, and refers to
//! what is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, MethodDescriptorProto};

use super::defaults;
use super::imports::visible;
use super::maps::is_entry;
use super::names::Symbols;
use super::{Faults, Lowered, short};
use crate::host::schema::declared::{self, Kind, full};

/// One more than the largest number a field may have.
const NUMBERS_END: i32 = 1 << 29;

pub(super) fn check<'a>(files: &'a Lowered, symbols: &'a Symbols<'a>, faults: &mut Faults) {
    let mut extensions = HashMap::new();
    for (file, parts) in files {
        let visible = &visible(parts, files);
        let is_open = parts.syntax() == "proto3";
        let mut shapes = Shapes { file, is_open, symbols, visible, extensions: &mut extensions, faults };
        let package = parts.package();
        let Ok(()) = declared::walk(parts, &mut |scope, name, kind| {
            match kind {
                Kind::Message(message) => {
                    if scope == package && is_entry(message) {
                        shapes.fault(&full(scope, name), "is a map's entry, and in no message");
                    }
                    shapes.message(scope, message);
                }
                Kind::Enum(enumeration) => shapes.enumeration(scope, enumeration),
                Kind::Extension(extension) => shapes.extension(scope, extension),
                Kind::Method(method) => shapes.method(scope, method),
                Kind::Package | Kind::Other => {}
            }
            Ok::<(), Infallible>(())
        });
    }
}

/// What one file's shapes are held against.
pub(super) struct Shapes<'a, 'f> {
    pub(super) file: &'a str,
    /// Whether its enums are, so that they begin at zero.
    is_open: bool,
    symbols: &'a Symbols<'a>,
    visible: &'f BTreeSet<&'a str>,
    /// Extended message → number → the extension.
    extensions: &'f mut HashMap<String, BTreeMap<i32, String>>,
    pub(super) faults: &'f mut Faults,
}

impl<'a> Shapes<'a, '_> {
    pub(super) fn fault(&mut self, symbol: &str, what: &str) {
        self.faults.symbol(self.file, symbol, what);
    }

    fn message(&mut self, scope: &str, message: &'a DescriptorProto) {
        let name = full(scope, message.name());
        let mut numbers = HashMap::new();
        let mut json_names = HashMap::new();
        let mut plain_names = HashMap::new();
        let mut in_oneofs = vec![0_usize; message.oneof_decl.len()];
        for field in &message.field {
            let symbol = full(&name, field.name());
            self.field(&symbol, field);
            if field.extendee.is_some() {
                self.fault(&symbol, "is a field, and extends a message");
            }
            let number = field.number();
            if let Some(other) = numbers.insert(number, field.name()) {
                self.fault(&symbol, &format!("has the number {number}, as `{}` does", short(other)));
            }
            if within(number, message.reserved_range.iter().map(|range| (range.start(), range.end()))) {
                self.fault(&symbol, &format!("has the number {number}, which is reserved"));
            }
            if within(number, message.extension_range.iter().map(|range| (range.start(), range.end()))) {
                self.fault(&symbol, &format!("has the number {number}, which is for extensions"));
            }
            let json = field.json_name.clone().unwrap_or_else(|| json_name(field.name()));
            if let Some(other) = json_names.insert(json, field.name()) {
                self.fault(&symbol, &format!("has the JSON name of `{}`", short(other)));
            } else if let Some(other) = plain_names.insert(field.name().replace('_', "").to_lowercase(), field.name())
                && self.is_open
            {
                // The descriptor crate's rule; protoc has had a milder one since.
                self.fault(&symbol, &format!("has the name of `{}` but for case and underscores", short(other)));
            }
            if let Some(oneof) = field.oneof_index {
                match usize::try_from(oneof).ok().and_then(|at| in_oneofs.get_mut(at)) {
                    Some(count) => *count += 1,
                    None => self.fault(&symbol, "is in a oneof that is not there"),
                }
                if field.label() != Label::Optional {
                    self.fault(&symbol, "is repeated or required, and in a oneof");
                }
            }
        }
        self.maps(&name, message);
        for (oneof, _) in message.oneof_decl.iter().zip(&in_oneofs).filter(|(_, count)| **count == 0) {
            self.fault(&full(&name, oneof.name()), "is a oneof without a field");
        }
        for range in &message.extension_range {
            if range.start() < 1 || range.start() >= range.end() {
                self.fault(&name, &format!("has no extensions from {} to {}", range.start(), range.end()));
            }
        }
    }

    fn enumeration(&mut self, scope: &str, enumeration: &EnumDescriptorProto) {
        let name = full(scope, enumeration.name());
        match enumeration.value.first() {
            None => self.fault(&name, "is an enum without a value"),
            Some(first) if self.is_open && first.number() != 0 => {
                self.fault(&name, "is an enum that does not begin at zero");
            }
            Some(_) => {}
        }
        let aliases = enumeration.options.as_ref().is_some_and(|options| options.allow_alias());
        let mut numbers = HashMap::new();
        for value in &enumeration.value {
            let number = value.number();
            if let Some(other) = numbers.insert(number, value.name())
                && !aliases
            {
                let what = format!("has the number {number}, as `{}` does", short(other));
                self.fault(&full(scope, value.name()), &what);
            }
            // Of an enum both ends belong to the range.
            let reserved = enumeration.reserved_range.iter();
            if within(number, reserved.map(|range| (range.start(), range.end().saturating_add(1)))) {
                self.fault(&full(scope, value.name()), &format!("has the number {number}, which is reserved"));
            }
        }
    }

    fn extension(&mut self, scope: &str, extension: &'a FieldDescriptorProto) {
        let symbol = full(scope, extension.name());
        self.field(&symbol, extension);
        let extends = |kind: &Kind<'_>| matches!(kind, Kind::Message(_));
        let Some((extendee, Kind::Message(message))) =
            self.refers(&symbol, "extends", extension.extendee(), extends, "message")
        else {
            return;
        };
        let number = extension.number();
        if !within(number, message.extension_range.iter().map(|range| (range.start(), range.end()))) {
            self.fault(&symbol, &format!("has the number {number}, which `{}` leaves to none", short(&extendee)));
        }
        if extension.oneof_index.is_some() || extension.label() == Label::Required {
            self.fault(&symbol, "is an extension, and required or in a oneof");
        }
        let known = self.extensions.entry(extendee.clone()).or_default().insert(number, symbol.clone());
        if let Some(other) = known {
            let what = format!("extends `{}` by the number {number}, as `{}` does", short(&extendee), short(&other));
            self.fault(&symbol, &what);
        }
    }

    fn method(&mut self, scope: &str, method: &MethodDescriptorProto) {
        let symbol = full(scope, method.name());
        for (what, given) in [("takes", method.input_type()), ("returns", method.output_type())] {
            self.refers(&symbol, what, given, |kind| matches!(kind, Kind::Message(_)), "message");
        }
    }

    /// A field alone: its number, its label and its type.
    fn field(&mut self, symbol: &str, field: &'a FieldDescriptorProto) {
        let number = field.number();
        if !(1..NUMBERS_END).contains(&number) || (19_000..20_000).contains(&number) {
            self.fault(symbol, &format!("has the number {number}, which no field can have"));
        }
        if field.label.is_some_and(|label| Label::try_from(label).is_err()) {
            self.fault(symbol, "has a label that protobuf does not know");
        }
        let kind = field.r#type.map(Type::try_from).transpose();
        let Ok(kind) = kind else { return self.fault(symbol, "has a type that protobuf does not know") };
        let due = match (kind, field.type_name()) {
            (Some(Type::Message | Type::Group), _) => "message",
            (Some(Type::Enum), _) => "enum",
            (None, "") => return self.fault(symbol, "has no type"),
            (None, _) => "type",
            (Some(kind), "") => return self.default_of(symbol, field, |text| defaults::is_of(kind, text)),
            (Some(_), _) => return self.fault(symbol, "has a type of protobuf's and the name of another"),
        };
        let suits = |kind: &Kind<'_>| match kind {
            Kind::Message(_) => due != "enum",
            Kind::Enum(_) => due != "message",
            _ => false,
        };
        match self.refers(symbol, "is", field.type_name(), suits, due) {
            Some((_, Kind::Enum(values))) => {
                self.default_of(symbol, field, |text| values.value.iter().any(|value| value.name() == text));
            }
            Some((name, Kind::Message(message))) => {
                self.default_of(symbol, field, |_| false);
                let scope = |symbol: &str| symbol.rsplit_once('.').map(|(scope, _)| scope.to_owned());
                if is_entry(message) && (scope(&name) != scope(symbol) || field.extendee.is_some()) {
                    self.fault(symbol, &format!("is `{}`, which is the entry of another's map", short(&name)));
                }
            }
            _ => {}
        }
    }

    /// What stands for a field that is not there.
    fn default_of(&mut self, symbol: &str, field: &FieldDescriptorProto, suits: impl Fn(&str) -> bool) {
        if let Some(text) = &field.default_value
            && (!suits(text) || field.label() == Label::Repeated)
        {
            self.fault(symbol, &format!("has the default `{}`, which it cannot be", short(text)));
        }
    }

    /// What a symbol refers to, where that is there, is seen from here and suits.
    pub(super) fn refers(
        &mut self,
        symbol: &str,
        how: &str,
        name: &str,
        suits: impl Fn(&Kind<'_>) -> bool,
        due: &str,
    ) -> Option<(String, Kind<'a>)> {
        let found = self.resolve(symbol, name);
        let told = short(name.trim_start_matches('.'));
        let what = match found {
            None if name.is_empty() => format!("{how} a {due} that is not named"),
            None => format!("{how} `{told}`, which is not there"),
            Some((_, (_, kind))) if !suits(&kind) => format!("{how} `{told}`, which is no {due}"),
            Some((_, (file, _))) if !self.visible.contains(file) => {
                format!("{how} `{told}` of `{}`, which the file does not import", short(file))
            }
            Some((name, (_, kind))) => return Some((name, kind)),
        };
        self.fault(symbol, &what);
        None
    }

    /// A full name begins with a dot; any other is looked for from within outwards.
    fn resolve(&self, symbol: &str, name: &str) -> Option<(String, (&'a str, Kind<'a>))> {
        if let Some(name) = name.strip_prefix('.') {
            return self.symbols.get(name).map(|found| (name.to_owned(), *found));
        }
        if name.is_empty() {
            return None;
        }
        let mut scope = symbol;
        loop {
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
            let candidate = full(scope, name);
            if let Some(found) = self.symbols.get(&candidate)
                && matches!(found.1, Kind::Message(_) | Kind::Enum(_))
            {
                return Some((candidate, *found));
            }
            if scope.is_empty() {
                return None;
            }
        }
    }
}

fn within(number: i32, mut ranges: impl Iterator<Item = (i32, i32)>) -> bool {
    ranges.any(|(start, end)| (start..end).contains(&number))
}

/// What JSON calls a field that does not say: as protoc makes it.
pub(in crate::host) fn json_name(name: &str) -> String {
    let mut json = String::with_capacity(name.len());
    let mut raise = false;
    for c in name.chars() {
        match c {
            '_' => raise = true,
            c if std::mem::take(&mut raise) => json.push(c.to_ascii_uppercase()),
            c => json.push(c),
        }
    }
    json
}
