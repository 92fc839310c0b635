//! Imports: each there, none in a circle, and what each file sees by them.

use std::collections::BTreeSet;

use prost_types::FileDescriptorProto;

use super::{Faults, Lowered, short};

/// Of a circle, as it is told.
const MOST_STEPS: usize = 8;

pub(super) fn check(files: &Lowered, faults: &mut Faults) {
    for (name, file) in files {
        if name.is_empty() {
            faults.file(name, "has no name");
        }
        for import in &file.dependency {
            if !files.contains_key(import) {
                faults.import(name, import);
            }
        }
        let known = |at: &&i32| usize::try_from(**at).is_ok_and(|at| at < file.dependency.len());
        if !file.public_dependency.iter().chain(&file.weak_dependency).all(|at| known(&at)) {
            faults.file(name, "passes on an import that it does not have");
        }
    }
    circle(files, faults);
}

/// What a file sees: itself, what it imports, and what those pass on.
pub(super) fn visible<'a>(file: &'a FileDescriptorProto, files: &'a Lowered) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::from([file.name()]);
    let mut left: Vec<&str> = file.dependency.iter().map(String::as_str).collect();
    while let Some(name) = left.pop() {
        if seen.insert(name)
            && let Some(import) = files.get(name)
        {
            let public = import.public_dependency.iter().filter_map(|at| usize::try_from(*at).ok());
            left.extend(public.filter_map(|at| import.dependency.get(at)).map(String::as_str));
        }
    }
    seen
}

/// Walks imports depth first, on a stack of its own, until it meets a file that
/// it is still in.
fn circle(files: &Lowered, faults: &mut Faults) {
    let mut left: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    while let Some(root) = left.first().copied() {
        let mut path: Vec<(&str, usize)> = vec![(root, 0)];
        let mut within = BTreeSet::from([root]);
        while let Some((name, next)) = path.last_mut() {
            let Some(import) = files.get(*name).and_then(|file| file.dependency.get(*next)) else {
                within.remove(name);
                left.remove(name);
                path.pop();
                continue;
            };
            *next += 1;
            if within.contains(import.as_str()) {
                let start = path.iter().position(|(name, _)| name == import).unwrap_or_default();
                let mut steps: Vec<String> = path[start..].iter().map(|(name, _)| short(name)).collect();
                if steps.len() > MOST_STEPS {
                    steps.truncate(MOST_STEPS);
                    steps.push("…".to_owned());
                }
                let steps = steps.join("` → `");
                return faults.file(import, &format!("imports itself: `{steps}` → `{}`", short(import)));
            }
            if left.contains(import.as_str()) {
                within.insert(import);
                path.push((import, 0));
            }
        }
    }
}
