//! From a setting to a schema: read, compiled or asked for, on a thread where
//! it keeps nobody waiting, and made once for all services that share it.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Files, Schema, compile, files, reflect};
use crate::config::units::Period;
use crate::config::{self, News, Problem, Problems, Sources};
use crate::host::forward::Address;
use crate::host::keep::Keep;

/// Of one descriptor set.
const LARGEST_SET_BYTES: u64 = 64 << 20;

/// How long another host may take to be reached, and then to tell of one service.
const ASK_WITHIN: Duration = Duration::from_secs(10);

/// A schema, and what its loading left behind.
pub(in crate::host) struct Loaded {
    /// As it is, or why it cannot be used.
    pub(in crate::host) schema: Result<Arc<Schema>, Problems>,
    /// Everything that was read for it.
    pub(in crate::host) sources: Sources,
    /// What looks after it as long as its generation lives.
    pub(in crate::host) task: Option<Task>,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a setting is loaded for: a service of another host is asked for by its
/// name, files serve all services alike.
pub(in crate::host) fn key(setting: &config::Schema, service: &str) -> String {
    match setting {
        config::Schema::Files { .. } => format!("schema {setting:?}"),
        config::Schema::Reflect { .. } => format!("schema {setting:?} {service}"),
    }
}

/// Loads a schema; one that has not changed since the last configuration is
/// that configuration's.
pub(in crate::host) async fn load(setting: &config::Schema, service: &str, base: &Path, keep: &Keep) -> Loaded {
    let key = key(setting, service);
    let (files, sources, task) = match setting {
        config::Schema::Reflect { reflect, refresh } => match reflect.parse() {
            Ok(address) => learn(address, service, *refresh, &key, keep).await,
            Err(why) => (Err(Problem::new(why).within("reflect")), Sources::default(), None),
        },
        config::Schema::Files { path, imports } => {
            let (path, imports, base) = (path.clone(), imports.clone(), base.to_owned());
            let read = move || {
                let mut sources = Sources::default();
                (read(&path, &imports, &base, &mut sources), sources)
            };
            let read = tokio::task::spawn_blocking(read).await;
            let (files, sources) = read.unwrap_or_else(|error| (Err(failed(error)), Sources::default()));
            (files, sources, None)
        }
    };
    let schema = match files {
        Ok(files) => of(files, &key, keep).await,
        Err(problem) => Err(problem.into()),
    };
    Loaded { schema, sources, task }
}

type Learnt = (Result<Files, Problem>, Sources, Option<Task>);

/// What a server says of a service, and what asks it again.
async fn learn(address: Address, service: &str, refresh: Option<Period>, key: &str, keep: &Keep) -> Learnt {
    let files = reflect::ask(&address, service, ASK_WITHIN).await;
    let files = files.map_err(|problem| problem.within("reflect"));
    let mut sources = Sources::default();
    let Some(every) = refresh else { return (files, sources, None) };
    // Of all generations that ask for the same: where this one comes to
    // nothing, an older one goes on asking.
    let news = keep.get("", key, News::default);
    match &files {
        Ok(files) => sources.hear(&news, files),
        Err(_) => sources.listen(&news),
    }
    let task = reflect::refresh(address, service.to_owned(), every.0, ASK_WITHIN, news);
    (files, sources, Some(Box::pin(task)))
}

async fn of(files: Files, key: &str, keep: &Keep) -> Result<Arc<Schema>, Problems> {
    if let Some(schema) = keep.living::<Schema>("", key).filter(|schema| schema.files == files) {
        return Ok(schema);
    }
    let built = tokio::task::spawn_blocking(|| Schema::of(files)).await.map_err(failed)?;
    built.map(|schema| keep.renew("", key, schema))
}

fn failed(error: tokio::task::JoinError) -> Problem {
    Problem::new(format!("the schema cannot be read: {error}"))
}

fn read(path: &Path, imports: &[PathBuf], base: &Path, sources: &mut Sources) -> Result<Files, Problem> {
    let path = base.join(path);
    let mut roots: Vec<PathBuf> = imports.iter().map(|root| base.join(root)).collect();
    if path.is_dir() {
        let names = compile::below(&path, sources)?;
        if names.is_empty() {
            return Err(Problem::new(format!("there is no .proto in {}", path.display())));
        }
        roots.insert(0, path);
        return compile::compile(&names, &roots, sources);
    }
    if path.extension().is_none_or(|extension| extension != "proto") {
        let read = sources.read(&path, LARGEST_SET_BYTES);
        let bytes = read.map_err(|error| Problem::new(format!("cannot read {}: {error}", path.display())))?;
        return files(&bytes).map_err(|problem| {
            problem.help("a path that does not end in .proto names a folder or a serialized FileDescriptorSet")
        });
    }
    if roots.is_empty() {
        roots.extend(path.parent().map(Path::to_owned));
    }
    let inside = roots.iter().find_map(|root| path.strip_prefix(root).ok()?.to_str());
    let Some(name) = inside.map(str::to_owned) else {
        return Err(Problem::new(format!("{} is below none of `imports`", path.display()))
            .help("a .proto is named by its path below one of them"));
    };
    if !path.exists() {
        let _ = sources.read(&path, 0);
        return Err(Problem::new(format!("there is no file {}", path.display())));
    }
    compile::compile(&[name], &roots, sources)
}
