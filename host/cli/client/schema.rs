//! What a host says of its services, put together from as many answers as it
//! takes: some hosts send a file with all it imports, some one file an answer.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};
use prost_types::{DescriptorProto, FileDescriptorProto};
use tonic::transport::Channel;

use super::reflection::{Question, Reflection};
use super::target::Target;
use super::{Failure, clean};
use crate::config::{Problem, closest};
use crate::host::schema::{self, lower};

/// Bounds of what one host may have us hold.
const MOST_FILES: usize = 4096;
const MOST_BYTES: usize = 64 << 20;

/// A host's schema as far as it was asked for.
pub(super) struct Schema {
    reflection: Reflection,
    files: BTreeMap<String, FileDescriptorProto>,
    bytes: usize,
    /// What files import, to be looked at.
    imports: Vec<String>,
    /// Files that others import and the host does not have.
    absent: BTreeSet<String>,
    pool: DescriptorPool,
}

impl Schema {
    /// The schema of a target, asked for over a channel to it.
    pub(super) fn of(target: &Target, channel: Channel) -> Schema {
        Schema {
            reflection: Reflection::new(channel, target.metadata(), target.timeout),
            files: BTreeMap::new(),
            bytes: 0,
            imports: Vec::new(),
            absent: BTreeSet::new(),
            pool: DescriptorPool::default(),
        }
    }

    /// All that is known.
    pub(super) fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// The names of the host's services.
    pub(super) async fn services(&mut self) -> Result<Vec<String>, Failure> {
        self.reflection.services().await
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
        self.reflection.restart();
        let about = format!("`{}`", clean(symbol));
        let question = Question::FileContainingSymbol(symbol.to_owned());
        let Some(files) = self.reflection.files(question, &about).await? else { return Ok(false) };
        let before = self.files.len();
        self.take(files)?;
        while let Some(import) = self.imports.pop() {
            if self.files.contains_key(&import) {
                continue;
            }
            let about = format!("the schema file `{}`", clean(&import));
            let question = Question::FileByFilename(import.clone());
            if let Some(files) = self.reflection.files(question, &about).await? {
                self.take(files)?;
            }
            if !self.files.contains_key(&import) {
                // What only options refer to is often left out by hosts. What
                // is truly needed is missed, by name, when all is put together.
                let stand_in = well_known(&import);
                self.absent.extend(stand_in.is_none().then(|| import.clone()));
                let empty = || FileDescriptorProto { name: Some(import.clone()), ..Default::default() };
                self.files.insert(import.clone(), stand_in.unwrap_or_else(empty));
            }
            self.within_bounds()?;
        }
        if self.files.len() > before {
            self.build().await?;
        }
        Ok(true)
    }

    fn take(&mut self, files: Vec<Vec<u8>>) -> Result<(), Failure> {
        for bytes in files {
            self.bytes += bytes.len();
            self.within_bounds()?;
            let file = lower::decode(&bytes)?;
            if let Entry::Vacant(place) = self.files.entry(file.name().to_owned()) {
                self.imports.extend(file.dependency.iter().cloned());
                place.insert(file);
            }
        }
        Ok(())
    }

    fn within_bounds(&self) -> Result<(), Problem> {
        if self.files.len() <= MOST_FILES && self.bytes <= MOST_BYTES {
            return Ok(());
        }
        let most = MOST_BYTES >> 20;
        Err(Problem::new(format!("the host's schema goes on beyond {MOST_FILES} files or {most}MiB")))
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
        if !self.absent.is_empty() {
            let absent: Vec<_> = self.absent.iter().map(|name| clean(name)).collect();
            problem = problem.help(format!("the host does not have the files {}", absent.join(", ")));
        }
        Err(problem.into())
    }
}

/// A file that every protobuf library brings along.
fn well_known(name: &str) -> Option<FileDescriptorProto> {
    let file = DescriptorPool::global().get_file_by_name(name)?;
    name.starts_with("google/protobuf/").then(|| file.file_descriptor_proto().clone())
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
