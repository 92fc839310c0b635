//! From a setting to a schema: read, compiled or asked for, on a thread where
//! it keeps nobody waiting, and made once for all services that share it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Files, Schema, compile, files};
use crate::config::{self, Problem, Sources};
use crate::host::keep::Keep;

/// Of one descriptor set.
const LARGEST_SET_BYTES: u64 = 64 << 20;

/// Loads the schemas of one configuration.
#[derive(Debug, Default)]
pub(in crate::host) struct Loader {
    loaded: Vec<(config::Schema, Option<Arc<Schema>>)>,
    /// Every file read.
    pub(in crate::host) sources: Sources,
}

impl Loader {
    /// The schema of a setting, if it was loaded before: as it is, or `None`
    /// where it was told that it cannot be used.
    pub(in crate::host) fn known(&self, setting: &config::Schema) -> Option<Option<Arc<Schema>>> {
        self.loaded.iter().find(|(loaded, _)| loaded == setting).map(|(_, schema)| schema.clone())
    }

    /// Loads a schema; one that has not changed since the last configuration
    /// is that configuration's.
    pub(in crate::host) async fn load(
        &mut self,
        setting: &config::Schema,
        base: &Path,
        keep: &Keep,
    ) -> Result<Arc<Schema>, Problem> {
        let read = {
            let (setting, base) = (setting.clone(), base.to_owned());
            move || {
                let mut sources = Sources::default();
                (read(&setting, &base, &mut sources), sources)
            }
        };
        let failed = |error| Problem::new(format!("the schema cannot be read: {error}"));
        let (read, sources) = tokio::task::spawn_blocking(read).await.map_err(failed)?;
        self.sources.extend(sources);
        let key = format!("schema {setting:?}");
        let schema = match read {
            Ok(files) => match keep.living::<Schema>("", &key).filter(|schema| schema.files == files) {
                Some(schema) => Ok(schema),
                None => {
                    let built = tokio::task::spawn_blocking(|| Schema::of(files)).await.map_err(failed)?;
                    built.map(|schema| keep.renew("", &key, schema))
                }
            },
            Err(problem) => Err(problem),
        };
        self.loaded.push((setting.clone(), schema.as_ref().ok().cloned()));
        schema
    }
}

fn read(setting: &config::Schema, base: &Path, sources: &mut Sources) -> Result<Files, Problem> {
    match setting {
        config::Schema::Files { path, imports } => {
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
        config::Schema::Reflect { .. } => {
            Err(Problem::new("schemas of other servers cannot be read yet").label("not yet"))
        }
    }
}
