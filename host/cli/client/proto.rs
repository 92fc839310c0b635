//! Descriptors written as a `.proto` would have them.

use std::fmt::{Display, Write as _};

use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, OneofDescriptor, ServiceDescriptor, Syntax, Value,
};

use crate::host::schema::json_name;

/// A symbol as a `.proto` would have it, types by their full names.
pub(super) fn text(pool: &DescriptorPool, symbol: &str) -> Option<String> {
    let mut text = Text::default();
    if let Some(service) = pool.get_service_by_name(symbol) {
        text.head(&service.parent_file());
        text.service(&service);
    } else if let Some(message) = pool.get_message_by_name(symbol) {
        text.head(&message.parent_file());
        text.message(&message);
    } else if let Some(descriptor) = pool.get_enum_by_name(symbol) {
        text.head(&descriptor.parent_file());
        text.enumeration(&descriptor);
    } else {
        let (service, name) = symbol.rsplit_once('.')?;
        let service = pool.get_service_by_name(service)?;
        let method = service.methods().find(|method| method.name() == name)?;
        text.head(&service.parent_file());
        text.method(&method);
    }
    Some(text.text)
}

/// Lines, further in with each brace.
#[derive(Default)]
struct Text {
    text: String,
    depth: usize,
}

impl Text {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{}{line}", "  ".repeat(self.depth));
    }

    fn block(&mut self, head: &str, body: impl FnOnce(&mut Text)) {
        let start = self.text.len();
        self.line(&format!("{head} {{"));
        let inside = self.text.len();
        self.depth += 1;
        body(self);
        self.depth -= 1;
        if self.text.len() == inside {
            self.text.truncate(start);
            self.line(&format!("{head} {{}}"));
        } else {
            self.line("}");
        }
    }

    /// Where it stands.
    fn head(&mut self, file: &FileDescriptor) {
        match file.package_name() {
            "" => self.line(&format!("// {}", file.name())),
            package => self.line(&format!("package {package}; // {}", file.name())),
        }
        self.text.push('\n');
    }

    /// The comments at a place in a file.
    fn comments(&mut self, file: &FileDescriptor, path: &[i32]) {
        let Some(info) = &file.file_descriptor_proto().source_code_info else { return };
        let Some(place) = info.location.iter().find(|location| location.path == path) else { return };
        for comment in [place.leading_comments(), place.trailing_comments()] {
            for line in comment.trim_end().lines() {
                // One begun by `//` has its own space, one by `/*` has none.
                self.line(format!("// {}", line.strip_prefix(' ').unwrap_or(line)).trim_end());
            }
        }
    }

    fn service(&mut self, service: &ServiceDescriptor) {
        self.comments(&service.parent_file(), service.path());
        self.block(&format!("service {}", service.name()), |text| {
            text.options(&service.options());
            for method in service.methods() {
                text.method(&method);
            }
        });
    }

    fn method(&mut self, method: &MethodDescriptor) {
        self.comments(&method.parent_file(), method.path());
        let stream = |streams| if streams { "stream " } else { "" };
        let head = format!(
            "rpc {}({}{}) returns ({}{})",
            method.name(),
            stream(method.is_client_streaming()),
            method.input().full_name(),
            stream(method.is_server_streaming()),
            method.output().full_name(),
        );
        match settings(&method.options()).is_empty() {
            true => self.line(&format!("{head};")),
            false => self.block(&head, |text| text.options(&method.options())),
        }
    }

    fn message(&mut self, message: &MessageDescriptor) {
        self.comments(&message.parent_file(), message.path());
        self.block(&format!("message {}", message.name()), |text| {
            text.options(&message.options());
            let mut told: Vec<OneofDescriptor> = Vec::new();
            for field in message.fields() {
                match field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
                    None => text.field(&field),
                    Some(oneof) if told.contains(&oneof) => {}
                    Some(oneof) => {
                        text.comments(&message.parent_file(), oneof.path());
                        text.block(&format!("oneof {}", oneof.name()), |text| {
                            oneof.fields().for_each(|field| text.field(&field));
                        });
                        told.push(oneof);
                    }
                }
            }
            // Ends are one past the last, here.
            let ranges = |range: std::ops::Range<u32>| span(range.start, range.end - 1, (1 << 29) - 1);
            text.listed("extensions", message.extension_ranges().map(ranges));
            text.listed("reserved", message.reserved_ranges().map(ranges));
            text.listed("reserved", message.reserved_names().map(|name| format!("{name:?}")));
            for message in message.child_messages().filter(|message| !message.is_map_entry()) {
                text.message(&message);
            }
            for descriptor in message.child_enums() {
                text.enumeration(&descriptor);
            }
        });
    }

    fn field(&mut self, field: &FieldDescriptor) {
        self.comments(&field.parent_file(), field.path());
        let kind = if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            format!("map<{}, {}>", name_of(&key.kind()), name_of(&value.kind()))
        } else {
            let is_proto2 = field.parent_file().syntax() == Syntax::Proto2;
            let is_of_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
            let label = match () {
                () if field.is_list() => "repeated ",
                () if field.is_required() => "required ",
                () if field.field_descriptor_proto().proto3_optional() || is_proto2 && !is_of_oneof => "optional ",
                () => "",
            };
            format!("{label}{}", name_of(&field.kind()))
        };
        let proto = field.field_descriptor_proto();
        let default = proto.default_value.as_ref().map(|default| match field.kind() {
            Kind::String => format!("default = {default:?}"),
            // Escaped as it is.
            Kind::Bytes => format!("default = \"{default}\""),
            _ => format!("default = {default}"),
        });
        let json =
            (field.json_name() != json_name(field.name())).then(|| format!("json_name = {:?}", field.json_name()));
        let settings = default.into_iter().chain(json).chain(settings(&field.options()));
        self.line(&format!("{kind} {} = {}{};", field.name(), field.number(), bracketed(settings)));
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) {
        self.comments(&descriptor.parent_file(), descriptor.path());
        self.block(&format!("enum {}", descriptor.name()), |text| {
            text.options(&descriptor.options());
            for value in descriptor.values() {
                text.comments(&value.parent_file(), value.path());
                let settings = bracketed(settings(&value.options()).into_iter());
                text.line(&format!("{} = {}{settings};", value.name(), value.number()));
            }
            let ranges = |range: std::ops::RangeInclusive<i32>| span(*range.start(), *range.end(), i32::MAX);
            text.listed("reserved", descriptor.reserved_ranges().map(ranges));
            text.listed("reserved", descriptor.reserved_names().map(|name| format!("{name:?}")));
        });
    }
}

