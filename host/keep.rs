//! State that outlives a generation, named and kept in one place.
//!
//! The keeper holds weak references only: a value lives as long as some
//! generation asked for it. A new generation is built while the old one still
//! serves, so what both ask for passes from one to the other; what the new one
//! does not ask for goes when the old one's last call ends. What then is still
//! to be put away has tasks for it, which the host's end waits for.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio_util::task::TaskTracker;

/// Whose value it is, what they call it, and its type.
type Name = (String, String, TypeId);

/// The keeper; clones share one store.
#[derive(Clone, Debug, Default)]
pub(super) struct Keep {
    kept: Arc<Mutex<HashMap<Name, Weak<dyn Any + Send + Sync>>>>,
    /// What runs beside the values, and ends when it has put them away.
    tasks: TaskTracker,
}

impl Keep {
    /// The living value of that name, or a new one.
    pub(super) fn get<T: Send + Sync + 'static>(&self, owner: &str, key: &str, init: impl FnOnce() -> T) -> Arc<T> {
        let name = name::<T>(owner, key);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, value| value.strong_count() > 0);
        living(&kept, &name).unwrap_or_else(|| {
            let value = Arc::new(init());
            let any: Arc<dyn Any + Send + Sync> = value.clone();
            kept.insert(name, Arc::downgrade(&any));
            value
        })
    }

    /// Runs a task beside a value; it ends by itself some time after the value.
    pub(super) fn accompany(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits until every value that has gone is put away.
    pub(super) async fn put_away(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The living value of that name, where there is one.
    pub(super) fn living<T: Send + Sync + 'static>(&self, owner: &str, key: &str) -> Option<Arc<T>> {
        living(&self.kept.lock().unwrap_or_else(PoisonError::into_inner), &name::<T>(owner, key))
    }

    /// A new value of that name, whether or not an older one lives on.
    pub(super) fn renew<T: Send + Sync + 'static>(&self, owner: &str, key: &str, value: T) -> Arc<T> {
        let value = Arc::new(value);
        let any: Arc<dyn Any + Send + Sync> = value.clone();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(name::<T>(owner, key), Arc::downgrade(&any));
        value
    }
}

fn name<T: 'static>(owner: &str, key: &str) -> Name {
    (owner.to_owned(), key.to_owned(), TypeId::of::<T>())
}

fn living<T: Send + Sync + 'static>(kept: &HashMap<Name, Weak<dyn Any + Send + Sync>>, name: &Name) -> Option<Arc<T>> {
    kept.get(name).and_then(Weak::upgrade).and_then(|value| value.downcast::<T>().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lives_from_holder_to_holder_and_no_longer() {
        let keep = Keep::default();
        let first = keep.get("a.Service", "notes", || vec![1]);
        let second = keep.get("a.Service", "notes", || vec![2]);
        assert_eq!(*second, [1], "the second holder meets the first one's value");
        drop(first);
        let third = keep.get("a.Service", "notes", || vec![3]);
        assert_eq!(*third, [1], "it lives on with the second");
        drop((second, third));
        let fourth = keep.get("a.Service", "notes", || vec![4]);
        assert_eq!(*fourth, [4], "it went with its last holder");
    }

    #[test]
    fn services_do_not_meet_each_others_values() {
        let keep = Keep::default();
        let _one = keep.get("a.Service", "notes", || 1);
        assert_eq!(*keep.get("b.Service", "notes", || 2), 2);
    }
}
