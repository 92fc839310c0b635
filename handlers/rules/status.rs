//! How a rule fails a call: a status, its words and its details.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use serde_json::Value as Json;
use tonic::{Code, Status};

use super::expr::{Failed, Names, Scope, Template};
use super::settings;
use super::text::Text;
use crate::config::{Problem, Problems};

/// A status that ends a call.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    message: Text,
    details: Vec<(String, Template)>,
}

impl Failure {
    /// Whether anything in it reads a name of the call.
    pub(super) fn reads(&self, name: &str) -> bool {
        self.message.reads(name) || self.details.iter().any(|(_, detail)| detail.reads(name))
    }

    /// Checks it; problems have paths from `fail` on.
    pub(super) fn compile(
        fail: &settings::Fail,
        scope: &Scope,
        method: &MethodDescriptor,
    ) -> Result<Failure, Problems> {
        let mut problems = Problems::default();
        let code = problems.take(code(&fail.code).map_err(|problem| problem.within("code")));
        let message = problems.take(Text::compile(&fail.message, scope).map_err(|problem| problem.within("message")));
        let mut details = Vec::new();
        for (number, detail) in fail.details.iter().enumerate() {
            let compiled = detail_of(detail, scope, method);
            details.extend(problems.take(compiled.map_err(|found| found.within(number).within("details"))));
        }
        problems.or(Failure {
            code: code.unwrap_or(Code::Unknown),
            message: message.unwrap_or(Text::Literal(String::new())),
            details,
        })
    }

    /// The status, worked out.
    pub(super) fn status(&self, names: &Names<'_>) -> Result<Status, Failed> {
        let message = self.message.work_out(names)?;
        if self.details.is_empty() {
            return Ok(Status::new(self.code, message));
        }
        let any = |(name, template): &(String, Template)| {
            let detail: DynamicMessage = template.fill(names)?;
            let value = prost::Message::encode_to_vec(&detail);
            Ok::<_, Failed>(prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value })
        };
        let details = self.details.iter().map(any).collect::<Result<Vec<_>, _>>()?;
        let status = tonic_types::pb::Status { code: self.code.into(), message: message.clone(), details };
        Ok(Status::with_details(self.code, message, prost::Message::encode_to_vec(&status).into()))
    }
}

/// The code of a name, as the gRPC documents write it.
fn code(name: &str) -> Result<Code, Problem> {
    let known = (1..=16).map(|number| (name_of(Code::from(number)), Code::from(number)));
    let found = known.clone().find(|(known, _)| known == name);
    found.map(|(_, code)| code).ok_or_else(|| {
        let names: Vec<String> = known.map(|(name, _)| name).collect();
        let problem = Problem::new(format!("`{name}` is no status that a call can fail with")).label("unknown code");
        let by_number = name.parse().ok().and_then(|number: usize| names.get(number.checked_sub(1)?));
        if let Some(name) = by_number {
            return problem.label("a number").help(format!("a code is given by its name: write `{name}`"));
        }
        let problem = problem.meant(name, names.iter().map(String::as_str));
        problem.help(format!("codes: {}", names.join(", ")))
    })
}

/// `NotFound` as NOT_FOUND.
fn name_of(code: Code) -> String {
    if code == Code::Cancelled {
        return "CANCELLED".to_owned();
    }
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

/// A detail of a status: any message of the service's schema or of google.rpc.
fn detail_of(detail: &Json, scope: &Scope, method: &MethodDescriptor) -> Result<(String, Template), Problems> {
    let mut tree = detail.clone();
    let of = tree.as_object_mut().and_then(|map| map.remove("@type"));
    let Some(Json::String(url)) = of else {
        return Err(Problem::new("a detail says what message it is")
            .label("needs `@type`")
            .help("write `'@type': google.rpc.ErrorInfo` and its fields")
            .into());
    };
    let name = url.rsplit('/').next().unwrap_or_default();
    let known = method.parent_pool().get_message_by_name(name).or_else(|| of_google(name));
    let Some(descriptor) = known else {
        return Err(Problem::new(format!("there is no message `{name}`"))
            .within("@type")
            .help("known are the messages of the service's schema and of google.rpc")
            .into());
    };
    let template = Template::compile(&tree, &descriptor, scope)?;
    Ok((name.to_owned(), template))
}

/// A message of the error model's own.
fn of_google(name: &str) -> Option<MessageDescriptor> {
    static POOL: LazyLock<Option<DescriptorPool>> =
        LazyLock::new(|| DescriptorPool::decode(tonic_types::pb::FILE_DESCRIPTOR_SET).ok());
    POOL.as_ref()?.get_message_by_name(name)
}
