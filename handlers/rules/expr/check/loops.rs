//! `all`, `exists`, `exists_one`, `map` and `filter`.

use cel::common::ast::{Expr, IdedExpr};

use super::super::node::{Loop, LoopKind, Node};
use super::super::types::Type;
use super::{Checked, Checker};

/// The most loops within each other.
const DEEPEST: usize = 3;

/// The loop that is called so.
pub(super) fn loop_named(name: &str) -> Option<LoopKind> {
    Some(match name {
        "all" => LoopKind::All,
        "exists" => LoopKind::Exists,
        "exists_one" | "existsOne" => LoopKind::ExistsOne,
        "filter" => LoopKind::Filter,
        "map" => LoopKind::Map,
        _ => return None,
    })
}

impl Checker<'_> {
    pub(super) fn over(&mut self, id: u64, over: &IdedExpr, kind: LoopKind, args: &[IdedExpr]) -> Checked {
        let name = kind.name();
        let (variable, test, into) = match (kind, args) {
            (LoopKind::Map, [variable, into]) => (variable, None, Some(into)),
            (LoopKind::Map, [variable, test, into]) => (variable, Some(test), Some(into)),
            (LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne | LoopKind::Filter, [variable, test]) => {
                (variable, Some(test), None)
            }
            _ => {
                let words = format!("`{name}` takes a name for each item and what to do with it");
                return Err(self.problem(id, words).help(format!("such as `list.{name}(item, …)`")));
            }
        };
        let Expr::Ident(variable) = &variable.expr else {
            let words = format!("`{name}` takes a name for each item, and this is none");
            return Err(self.problem(variable.id, words).help(format!("such as `list.{name}(item, …)`")));
        };
        if self.locals.len() >= DEEPEST {
            let words = format!("there are more than {DEEPEST} loops within each other");
            return Err(self.problem(id, words).help("work a part of it out in an earlier step"));
        }
        let (over, is) = self.node(over)?;
        let item = match &is {
            Type::List(item) => (**item).clone(),
            Type::Map(entry) => entry.0.clone(),
            Type::Dyn => Type::Dyn,
            other => {
                return Err(
                    self.problem(id, format!("`{name}` goes over lists and maps, and this is {}", other.said()))
                );
            }
        };
        self.locals.push((variable.clone(), item.clone()));
        let test = test.map(|test| self.truth(test, name));
        let into = into.map(|into| self.node(into));
        self.locals.pop();
        let (test, into) = (test.transpose()?, into.transpose()?);
        let gives = match (kind, &into) {
            (LoopKind::Map, Some((_, of))) => Type::list(of.clone()),
            (LoopKind::Filter, _) => Type::list(item),
            _ => Type::Bool,
        };
        let into = into.map(|(into, _)| into);
        Ok((Node::Loop(Box::new(Loop { kind, over, test, into })), gives))
    }
}
