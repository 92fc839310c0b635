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

/// How often a section is read again without what was wrong with it.
const MOST_READS: usize = 200;

/// What could be read of some settings.
#[derive(Debug)]
pub struct Remains<T> {
    /// Without what is amiss.
    pub settings: Option<T>,
    /// Where something was taken out, from the section on.
    pub amiss: Vec<Path>,
    /// What is wrong with it.
    pub problems: Problems,
}

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
        let Remains { settings, problems, .. } = self.salvage();
        match settings {
            Some(settings) => problems.or(settings),
            // Empty where all that is wrong was told when its variables were filled.
            None => Err(problems),
        }
    }

    /// The settings as far as they can be typed, and everything that is wrong with them.
    pub fn salvage<T: DeserializeOwned>(&self) -> Remains<T> {
        if let Ok(settings) = T::deserialize(Typed(&self.tree)) {
            return Remains { settings: Some(settings), amiss: Vec::new(), problems: Problems::default() };
        }
        // Something is wrong: from here on it is a copy that is read, and cut.
        let mut rest = Rest { tree: self.tree.clone(), taken: Vec::new(), meant: Vec::new(), dropped: HashMap::new() };
        let mut problems = Problems::default();
        for _ in 0..MOST_READS {
            match T::deserialize(Typed(&rest.tree)) {
                Ok(settings) if rest.dropped.is_empty() => {
                    return Remains { settings: Some(settings), amiss: rest.taken, problems };
                }
                // What is left of a list would be taken for its first items.
                Ok(_) => rest.take_lists_out(),
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
        Remains { settings: None, amiss: rest.taken, problems }
    }

    /// The part at a key or an index, where there is one.
    pub(super) fn part(&self, step: impl Into<Segment>) -> Option<Section> {
        let step = step.into();
        let tree = self.tree.at(std::slice::from_ref(&step))?.clone();
        Some(Section { tree, path: self.path.then(step), text: self.text.clone() })
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
        let problem = match (&misfit.complaint, value.scalar()) {
            (Complaint::Kind { .. }, Value::String(text))
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

    /// Removes every list that items were dropped from.
    fn take_lists_out(&mut self) {
        for (list, _) in std::mem::take(&mut self.dropped) {
            if let Some((Segment::Key(key), parent)) = list.0.split_last()
                && let Some(holder) = self.tree.at_mut(parent)
            {
                holder.take(key);
            }
            self.taken.push(list);
        }
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

#[cfg(test)]
mod tests {
    use super::super::Document;
    use serde::Deserialize;

    /// What a plugin's author may come up with.
    #[derive(Debug, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    #[allow(dead_code)]
    struct Settings {
        corner: (f64, f64),
        retry: Retry,
        either: Either,
        names: std::collections::BTreeMap<String, u8>,
        share: f32,
        anything: serde_json::Value,
        wrapped: Wrapped,
    }

    impl Default for Settings {
        fn default() -> Settings {
            let (retry, either) = (Retry::Never, Either::Number(0));
            let names = std::collections::BTreeMap::new();
            Settings {
                corner: (0.0, 0.0),
                retry,
                either,
                names,
                share: 0.0,
                anything: Default::default(),
                wrapped: Wrapped(1),
            }
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    #[allow(dead_code)]
    enum Retry {
        Never,
        Times(u8),
        Backoff { first: u8, most: u8 },
    }

    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Either {
        Number(u8),
        Flag(bool),
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Wrapped(u16);

    fn read(settings: &str) -> Result<Settings, String> {
        let yaml = format!("services: {{ a.B: {{ handler: {{ kind: {settings} }} }} }}\n");
        let document = Document::parse("x.yaml", &yaml, std::path::Path::new("."), &|_| None).unwrap();
        document.services[0].section.read().map_err(|problems| problems.to_string())
    }

    #[test]
    fn every_shape_of_type_reads() {
        let settings = read(
            "{ corner: [1, 2.5], retry: { backoff: { first: 1, most: 2 } }, either: true, names: { x: 1 }, share: 1, \
             anything: { a: [1, null] }, wrapped: 7 }",
        )
        .unwrap();
        assert_eq!((settings.corner, settings.share), ((1.0, 2.5), 1.0));
        assert_eq!(settings.anything, serde_json::json!({ "a": [1, null] }));
        assert!(read("{ retry: { times: 3 } }").is_ok() && read("{ retry: { never: } }").is_ok());
    }

    #[test]
    fn what_does_not_fit_is_told_without_rusts_names() {
        for (settings, words) in [
            ("{ corner: [1] }", "a list of 2 is due, and this has 1"),
            ("{ corner: [1, 2, 3] }", "the list ends after 2 items (at"),
            ("{ corner: 1 }", "expected a list of 2, found the number 1"),
            ("{ retry: { times: 300 } }", "expected a whole number from 0 to 255, found the number 300"),
            ("{ retry: times }", "`times` is not enough by itself"),
            ("{ retry: { backoff: 5 } }", "expected a map of settings, found the number 5"),
            ("{ retry: { backoff: [1, 2] } }", "expected a map of settings, found a list"),
            ("{ retry: { backoff: { first: 1 } } }", "`most` is missing"),
            ("{ retry: { backof: 1 } }", "did you mean `backoff`?"),
            ("{ either: text }", "the text \"text\" is none of what can stand here"),
            (
                "{ names: { x: y } }",
                "expected a whole number from 0 to 255, found the text \"y\" (at services.\"a.B\".handler.kind.names.x)",
            ),
            ("{ names: [x] }", "expected a map, found a list"),
            ("{ share: much }", "expected a number, found the text \"much\""),
            ("{ wrapped: -1 }", "expected a whole number from 0 to 65535, found the number -1"),
        ] {
            let told = read(settings).unwrap_err();
            assert!(told.contains(words), "{settings}: {told}");
            for name in ["struct", "tuple", "enum", "Settings", "Retry", "Either", "Wrapped", "variant"] {
                assert!(!told.contains(name), "{settings}: {told}");
            }
        }
    }
}
