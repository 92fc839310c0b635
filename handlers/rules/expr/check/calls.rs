//! Functions: which one is called, and whether it takes what it is given.

use cel::common::ast::IdedExpr;

use super::super::functions::{self, Function, Style, compiled};
use super::super::node::Node;
use super::super::types::Type;
use super::super::value::Value;
use super::loops::loop_named;
use super::reads::dotted;
use super::{Checked, Checker};
use crate::config::Problem;

/// What is called like a method and is no function.
const LOOPS: [&str; 5] = ["all", "exists", "exists_one", "filter", "map"];

impl Checker<'_> {
    /// `f(x)`.
    pub(super) fn call(&mut self, id: u64, name: &str, args: &[IdedExpr]) -> Checked {
        let name = name.trim_start_matches('.');
        match functions::find(name, false) {
            Some(function) => self.called(id, function, None, args),
            None => Err(self.no_function(id, name, false)),
        }
    }

    /// `x.f(y)`, or a function whose name has a dot.
    pub(super) fn method(&mut self, id: u64, target: &IdedExpr, name: &str, args: &[IdedExpr]) -> Checked {
        if let Some(path) = dotted(target)
            && self.scope.find(&path[0]).is_none()
            && !self.locals.iter().any(|(local, _)| *local == path[0])
            && functions::is_namespace(&path[0])
        {
            let name = format!("{}.{name}", path.join("."));
            return self.call(id, &name, args);
        }
        if let Some(kind) = loop_named(name) {
            return self.over(id, target, kind, args);
        }
        match functions::find(name, true) {
            Some(function) => self.called(id, function, Some(target), args),
            None => Err(self.no_function(id, name, true)),
        }
    }

    fn called(
        &mut self,
        id: u64,
        function: &'static Function,
        target: Option<&IdedExpr>,
        args: &[IdedExpr],
    ) -> Checked {
        let mut given = Vec::with_capacity(args.len() + 1);
        let mut types = Vec::with_capacity(args.len() + 1);
        for arg in target.into_iter().chain(args) {
            let (node, is) = self.node(arg)?;
            given.push(node);
            types.push(is);
        }
        let mut fitting = function.overloads.iter().filter(|overload| overload.takes(&types));
        let Some(first) = fitting.next() else { return Err(self.unfit(id, function, target.is_some(), &types)) };
        // Where only the call can tell which it is, it can tell what that gives.
        let gives = first.1.of(&types);
        let gives = match types.iter().any(Type::is_dyn) {
            true => fitting.fold(gives, |gives, other| gives.or(other.1.of(&types))),
            false => gives,
        };
        if function.name == "matches"
            && let Some(Node::Literal(Value::String(pattern))) = given.get(1)
        {
            let pattern = compiled(pattern).map_err(|error| {
                let words = format!("the pattern cannot be read: {}", last_line(&error.to_string()));
                self.problem(id, words)
            })?;
            let text = Box::new(given.swap_remove(0));
            return Ok((Node::Matches { text, pattern }, Type::Bool));
        }
        Ok((Node::Call { function, given }, gives))
    }

    /// The function is there, and is given something else than it takes.
    fn unfit(&self, id: u64, function: &Function, method: bool, given: &[Type]) -> Problem {
        let receiver = usize::from(method);
        let name = function.name;
        let right_count = function.overloads.iter().any(|overload| match overload.count() {
            (count, true) => count == given.len(),
            (count, false) => count <= given.len(),
        });
        let words = if right_count {
            let given: Vec<_> = given.iter().map(ToString::to_string).collect();
            match method {
                true => format!("`{name}` is not for {}.{name}({})", given[0], given[1..].join(", ")),
                false => format!("`{name}` is not for ({})", given.join(", ")),
            }
        } else {
            let mut counts: Vec<_> = function.overloads.iter().map(|overload| overload.count().0 - receiver).collect();
            counts.sort_unstable();
            counts.dedup();
            let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
            let (given, are) = (given.len() - receiver, if given.len() - receiver == 1 { "is" } else { "are" });
            format!("`{name}` takes {} values, and {given} {are} given", counts.join(" or "))
        };
        self.problem(id, words).help(format!("it is called {}", usages(function, method).join(", ")))
    }

    fn no_function(&self, id: u64, name: &str, method: bool) -> Problem {
        if let Some(other) = functions::find(name, !method) {
            let words = format!("`{name}` is not called so");
            return self.problem(id, words).help(format!("it is called {}", usages(other, !method).join(", ")));
        }
        let loops = if method { LOOPS.as_slice() } else { &["has"] };
        let known =
            functions::all().filter(|function| function.style != if method { Style::Global } else { Style::Method });
        let known = known.map(|function| function.name).chain(loops.iter().copied());
        let (words, what) = match method {
            true => (format!("there is no method `{name}`"), "methods"),
            false => (format!("there is no function `{name}`"), "functions"),
        };
        self.unknown(id, words, name, what, known)
    }
}

/// How a function is called, in each of its ways.
fn usages(function: &Function, method: bool) -> Vec<String> {
    let usage = |due: &[functions::Due]| {
        let mut words: Vec<_> = due.iter().map(|due| due.word()).collect();
        match method {
            true => format!("`{}.{}({})`", words.remove(0), function.name, words.join(", ")),
            false => format!("`{}({})`", function.name, words.join(", ")),
        }
    };
    function.overloads.iter().map(|overload| usage(overload.0)).collect()
}

/// What a pattern's error comes down to, without the drawing of where it is.
fn last_line(words: &str) -> &str {
    words.lines().last().unwrap_or_default().trim_start_matches("error: ")
}
