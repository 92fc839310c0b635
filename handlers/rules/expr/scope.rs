//! The names an expression may use, and of what type they are.

use std::sync::Arc;

use prost_reflect::DescriptorPool;

use super::types::Type;

/// Names with their types. One more makes a new scope that shares the old one,
/// so that a scope is cheap to hand down and to extend.
#[derive(Clone, Default)]
pub(in crate::handlers::rules) struct Scope {
    last: Option<Arc<Entry>>,
    pool: Option<DescriptorPool>,
    is_partial: bool,
}

struct Entry {
    name: String,
    of: Type,
    /// How many come before it.
    at: usize,
    before: Option<Arc<Entry>>,
}

impl Scope {
    /// The scope and one name more, which hides any other of its name. The
    /// types that a message's schema brings become known with it.
    pub(in crate::handlers::rules) fn with(&self, name: impl Into<String>, of: Type) -> Scope {
        let pool = match &of {
            Type::Message(message) => Some(message.parent_pool().clone()),
            _ => None,
        };
        let at = self.last.as_ref().map_or(0, |last| last.at + 1);
        let entry = Entry { name: name.into(), of, at, before: self.last.clone() };
        Scope { last: Some(Arc::new(entry)), pool: self.pool.clone().or(pool), is_partial: self.is_partial }
    }

    /// The scope with the schema whose enum values can be named in full, such
    /// as `pkg.Color.RED`.
    pub(in crate::handlers::rules) fn schema(&self, pool: &DescriptorPool) -> Scope {
        Scope { pool: Some(pool.clone()), ..self.clone() }
    }

    /// The scope where names may be missing, because what declares them could
    /// not be read: one that is not known is of no known type.
    pub(in crate::handlers::rules) fn partial(self) -> Scope {
        Scope { is_partial: true, ..self }
    }

    pub(in crate::handlers::rules) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// The type of a name, and where it was put.
    pub(super) fn find(&self, name: &str) -> Option<(&Type, usize)> {
        self.entries().find(|entry| entry.name == name).map(|entry| (&entry.of, entry.at))
    }

    /// Every name, the last first.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|entry| entry.name.as_str())
    }

    pub(super) fn pool(&self) -> Option<&DescriptorPool> {
        self.pool.as_ref()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::successors(self.last.as_deref(), |entry| entry.before.as_deref())
    }
}
