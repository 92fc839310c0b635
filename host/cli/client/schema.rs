//! What a host says of its services, as far as a verb needs to know it.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};
use prost_types::{DescriptorProto, FileDescriptorProto};

use super::target::Target;
use super::{Failure, clean};
use crate::config::{Problem, closest};
use crate::host::forward::Link;
use crate::host::schema::reflect::Gather;
use crate::host::schema::{self, lower};

/// A host's schema as far as it was asked for.
pub(super) struct Schema {
    gather: Gather,
    /// Its files as the descriptor crate takes them, and those invented here.
    files: BTreeMap<String, FileDescriptorProto>,
    pool: DescriptorPool,
}

impl Schema {
    /// The schema of a target, asked for over a connection to it.
    pub(super) fn of(target: &Target, link: Link) -> Schema {
        Schema {
            gather: Gather::new(link, target.metadata(), target.timeout),
            files: BTreeMap::new(),
            pool: DescriptorPool::default(),
        }
    }

    /// All that is known.
    pub(super) fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// The names of the host's services.
    pub(super) async fn services(&mut self) -> Result<Vec<String>, Failure> {
        Ok(self.gather.services().await?)
    }

    /// The service of that name.
    pub(super) async fn service(&mut self, name: &str) -> Result<ServiceDescriptor, Failure> {
        if self.learn(name).await?
            && let Some(service) = self.pool.get_service_by_name(name)
        {
            return Ok(service);
        }
        let services = self.services().await?;
        let problem = Problem::new(format!("the host has no service `{}`", clean(name)));
        Err(suggest(problem, name, &services, "services").into())
    }

    /// The method of a name like `pkg.Service/Method` or `pkg.Service.Method`.
    pub(super) async fn method(&mut self, name: &str) -> Result<MethodDescriptor, Failure> {
        let bare = name.strip_prefix('/').unwrap_or(name);
        let parts = bare.split_once('/').or_else(|| bare.rsplit_once('.'));
        // Whoever names a service alone may not know its methods yet.
        let whole = if bare.contains('/') { None } else { self.known_service(bare).await? };
        let (service, method) = match (whole, parts) {
            (Some(service), _) => (service, ""),
            (None, Some((service, method))) => (self.service(service).await?, method),
            (None, None) => (self.service(bare).await?, ""),
        };
        if let Some(found) = service.methods().find(|known| known.name() == method) {
            return Ok(found);
        }
        let methods: Vec<_> = service.methods().map(|method| clean(method.name())).collect();
        let service = clean(service.full_name());
        if method.is_empty() {
            let problem = Problem::new(format!("`{service}` is a service, and a method is due"));
            let example = methods.first().map_or("METHOD", String::as_str);
            return Err(problem
                .help(format!("write `{service}/{example}`"))
                .help(format!("methods: {}", methods.join(", ")))
                .into());
        }
        let problem = Problem::new(format!("`{service}` has no method `{}`", clean(method)));
        Err(suggest(problem, method, &methods, "methods").into())
    }

    async fn known_service(&mut self, name: &str) -> Result<Option<ServiceDescriptor>, Failure> {
        Ok(if self.learn(name).await? { self.pool.get_service_by_name(name) } else { None })
    }

    /// Makes a message's type known even where the host does not describe it: one without fields.
    pub(super) async fn learn_or_invent(&mut self, message: &str) -> Result<(), Failure> {
        if !self.learn(message).await? && self.pool.get_message_by_name(message).is_none() {
            let (package, name) = message.rsplit_once('.').unwrap_or(("", message));
            let invented = FileDescriptorProto {
                name: Some(format!("not described: {message}")),
                package: Some(package.to_owned()),
                message_type: vec![DescriptorProto { name: Some(name.to_owned()), ..Default::default() }],
                ..Default::default()
            };
            self.files.insert(invented.name().to_owned(), invented);
            self.build().await?;
        }
        Ok(())
    }

    /// Learns what a symbol is, and all it takes to use it; false where the
    /// host has no such symbol.
    pub(super) async fn learn(&mut self, symbol: &str) -> Result<bool, Failure> {
        if !self.gather.learn(symbol).await? {
            return Ok(false);
        }
        let before = self.files.len();
        for (name, bytes) in self.gather.files() {
            if !self.files.contains_key(name) {
                self.files.insert(name.clone(), lower::decode(bytes)?);
            }
        }
        if self.files.len() > before {
            self.build().await?;
        }
        Ok(true)
    }

    /// Puts together what there is.
    async fn build(&mut self) -> Result<(), Failure> {
        let files = self.files.clone();
        let built = tokio::task::spawn_blocking(move || schema::pool(&files)).await;
        let why = match built {
            Ok(Ok(pool)) => {
                self.pool = pool;
                return Ok(());
            }
            Ok(Err(why)) => why,
            Err(error) => error.to_string(),
        };
        let mut problem = Problem::new(format!("the host's schema cannot be used: {why}"));
        let absent = self.gather.absent();
        if !absent.is_empty() {
            let absent: Vec<_> = absent.iter().map(|name| clean(name)).collect();
            problem = problem.help(format!("the host does not have the files {}", absent.join(", ")));
        }
        Err(problem.into())
    }
}

/// Says which of the known names may have been meant, and which there are.
pub(super) fn suggest(problem: Problem, name: &str, known: &[String], what: &str) -> Problem {
    let last = |name: &str| name.rsplit(['.', '/']).next().unwrap_or_default().to_lowercase();
    let meant = closest(name, known.iter().map(String::as_str))
        .or_else(|| known.iter().map(String::as_str).find(|known| last(known) == last(name)));
    let problem = match meant {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem,
    };
    match known {
        [] => problem.help(format!("there are no {what}")),
        known => problem.help(format!("{what}: {}", known.join(", "))),
    }
}
