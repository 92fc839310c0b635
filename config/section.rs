//! One part of the document, opaque until its owner types it.
//!
//! A plugin names a settings type; [`Section::read`] reads it strictly and
//! gathers every problem, not only the first: what does not fit is noted, taken
//! out, and the rest is read again.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Text;
use super::misfit::{Complaint, Misfit, found};
use super::outline::Content;
use super::place::{Path, Segment};
use super::problem::{Problem, Problems, closest};
use super::scalar;
use super::typed::Typed;
use super::values::Tree;

/// A value of the document with the way to it.
#[derive(Clone, Debug)]
pub struct Section {
    pub(super) tree: Tree,
    pub(super) path: Path,
    pub(super) text: Arc<Text>,
}

impl Section {
    /// The way from the document's root to this section.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings as typed, or everything that is wrong with them.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problems> {
        let mut rest = Rest { tree: self.tree.clone(), taken: Vec::new(), meant: Vec::new(), dropped: HashMap::new() };
        let mut problems = Problems::default();
        while !problems.is_full() {
            match T::deserialize(Typed(&rest.tree)) {
                Ok(settings) => return problems.or(settings),
                Err(misfit) => {
                    if !rest.is_own_doing(&misfit) {
                        problems.push(self.worded::<T>(&misfit, &rest));
                    }
                    if !rest.set_aside(&misfit) {
                        break;
                    }
                }
            }
        }
        Err(problems)
    }

    /// A problem of this section's, with its place.
    pub fn problem(&self, problem: Problem) -> Problem {
        self.text.locate(problem.below(&self.path))
    }

    /// Problems of this section's, with their places.
    pub fn problems(&self, problems: Problems) -> Problems {
        problems.map(|problem| self.problem(problem))
    }

    /// A misfit as an operator is told it.
    fn worded<T: DeserializeOwned>(&self, misfit: &Misfit, rest: &Rest) -> Problem {
        let below = rest.as_written(&misfit.path);
        let path = self.path.join(&below);
        let node = self.text.outline.find(&path);
        let value = rest.tree.at(&misfit.path.0);
        let (Some(written), Some(value), false) = (self.text.variables.written(&path), value, misfit.key) else {
            let problem = misfit.complaint.worded(&path, &found(value, node)).below(&below);
            return self.problem(if misfit.key { problem.key() } else { problem });
        };
        // What variables put in is secret, and a type's own sentence may quote any part of it.
        let found = format!("what `{written}` holds");
        let problem = match &misfit.complaint {
            Complaint::Custom(words) => match self.text.variables.mask(words, &path) {
                // A number comes back in another spelling than it went in.
                Some(words) if value.scalar().is_string() => Complaint::Custom(words).worded(&path, &found),
                // Had the operator typed the variable's name, what would the type say?
                _ => {
                    let mut tree = rest.tree.clone();
                    if let Some(secret) = tree.at_mut(&misfit.path.0) {
                        *secret = Tree::Scalar(Value::String(written.to_owned()));
                    }
                    match T::deserialize(Typed(&tree)) {
                        Err(again) if again.path == misfit.path => again.complaint.worded(&path, &found),
                        _ => Problem::new(format!("{found} cannot be used here")),
                    }
                }
            },
            Complaint::UnknownChoice { known, .. } => {
                Complaint::UnknownChoice { name: written.to_owned(), known }.worded(&path, &found)
            }
            complaint => complaint.worded(&path, &found),
        };
        let quoted = matches!(node.map(|node| &*node.content), Some(Content::Scalar { plain: false, .. }));
        let problem = match value {
            Tree::Filled(Value::String(text), _)
                if quoted && !matches!(scalar::plain(text), Some(Value::String(_))) =>
            {
                problem.help("in quotes a variable is always text: write it without, outside of `{ }` and `[ ]`")
            }
            _ => problem,
        };
        self.text.place(problem.below(&path))
    }
}

/// The value as far as it is still worth reading.
struct Rest {
    tree: Tree,
    /// What was taken out because something was wrong with it.
    taken: Vec<Path>,
    /// Settings that a misspelt name was meant for.
    meant: Vec<Path>,
    /// How many items were dropped from the front of each list: those read well.
    dropped: HashMap<Path, usize>,
}

impl Rest {
    /// Whether something is amiss only because a part was taken out before.
    fn is_own_doing(&self, misfit: &Misfit) -> bool {
        let path = self.as_written(&misfit.path);
        match misfit.complaint {
            Complaint::Missing { name } => self.taken.iter().chain(&self.meant).any(|known| *known == path.then(name)),
            Complaint::Kind { .. } | Complaint::Custom(_) => {
                self.taken.iter().any(|taken| taken.0.starts_with(&path.0))
            }
            Complaint::Told => true,
            _ => false,
        }
    }

    /// Takes the cause of a misfit out; false where that is all there is.
    fn set_aside(&mut self, misfit: &Misfit) -> bool {
        if let Complaint::UnknownSetting { name, known } = &misfit.complaint
            && let Some(meant) = closest(name, known.iter().copied())
            && let Some((_, holder)) = misfit.path.0.split_last()
        {
            let holder = self.as_written(&Path(holder.to_vec()));
            self.meant.push(holder.then(meant));
        }
        self.take_out(&misfit.path)
    }

    /// The path as the operator would count it, dropped items included.
    fn as_written(&self, path: &Path) -> Path {
        let mut written = Path::default();
        for segment in &path.0 {
            let step = match segment {
                Segment::Index(index) => Segment::Index(index + self.dropped.get(&written).unwrap_or(&0)),
                key => key.clone(),
            };
            written.0.push(step);
        }
        written
    }

    /// Removes the value at a path; an item of a list goes with those before it,
    /// which were read without complaint.
    fn take_out(&mut self, path: &Path) -> bool {
        let Some((last, parent)) = path.0.split_last() else { return false };
        let written = self.as_written(path);
        let list = self.as_written(&Path(parent.to_vec()));
        let removed = match (self.tree.at_mut(parent), last) {
            (Some(map), Segment::Key(key)) => map.take(key).is_some(),
            (Some(Tree::List(items)), Segment::Index(index)) if *index < items.len() => {
                items.drain(..=*index);
                *self.dropped.entry(list).or_default() += index + 1;
                true
            }
            _ => false,
        };
        self.taken.push(written);
        removed
    }
}
