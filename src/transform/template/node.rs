//! The syntax tree of a template: what the parser gives to the evaluator and to the analysis of reads.
//!
//! Pure data. `at` is always a byte offset into the template's text, for messages.

use std::collections::BTreeMap;

use super::function::Function;

/// A parsed template text: its main body and the templates it defines.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) main: Vec<Node>,
    pub(super) defined: BTreeMap<Vec<u8>, Vec<Node>>,
}

/// One piece of a body.
#[derive(Debug)]
pub(super) enum Node {
    Text(Box<str>),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Call {
        at: usize,
        name: Vec<u8>,
        argument: Option<Pipe>,
    },
    Break,
    Continue,
}

/// `if`, `with` and `range`: a condition and two bodies.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// `$a, $b := command | command`.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) at: usize,
    /// Names with their `$`; two only in `range`.
    pub(super) variables: Vec<Box<str>>,
    /// `=` rather than `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// Operands separated by space; the first may be a function.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
}

/// One operand with its place.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) term: Term,
}

/// What an operand is.
#[derive(Debug)]
pub(super) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    /// An integer above the largest `int`: Go parses it, and fails when it is used.
    HugeInt,
    Float(f64),
    Text(Box<[u8]>),
    /// `.a.b`
    Field(Vec<Box<str>>),
    /// `$x.a.b`, the name with its `$`
    Variable(Box<str>, Vec<Box<str>>),
    Function(Function),
    Pipe(Pipe),
    /// `(…).a.b`
    Chain(Box<Operand>, Vec<Box<str>>),
}
