//! `ostler list` and `ostler describe`: what a host serves, by its own words.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use clap_complete::ArgValueCompleter;
use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    OneofDescriptor, ServiceDescriptor, Syntax,
};

use super::schema::{Schema, suggest};
use super::target::Target;
use super::{Failure, clean, complete, finish};
use crate::config::Problem;
use crate::host::cli::say;

/// What to list.
#[derive(Debug, Args)]
pub(in crate::host::cli) struct List {
    /// A service, for its methods; by default the services.
    #[arg(add = ArgValueCompleter::new(complete::services))]
    service: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl List {
    pub(in crate::host::cli) async fn run(self) -> ExitCode {
        finish(self.list()).await
    }

    async fn list(self) -> Result<(), Failure> {
        let mut schema = Schema::of(&self.target, self.target.connect().await?);
        let names = match &self.service {
            None => schema.services().await?,
            Some(service) => {
                let service = schema.service(service).await?;
                service.methods().map(|method| format!("{}/{}", service.full_name(), method.name())).collect()
            }
        };
        for name in names {
            say(&(clean(&name) + "\n"));
        }
        Ok(())
    }
}

/// What to describe.
#[derive(Debug, Args)]
pub(in crate::host::cli) struct Describe {
    /// A service, method, message or enum; by default every service.
    #[arg(add = ArgValueCompleter::new(complete::methods))]
    symbol: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl Describe {
    pub(in crate::host::cli) async fn run(self) -> ExitCode {
        finish(self.describe()).await
    }

    async fn describe(self) -> Result<(), Failure> {
        let mut schema = Schema::of(&self.target, self.target.connect().await?);
        let symbols = match &self.symbol {
            Some(symbol) => vec![symbol.trim_start_matches('/').replace('/', ".")],
            None => schema.services().await?,
        };
        for (at, symbol) in symbols.iter().enumerate() {
            let known = schema.learn(symbol).await?;
            let Some(text) = known.then(|| text(schema.pool(), symbol)).flatten() else {
                let services = schema.services().await?;
                let problem = Problem::new(format!("the host describes no `{}`", clean(symbol)));
                return Err(suggest(problem, symbol, &services, "services").into());
            };
            say(&format!("{}{}", if at == 0 { "" } else { "\n" }, clean(&text)));
        }
        Ok(())
    }
}

/// A symbol as a `.proto` would have it, types by their full names.
fn text(pool: &DescriptorPool, symbol: &str) -> Option<String> {
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
                self.line(format!("//{line}").trim_end());
            }
        }
    }

    fn service(&mut self, service: &ServiceDescriptor) {
        self.comments(&service.parent_file(), service.path());
        self.block(&format!("service {}", service.name()), |text| {
            for method in service.methods() {
                text.method(&method);
            }
        });
    }

    fn method(&mut self, method: &MethodDescriptor) {
        self.comments(&method.parent_file(), method.path());
        let stream = |streams| if streams { "stream " } else { "" };
        self.line(&format!(
            "rpc {}({}{}) returns ({}{});",
            method.name(),
            stream(method.is_client_streaming()),
            method.input().full_name(),
            stream(method.is_server_streaming()),
            method.output().full_name(),
        ));
    }

    fn message(&mut self, message: &MessageDescriptor) {
        self.comments(&message.parent_file(), message.path());
        self.block(&format!("message {}", message.name()), |text| {
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
        let default = field.field_descriptor_proto().default_value.as_ref();
        let default = default.map_or(String::new(), |default| match field.kind() {
            Kind::String | Kind::Bytes => format!(" [default = {default:?}]"),
            _ => format!(" [default = {default}]"),
        });
        self.line(&format!("{kind} {} = {}{default};", field.name(), field.number()));
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) {
        self.comments(&descriptor.parent_file(), descriptor.path());
        self.block(&format!("enum {}", descriptor.name()), |text| {
            for value in descriptor.values() {
                text.comments(&value.parent_file(), value.path());
                text.line(&format!("{} = {};", value.name(), value.number()));
            }
        });
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
