//! Which properties a template can read, found without running it.
//!
//! Errs on the safe side: a property may be named that no run reads, never the other way round.

use std::collections::BTreeSet;

use super::Reads;
use super::function::Function;
use super::node::{Branch, Command, Node, Operand, Pipe, Program, Term};

/// The properties that any rendering of `program` can depend on.
pub(super) fn reads(program: &Program) -> Reads {
    let mut survey = Survey {
        program,
        names: BTreeSet::new(),
        everything: false,
        visited: BTreeSet::new(),
        waiting: vec![(
            &program.main,
            Sight {
                dot: true,
                dollar: true,
            },
        )],
    };
    while let Some((nodes, sight)) = survey.waiting.pop() {
        survey.body(nodes, sight);
    }
    if survey.everything {
        Reads::All
    } else {
        Reads::Named(survey.names)
    }
}

/// Whether dot and `$` are the properties, or something else (then nothing is read through them).
#[derive(Clone, Copy)]
struct Sight {
    dot: bool,
    dollar: bool,
}

struct Survey<'a> {
    program: &'a Program,
    names: BTreeSet<String>,
    everything: bool,
    /// Defined templates already surveyed, with whether their dot was the properties.
    visited: BTreeSet<(&'a [u8], bool)>,
    /// Bodies still to survey: a list, because templates may call each other in any number.
    waiting: Vec<(&'a [Node], Sight)>,
}

impl<'a> Survey<'a> {
    fn body(&mut self, nodes: &'a [Node], sight: Sight) {
        for node in nodes {
            match node {
                Node::Action(pipe) => self.pipe(pipe, sight),
                Node::If(branch) => self.branch(branch, sight, sight),
                // The properties become the dot of these bodies only through a bare dot, which reads everything.
                Node::With(branch) | Node::Range(branch) => self.branch(
                    branch,
                    sight,
                    Sight {
                        dot: false,
                        ..sight
                    },
                ),
                Node::Call { name, argument, .. } => self.call(name, argument.as_ref(), sight),
                Node::Text(_) | Node::Break | Node::Continue => {}
            }
        }
    }

    fn branch(&mut self, branch: &'a Branch, outside: Sight, inside: Sight) {
        self.pipe(&branch.pipe, outside);
        self.body(&branch.body, inside);
        self.body(&branch.otherwise, outside);
    }

    fn call(&mut self, name: &'a [u8], argument: Option<&'a Pipe>, sight: Sight) {
        let passes_properties = argument
            .and_then(lone_operand)
            .is_some_and(|operand| is_properties(operand, sight));
        if let Some(pipe) = argument.filter(|_| !passes_properties) {
            self.pipe(pipe, sight);
        }
        if let Some(body) = self.program.defined.get(name)
            && self.visited.insert((name, passes_properties))
        {
            self.waiting.push((
                body,
                Sight {
                    dot: passes_properties,
                    dollar: passes_properties,
                },
            ));
        }
    }

    fn pipe(&mut self, pipe: &'a Pipe, sight: Sight) {
        for command in &pipe.commands {
            self.command(command, sight);
        }
    }

    fn command(&mut self, command: &'a Command, sight: Sight) {
        let operands = match command.operands.as_slice() {
            // index . "name"
            [
                Operand {
                    term: Term::Function(Function::Index),
                    ..
                },
                of,
                Operand {
                    term: Term::Text(name),
                    ..
                },
                rest @ ..,
            ] if is_properties(of, sight) => {
                self.names
                    .extend(std::str::from_utf8(name).map(str::to_owned));
                rest
            }
            all => all,
        };
        for operand in operands {
            self.operand(operand, sight);
        }
    }

    fn operand(&mut self, operand: &'a Operand, sight: Sight) {
        match &operand.term {
            Term::Field(names) if sight.dot => {
                self.names.extend(names.first().map(ToString::to_string));
            }
            Term::Variable(name, names) if &**name == "$" && sight.dollar => match names.first() {
                Some(name) => {
                    self.names.insert(name.to_string());
                }
                None => self.everything = true,
            },
            Term::Dot if sight.dot => self.everything = true,
            Term::Pipe(pipe) => self.pipe(pipe, sight),
            Term::Chain(inner, _) => self.operand(inner, sight),
            _ => {}
        }
    }
}

fn lone_operand(pipe: &Pipe) -> Option<&Operand> {
    match pipe.commands.as_slice() {
        [Command { operands }] if pipe.variables.is_empty() && operands.len() == 1 => {
            operands.first()
        }
        _ => None,
    }
}

/// `.` or `$` where it stands for the properties.
fn is_properties(operand: &Operand, sight: Sight) -> bool {
    match &operand.term {
        Term::Dot => sight.dot,
        Term::Variable(name, names) => &**name == "$" && names.is_empty() && sight.dollar,
        _ => false,
    }
}
