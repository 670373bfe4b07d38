//! Program + properties → bytes: the evaluator for everything beyond plain fields.
//!
//! Every step and every byte that is moved costs fuel, so that no template runs long; depth and size are limited
//! too. Never panics, never looks at anything but its two inputs.

use super::Properties;
use super::error::Fault;
use super::format::{MAX_TEXT, append};
use super::function::Function;
use super::node::{Branch, Command, Node, Operand, Pipe, Program, Term};
use super::value::{Text, Value};

/// Steps one rendering may take: some milliseconds' worth, thousands of times what a manifest needs.
const FUEL: usize = 200_000;
/// Bytes that may be moved for the price of one step.
const BYTES_A_STEP: usize = 32;
/// The deepest recursion of bodies, pipelines and template calls.
const DEPTH: usize = 160;

type Evaluated<'a> = Result<Value<'a>, Fault>;

/// Renders the main body with the properties as dot and `$`.
pub(super) fn render(program: &Program, properties: &Properties) -> Result<Vec<u8>, Fault> {
    let root = Value::Properties(properties);
    let mut run = Run {
        program,
        output: Vec::new(),
        variables: vec![("$", root.clone())],
        fuel: FUEL,
        depth: 0,
    };
    run.body(&root, &program.main)?;
    Ok(run.output)
}

struct Run<'a> {
    program: &'a Program,
    output: Vec<u8>,
    /// Innermost last; a name may stand here several times.
    variables: Vec<(&'a str, Value<'a>)>,
    fuel: usize,
    depth: usize,
}

/// How a body was left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Through,
    Break,
    Continue,
}

