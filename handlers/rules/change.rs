//! What a rule changes of the state: checked, and worked out for a call.

use super::expr::{Expression, Failed, Names, Scope, Tree};
use super::named::Named;
use super::settings;
use super::state::{Act, Change, Fitting, Held};
use crate::config::{Problem, Problems};

/// The changes of one rule, each of another state.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<Changing>);

#[derive(Debug)]
struct Changing {
    state: usize,
    at: Option<Expression>,
    act: Acting,
}

#[derive(Debug)]
enum Acting {
    Set(Tree),
    Add(Tree),
    Append(Tree),
    Remove,
}

impl Changes {
    pub(super) fn compile(
        changes: &Named<settings::Change>,
        scope: &Scope,
        states: &[&str],
        problems: &mut Problems,
    ) -> Changes {
        let mut compiled = Vec::new();
        for (name, change) in &changes.0 {
            let changing = Changing::compile(name, change, scope, states);
            compiled.extend(problems.take(changing.map_err(|found| found.within(name.as_str()).within("change"))));
        }
        Changes(compiled)
    }

    /// Works them all out over the state as it is, and sees that each fits.
    pub(super) fn work_out(&self, names: &Names<'_>, held: &Held<'_>) -> Result<Vec<Fitting>, Failed> {
        self.0.iter().map(|changing| held.fit(changing.work_out(names)?)).collect()
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        self.0.iter().any(|changing| changing.reads(name))
    }
}

impl Changing {
    fn compile(name: &str, change: &settings::Change, scope: &Scope, states: &[&str]) -> Result<Changing, Problems> {
        let mut problems = Problems::default();
        let state = states.iter().position(|known| *known == name);
        if state.is_none() && !scope.is_partial() {
            let problem = Problem::new(format!("there is no state `{name}`")).label("unknown state").key();
            let problem = problem.meant(name, states.iter().copied());
            let problem = match problem.helps() {
                [] => problem.help(format!("declare it: `state: {{ {name}: {{ start: 0 }} }}`")),
                _ => problem,
            };
            problems.push(problem);
        }
        let at = change
            .at
            .as_ref()
            .and_then(|text| problems.take(Expression::compile(text, scope).map_err(|problem| problem.within("at"))));
        let mut acts = Vec::new();
        for (key, tree, act) in [
            ("set", &change.set, Acting::Set as fn(Tree) -> Acting),
            ("add", &change.add, Acting::Add),
            ("append", &change.append, Acting::Append),
        ] {
            let Some(tree) = tree else { continue };
            if key == "add" && !tree.is_number() && !tree.as_str().is_some_and(|text| text.starts_with('=')) {
                problems.push(
                    Problem::new("`add` takes a number, or an expression that gives one")
                        .label("not a number")
                        .within(key)
                        .help("an expression starts with `=`: `add: '=request.count'`"),
                );
            }
            let compiled = Tree::compile(tree, scope).map_err(|found| found.within(key));
            acts.push(problems.take(compiled).map(act));
        }
        if change.remove {
            acts.push(Some(Acting::Remove));
        }
        if acts.len() != 1 {
            problems.push(
                Problem::new("a change is exactly one of `set`, `add`, `append` and `remove: true`")
                    .label("not one change"),
            );
        }
        let act = acts.pop().flatten().unwrap_or(Acting::Remove);
        problems.or(Changing { state: state.unwrap_or_default(), at, act })
    }

    fn work_out(&self, names: &Names<'_>) -> Result<Change, Failed> {
        let no_key = || Failed::Argument { function: "at", why: "gives nothing that can be a key" };
        let at = match &self.at {
            Some(at) => Some(at.evaluate(names)?.as_key().ok_or_else(no_key)?),
            None => None,
        };
        let act = match &self.act {
            Acting::Set(tree) => Act::Set(tree.evaluate(names)?),
            Acting::Add(tree) => Act::Add(tree.evaluate(names)?),
            Acting::Append(tree) => Act::Append(tree.evaluate(names)?),
            Acting::Remove => Act::Remove,
        };
        Ok(Change { state: self.state, at, act })
    }

    fn reads(&self, name: &str) -> bool {
        let of = match &self.act {
            Acting::Set(tree) | Acting::Add(tree) | Acting::Append(tree) => tree.reads(name),
            Acting::Remove => false,
        };
        of || self.at.as_ref().is_some_and(|at| at.reads(name))
    }
}