impl Text {
    fn options(&mut self, options: &DynamicMessage) {
        for setting in settings(options) {
            self.line(&format!("option {setting};"));
        }
    }

    fn listed(&mut self, keyword: &str, items: impl Iterator<Item = String>) {
        let items = items.collect::<Vec<_>>().join(", ");
        if !items.is_empty() {
            self.line(&format!("{keyword} {items};"));
        }
    }
}

/// Protobuf's own options as they are set, a list once for each item. Those that
/// others have made are not here: files lose them on their way into a pool.
fn settings(options: &DynamicMessage) -> Vec<String> {
    let each = options.fields().flat_map(|(field, value)| {
        let values = value.as_list().unwrap_or(std::slice::from_ref(value));
        let set = values.iter().map(|value| format!("{} = {}", field.name(), shown(value, &field.kind())));
        set.collect::<Vec<_>>()
    });
    each.collect()
}

fn shown(value: &Value, kind: &Kind) -> String {
    match (value, kind) {
        (Value::EnumNumber(number), Kind::Enum(of)) => {
            of.get_value(*number).map_or_else(|| number.to_string(), |value| value.name().to_owned())
        }
        (Value::Message(message), _) => format!("{{ {message} }}"),
        (value, _) => value.to_string(),
    }
}

fn bracketed(settings: impl Iterator<Item = String>) -> String {
    let settings = settings.collect::<Vec<_>>().join(", ");
    if settings.is_empty() { settings } else { format!(" [{settings}]") }
}

fn span<N: Display + PartialEq>(first: N, last: N, most: N) -> String {
    match () {
        () if first == last => first.to_string(),
        () if last == most => format!("{first} to max"),
        () => format!("{first} to {last}"),
    }
}

/// A type as a field names it.
fn name_of(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(descriptor) => descriptor.full_name().to_owned(),
        // The crate's words for the others are protobuf's own.
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}
