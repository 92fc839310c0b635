//! Names, fields, entries: whatever an expression reads.

use cel::common::ast::{Expr, IdedExpr, SelectExpr};

use super::super::functions::{self, type_named};
use super::super::node::Node;
use super::super::types::{Record, Type};
use super::super::value::Value;
use super::{Checked, Checker};
use crate::config::Problem;

impl Checker<'_> {
    /// A name on its own.
    pub(super) fn name(&self, id: u64, name: &str) -> Checked {
        let name = name.trim_start_matches('.');
        if let Some((node, of)) = self.known(name) {
            return Ok((node, of.whole()));
        }
        if let Some(name) = type_named(name) {
            return Ok((Node::Type(name), Type::Dyn));
        }
        if functions::find(name, false).is_some() {
            let words = format!("`{name}` is a function, and is not called here");
            return Err(self.problem(id, words).help(format!("it is called `{name}(…)`")));
        }
        if self.scope.is_partial() {
            return Ok((Node::Name { name: name.into(), at: 0 }, Type::Dyn));
        }
        let words = format!("nothing is called `{name}` here");
        if let Some(full) = self.of_enum(name) {
            return Err(self.problem(id, words).help(format!("an enum's value is written in full: `{full}`")));
        }
        let locals = self.locals.iter().map(|(name, _)| name.as_str());
        Err(self.unknown(id, words, name, "names", locals.chain(self.scope.names())))
    }

    /// An enum's value in full, by its own name or that of its enum.
    fn of_enum(&self, name: &str) -> Option<String> {
        let enums = || self.scope.pool().into_iter().flat_map(|pool| pool.all_enums());
        let by_value = enums().find_map(|of| {
            let value = of.values().find(|value| value.name().eq_ignore_ascii_case(name))?;
            Some(format!("{}.{}", of.full_name(), value.name()))
        });
        by_value.or_else(|| {
            let of = enums().find(|of| of.name() == name)?;
            Some(format!("{}.{}", of.full_name(), of.values().next()?.name()))
        })
    }

    /// A variable of a loop, or a name of the scope.
    fn known(&self, name: &str) -> Option<(Node, Type)> {
        if let Some(at) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Some((Node::Local(at), self.locals[at].1.clone()));
        }
        let (of, at) = self.scope.find(name)?;
        Some((Node::Name { name: name.into(), at }, of.clone()))
    }

    /// What something is read from by name: records are whole everywhere else.
    fn owner(&mut self, tree: &IdedExpr) -> Checked {
        match &tree.expr {
            Expr::Ident(name) => self.known(name.trim_start_matches('.')).map_or_else(|| self.node(tree), Ok),
            _ => self.node(tree),
        }
    }

    /// A field, or something whose name has dots.
    pub(super) fn select(&mut self, tree: &IdedExpr, select: &SelectExpr) -> Checked {
        if let Some(path) = dotted(tree)
            && self.known(&path[0]).is_none()
            && let Some(found) = self.global(tree.id, &path)?
        {
            return Ok(found);
        }
        let (of, is) = self.owner(&select.operand)?;
        self.member(tree.id, of, is, &select.field)
    }

    /// An enum's value, a constant, a type: by a name with dots.
    fn global(&self, id: u64, path: &[String]) -> Result<Option<(Node, Type)>, Problem> {
        let Some((last, before)) = path.split_last() else { return Ok(None) };
        if let [namespace] = before
            && let Some(value) = functions::constant(namespace, last)
        {
            return Ok(Some((Node::Literal(value.into()), Type::Double)));
        }
        if let Some(name) = type_named(&path.join(".")) {
            return Ok(Some((Node::Type(name), Type::Dyn)));
        }
        let name = before.join(".");
        if let Some(of) = self.scope.pool().and_then(|pool| pool.get_enum_by_name(&name)) {
            return match of.get_value_by_name(last) {
                Some(value) => Ok(Some((Node::Literal(i64::from(value.number()).into()), Type::Int))),
                None => {
                    let values: Vec<_> = of.values().map(|value| value.name().to_owned()).collect();
                    let words = format!("`{name}` has no value `{last}`");
                    Err(self.unknown(id, words, last, "values", values.iter().map(String::as_str)))
                }
            };
        }
        if functions::is_namespace(&path[0]) {
            let name = path.join(".");
            let words = if functions::find(&name, false).is_some() {
                format!("`{name}` is a function, and is not called here")
            } else {
                format!("there is no `{name}`")
            };
            let known = functions::all().map(|function| function.name);
            return Err(self.unknown(id, words, &name, "functions", known.filter(|name| name.starts_with(&path[0]))));
        }
        Ok(None)
    }

    fn member(&self, id: u64, of: Node, is: Type, name: &str) -> Checked {
        let of = Box::new(of);
        match is {
            Type::Message(message) => match message.get_field_by_name(name) {
                Some(field) => {
                    let gives = Type::of_field(&field);
                    Ok((Node::Field { of, field }, gives))
                }
                None => Err(self.no_field(id, &message, name)),
            },
            Type::Map(entry) if matches!(entry.0, Type::String | Type::Dyn) => {
                Ok((Node::Member { of, name: name.into() }, entry.1.clone()))
            }
            Type::Record(record) => {
                let gives = self.entry(id, record, name)?;
                Ok((Node::Member { of, name: name.into() }, gives))
            }
            Type::Dyn => Ok((Node::Member { of, name: name.into() }, Type::Dyn)),
            other => Err(self.problem(id, format!("{} has no fields, and so no `{name}`", other.said()))),
        }
    }

    /// What a record has by a name.
    fn entry(&self, id: u64, record: &Record, name: &str) -> Result<Type, Problem> {
        (record.entry)(name).ok_or_else(|| {
            self.unknown(id, format!("there is no `{name}` in it"), name, "fields", record.known.iter().copied())
        })
    }

    fn no_field(&self, id: u64, message: &prost_reflect::MessageDescriptor, name: &str) -> Problem {
        let words = format!("`{}` has no field `{name}`", message.full_name());
        let known: Vec<_> = message.fields().map(|field| field.name().to_owned()).collect();
        self.unknown(id, words, name, "fields", known.iter().map(String::as_str))
    }

    /// `has(x.f)`.
    pub(super) fn has(&mut self, id: u64, args: &[IdedExpr]) -> Checked {
        let Some(select) = args.first().filter(|_| args.len() == 1).and_then(|arg| match &arg.expr {
            Expr::Select(select) => Some(select),
            _ => None,
        }) else {
            return Err(self.problem(id, "`has` takes one field").help("such as `has(request.name)`"));
        };
        let (of, is) = self.owner(&select.operand)?;
        match &is {
            Type::Record(record) => drop(self.entry(id, record, &select.field)?),
            Type::Message(message) if message.get_field_by_name(&select.field).is_none() => {
                return Err(self.no_field(id, message, &select.field));
            }
            Type::Message(_) | Type::Map(_) | Type::Dyn => {}
            other => return Err(self.problem(id, format!("{} has no fields", other.said()))),
        }
        Ok((Node::Has { of: Box::new(of), name: select.field.as_str().into() }, Type::Bool))
    }

    /// `x[y]`.
    pub(super) fn index(&mut self, id: u64, of: &IdedExpr, key: &IdedExpr) -> Checked {
        let (of, is) = self.owner(of)?;
        let (key, by) = self.node(key)?;
        let gives = match &is {
            Type::Record(record) => match &key {
                // The same as after a dot, and told by name where it is not there.
                Node::Literal(Value::String(name)) => {
                    let gives = self.entry(id, record, name)?;
                    return Ok((Node::Member { of: Box::new(of), name: (&**name).into() }, gives));
                }
                _ if matches!(by, Type::String | Type::Dyn) => Type::Dyn,
                _ => return Err(self.problem(id, format!("it is read by name, and this is {}", by.said()))),
            },
            Type::List(item) if by.is_number() || by.is_dyn() => (**item).clone(),
            Type::Map(entry) if fits_key(&by, &entry.0) => entry.1.clone(),
            Type::Dyn => Type::Dyn,
            Type::List(_) => {
                return Err(self.problem(id, format!("a list is read by number, and this is {}", by.said())));
            }
            Type::Map(entry) => {
                let words = format!("the map's keys are of type {}, and this is {}", entry.0, by.said());
                return Err(self.problem(id, words));
            }
            other => {
                let words = format!("{} has no entries to be read by `[…]`", other.said());
                return Err(self.problem(id, words));
            }
        };
        Ok((Node::Index(Box::new([of, key])), gives))
    }
}

/// Whether something of one type can be among keys of another.
pub(super) fn fits_key(key: &Type, keys: &Type) -> bool {
    key.is_dyn() || keys.is_dyn() || key == keys || (key.is_number() && keys.is_number())
}

/// The parts of a name with dots, if it is nothing else.
pub(super) fn dotted(tree: &IdedExpr) -> Option<Vec<String>> {
    match &tree.expr {
        Expr::Ident(name) => Some(vec![name.trim_start_matches('.').to_owned()]),
        Expr::Select(select) if !select.test => {
            let mut path = dotted(&select.operand)?;
            path.push(select.field.clone());
            Some(path)
        }
        _ => None,
    }
}