impl<'a> Run<'a> {
    fn spend(&mut self, at: usize, bytes: usize) -> Result<(), Fault> {
        match self.fuel.checked_sub(1 + bytes / BYTES_A_STEP) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => Err(Fault::new(at, "the template takes too many steps")),
        }
    }

    fn deeper<T>(
        &mut self,
        at: usize,
        walk: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.depth == DEPTH {
            return Err(Fault::new(
                at,
                format!("templates call each other deeper than {DEPTH} levels"),
            ));
        }
        self.depth += 1;
        let walked = walk(self);
        self.depth -= 1;
        walked
    }

    fn body(&mut self, dot: &Value<'a>, nodes: &'a [Node]) -> Result<Flow, Fault> {
        for node in nodes {
            let flow = self.node(dot, node)?;
            if flow != Flow::Through {
                return Ok(flow);
            }
        }
        Ok(Flow::Through)
    }

    fn node(&mut self, dot: &Value<'a>, node: &'a Node) -> Result<Flow, Fault> {
        match node {
            Node::Text(text) => self.write(0, &Value::Text(Text::Borrowed(text.as_bytes())))?,
            Node::Action(pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.write(pipe.at, &value)?;
                }
            }
            Node::If(branch) => return self.choose(dot, branch, false),
            Node::With(branch) => return self.choose(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Call { at, name, argument } => {
                self.template(dot, *at, name, argument.as_ref())?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Through)
    }

    fn write(&mut self, at: usize, value: &Value<'a>) -> Result<(), Fault> {
        self.spend(at, value.weight())?;
        match value {
            Value::Nil => self.output.extend_from_slice(b"<no value>"),
            Value::Text(text) => self.output.extend_from_slice(text.bytes()),
            other => append(other, &mut self.output),
        }
        if self.output.len() > MAX_TEXT {
            return Err(Fault::new(
                at,
                format!("the result exceeds {MAX_TEXT} bytes"),
            ));
        }
        Ok(())
    }

    /// `if`, or `with` when the value is to be the body's dot.
    fn choose(&mut self, dot: &Value<'a>, branch: &'a Branch, with: bool) -> Result<Flow, Fault> {
        let visible = self.variables.len();
        let flow = self.deeper(branch.pipe.at, |run| {
            let value = run.pipe(dot, &branch.pipe)?;
            match value.truth() {
                true if with => run.body(&value, &branch.body),
                true => run.body(dot, &branch.body),
                false => run.body(dot, &branch.otherwise),
            }
        })?;
        self.variables.truncate(visible);
        Ok(flow)
    }

    fn range(&mut self, dot: &Value<'a>, branch: &'a Branch) -> Result<Flow, Fault> {
        let visible = self.variables.len();
        let at = branch.pipe.at;
        let flow = self.deeper(at, |run| {
            let value = run.pipe(dot, &branch.pipe)?;
            match value {
                Value::Properties(properties) if !properties.is_empty() => {
                    let text = |text: &'a str| Value::Text(Text::Borrowed(text.as_bytes()));
                    run.iterate(
                        branch,
                        properties
                            .iter()
                            .map(|(key, value)| (text(key), text(value))),
                    )
                }
                Value::Int(_) | Value::Byte(_) if branch.pipe.variables.len() > 1 => {
                    Err(Fault::new(at, "range over a number has one variable"))
                }
                Value::Int(end) if end > 0 => run.iterate(
                    branch,
                    (0..end).map(|number| (Value::Nil, Value::Int(number))),
                ),
                Value::Byte(end) if end > 0 => run.iterate(
                    branch,
                    (0..end).map(|number| (Value::Nil, Value::Byte(number))),
                ),
                Value::Properties(_) | Value::Int(_) | Value::Byte(_) | Value::Nil => {
                    run.body(dot, &branch.otherwise)
                }
                other => Err(Fault::new(
                    at,
                    format!("range can't iterate over {}", other.type_name()),
                )),
            }
        })?;
        self.variables.truncate(visible);
        Ok(flow)
    }

    fn iterate(
        &mut self,
        branch: &'a Branch,
        items: impl Iterator<Item = (Value<'a>, Value<'a>)>,
    ) -> Result<Flow, Fault> {
        let pipe = &branch.pipe;
        let inner = self.variables.len();
        for (index, item) in items {
            self.spend(pipe.at, 0)?;
            match pipe.variables.as_slice() {
                [] => {}
                [only] => self.bind(pipe, only, inner - 1, item.clone())?,
                [first, second, ..] => {
                    self.bind(pipe, first, inner - 2, index)?;
                    self.bind(pipe, second, inner - 1, item.clone())?;
                }
            }
            let flow = self.body(&item, &branch.body)?;
            self.variables.truncate(inner);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Through)
    }

    /// Sets a loop variable: the one declared at `place`, or by name the one that is assigned to.
    fn bind(
        &mut self,
        pipe: &'a Pipe,
        name: &'a str,
        place: usize,
        value: Value<'a>,
    ) -> Result<(), Fault> {
        if pipe.assigns {
            return self.assign(pipe.at, name, value);
        }
        self.variables[place].1 = value;
        Ok(())
    }

    fn assign(&mut self, at: usize, name: &str, value: Value<'a>) -> Result<(), Fault> {
        match self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| *known == name)
        {
            Some((_, variable)) => {
                *variable = value;
                Ok(())
            }
            None => Err(Fault::new(at, format!("undefined variable {name:?}"))),
        }
    }

    fn template(
        &mut self,
        dot: &Value<'a>,
        at: usize,
        name: &[u8],
        argument: Option<&'a Pipe>,
    ) -> Result<(), Fault> {
        let Some(body) = self.program.defined.get(name) else {
            return Err(Fault::new(
                at,
                format!("template {:?} not defined", String::from_utf8_lossy(name)),
            ));
        };
        let dot = match argument {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Value::Nil,
        };
        self.spend(at, 0)?;
        let outer = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        self.deeper(at, |run| run.body(&dot, body))?;
        self.variables = outer;
        Ok(())
    }

    fn pipe(&mut self, dot: &Value<'a>, pipe: &'a Pipe) -> Evaluated<'a> {
        let mut piped = None;
        for command in &pipe.commands {
            piped = Some(self.command(dot, command, piped)?);
        }
        let value = piped.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(pipe.at, name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    /// One stage of a pipeline; `piped` is what the stage before gave.
    fn command(
        &mut self,
        dot: &Value<'a>,
        command: &'a Command,
        piped: Option<Value<'a>>,
    ) -> Evaluated<'a> {
        let first = &command.operands[0];
        self.spend(first.at, 0)?;
        let has_arguments = command.operands.len() > 1 || piped.is_some();
        match &first.term {
            Term::Function(function) => {
                self.function(dot, first.at, *function, &command.operands[1..], piped)
            }
            Term::Nil => Err(Fault::new(first.at, "nil is not a command")),
            _ if has_arguments => Err(Fault::new(first.at, "only a function takes arguments")),
            _ => self.operand(dot, first),
        }
    }

    fn operand(&mut self, dot: &Value<'a>, operand: &'a Operand) -> Evaluated<'a> {
        let at = operand.at;
        self.spend(at, 0)?;
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Value::Nil),
            Term::Bool(value) => Ok(Value::Bool(*value)),
            Term::Int(value) => Ok(Value::Int(*value)),
            Term::HugeInt => Err(Fault::new(at, "the number overflows int")),
            Term::Float(value) => Ok(Value::Float(*value)),
            Term::Text(text) => Ok(Value::Text(Text::Borrowed(text))),
            Term::Field(names) => fields(dot.clone(), at, names),
            Term::Variable(name, names) => {
                let variable = self
                    .variables
                    .iter()
                    .rev()
                    .find(|(known, _)| **known == **name);
                match variable {
                    Some((_, value)) => fields(value.clone(), at, names),
                    None => Err(Fault::new(at, format!("undefined variable {name:?}"))),
                }
            }
            Term::Function(function) => self.function(dot, at, *function, &[], None),
            Term::Pipe(pipe) => self.deeper(at, |run| run.pipe(dot, pipe)),
            Term::Chain(inner, names) => {
                if matches!(inner.term, Term::Nil) {
                    return Err(Fault::new(at, "nil has no fields"));
                }
                let value = self.operand(dot, inner)?;
                fields(value, at, names)
            }
        }
    }

    fn function(
        &mut self,
        dot: &Value<'a>,
        at: usize,
        function: Function,
        operands: &'a [Operand],
        piped: Option<Value<'a>>,
    ) -> Evaluated<'a> {
        let count = operands.len() + usize::from(piped.is_some());
        let (least, most) = function.arity();
        if count < least || count > most {
            return Err(Fault::new(
                at,
                format!("wrong number of arguments: {count}"),
            ));
        }
        if matches!(function, Function::And | Function::Or) {
            return self.first_deciding(dot, operands, piped, function == Function::Or);
        }
        let mut arguments = Vec::with_capacity(count);
        for operand in operands {
            arguments.push(self.operand(dot, operand)?);
        }
        arguments.extend(piped);
        let touched = arguments.iter().map(Value::weight).sum();
        self.spend(at, touched)?;
        let value = function
            .call(&arguments)
            .map_err(|message| Fault::new(at, message))?;
        self.spend(at, value.weight())?;
        Ok(value)
    }

    /// `and` and `or`: the first operand whose truth is `decides`, or else the last; those after it are not evaluated.
    fn first_deciding(
        &mut self,
        dot: &Value<'a>,
        operands: &'a [Operand],
        piped: Option<Value<'a>>,
        decides: bool,
    ) -> Evaluated<'a> {
        let mut value = Value::Nil;
        for operand in operands {
            value = self.operand(dot, operand)?;
            if value.truth() == decides {
                return Ok(value);
            }
        }
        Ok(piped.unwrap_or(value))
    }
}

/// `value.a.b`: only properties have fields, and every field must be there.
fn fields<'a>(value: Value<'a>, at: usize, names: &[Box<str>]) -> Evaluated<'a> {
    let mut value = value;
    for name in names {
        value = match value {
            Value::Properties(properties) => match properties.get(&**name) {
                Some(text) => Value::Text(Text::Borrowed(text.as_bytes())),
                None => return Err(Fault::missing(at, name)),
            },
            Value::Nil => return Err(Fault::new(at, format!("nil has no field {name:?}"))),
            other => {
                return Err(Fault::new(
                    at,
                    format!(
                        "can't evaluate field {name:?} in type {}",
                        other.type_name()
                    ),
                ));
            }
        };
    }
    Ok(value)
}
