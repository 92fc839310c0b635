//! An expression that was checked, ready to be worked out.

use prost_reflect::FieldDescriptor;
use regex::Regex;

use super::functions::Function;
use super::value::Value;

/// One operation and what it works on.
pub(super) enum Node {
    /// A constant.
    Literal(Value),
    /// A name of the scope; `at` is where it was put there.
    Name {
        name: Box<str>,
        at: usize,
    },
    /// A variable of a loop, counted from the outermost.
    Local(usize),
    /// A field of a message whose type is known.
    Field {
        of: Box<Node>,
        field: FieldDescriptor,
    },
    /// A field or an entry, by name, of what only a call knows.
    Member {
        of: Box<Node>,
        name: Box<str>,
    },
    /// Whether it is set or there.
    Has {
        of: Box<Node>,
        name: Box<str>,
    },
    Index(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    /// Condition, then, else.
    If(Box<[Node; 3]>),
    Equal {
        sides: Box<[Node; 2]>,
        wanted: bool,
    },
    Compare {
        sides: Box<[Node; 2]>,
        by: Comparison,
    },
    In(Box<[Node; 2]>),
    Arithmetic {
        sides: Box<[Node; 2]>,
        by: Operator,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Loop(Box<Loop>),
    Call {
        function: &'static Function,
        given: Vec<Node>,
    },
    /// `matches` with a pattern that is known.
    Matches {
        text: Box<Node>,
        pattern: Regex,
    },
    /// The type of a name that is one, such as `int`.
    Type(&'static str),
}

/// What goes over a list, or over the keys of a map.
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) over: Node,
    /// Asked of each item; of `map` with three arguments and `filter`, which ones count.
    pub(super) test: Option<Node>,
    /// What `map` makes of each.
    pub(super) into: Option<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// As it is written.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        }
    }
}

impl Node {
    /// Every node within, itself first.
    pub(super) fn walk<'n>(&'n self, seen: &mut impl FnMut(&'n Node)) {
        seen(self);
        let mut each = |nodes: &'n [Node]| nodes.iter().for_each(|node| node.walk(seen));
        match self {
            Node::Literal(_) | Node::Name { .. } | Node::Local(_) | Node::Type(_) => {}
            Node::Field { of, .. } | Node::Member { of, .. } | Node::Has { of, .. } => of.walk(seen),
            Node::Not(of) | Node::Negate(of) | Node::Matches { text: of, .. } => of.walk(seen),
            Node::Index(sides) | Node::And(sides) | Node::Or(sides) | Node::In(sides) => each(&**sides),
            Node::Equal { sides, .. } | Node::Compare { sides, .. } | Node::Arithmetic { sides, .. } => each(&**sides),
            Node::If(branches) => each(&**branches),
            Node::List(items) | Node::Call { given: items, .. } => each(items),
            Node::Map(entries) => entries.iter().for_each(|(key, value)| {
                key.walk(seen);
                value.walk(seen);
            }),
            Node::Loop(of) => {
                of.over.walk(seen);
                of.test.iter().chain(&of.into).for_each(|node| node.walk(seen));
            }
        }
    }
}
