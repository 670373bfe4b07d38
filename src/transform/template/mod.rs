//! Go `text/template` over one WEC's properties: template text + properties → text.
//!
//! What KubeStellar expands with `text/template`, option `missingkey=error`, data a map of strings, this module
//! expands to the same bytes. A template is parsed once; [`Template::properties`] says which properties it can read, so
//! that WECs which agree on those share one rendering. Plain text with `{{.name}}` in it, which is nearly all there
//! is, is rendered without the evaluator.
//!
//! The evaluator is our own because its world is small (strings, numbers, booleans, one map) and it must be bounded:
//! steps, recursion and size have limits, and a template that exceeds them fails within milliseconds. It never reads
//! anything but the two inputs, and never panics.
//!
//! Deliberately otherwise than Go: complex numbers, `%p` of the map and `%b`, `%x` of floats are errors; nesting is
//! limited to 64 levels and recursion to 160; bytes that are no UTF-8 become U+FFFD in the result, as they do when Go
//! writes JSON.

use std::collections::BTreeSet;

mod error;
mod execute;
mod format;
mod function;
mod literal;
mod node;
mod parse;
mod quote;
mod reads;
#[cfg(test)]
mod tests;
mod token;
mod value;

pub use error::{Position, TemplateError};

use error::Fault;
use node::{Node, Program, Term};

/// A WEC's properties by name. Only names that [`usable_property`](crate::model::names::usable_property) accepts can be read by `{{.name}}`.
pub type Properties = crate::inventory::Properties;

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    /// Kept to turn offsets into lines and columns when something fails.
    source: Box<str>,
    form: Form,
    reads: Reads,
}

/// Which properties a template can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// These at most. Properties that agree on them, absence included, give the same result.
    Named(BTreeSet<String>),
    /// Any: the template looks at the map as a whole.
    All,
}

/// How a template is rendered.
#[derive(Debug)]
enum Form {
    /// Text, then property, …, and the text after the last property.
    Plain { holes: Vec<Hole>, tail: Box<str> },
    /// Everything else.
    General(Program),
}

/// Text and the property that follows it.
#[derive(Debug)]
struct Hole {
    text: Box<str>,
    property: Box<str>,
    at: usize,
}

impl Template {
    /// Parses `text`. Every error is a [`TemplateError::Parse`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let program = parse::parse(text).map_err(|fault| fault.located(text))?;
        let reads = reads::reads(&program);
        let form = plain(&program).unwrap_or(Form::General(program));
        Ok(Self {
            source: text.into(),
            form,
            reads,
        })
    }

    /// The properties that a rendering can depend on.
    pub fn properties(&self) -> &Reads {
        &self.reads
    }

    /// The text for one WEC: at most 1 MiB, or an error that is no [`TemplateError::Parse`].
    pub fn render(&self, properties: &Properties) -> Result<String, TemplateError> {
        match &self.form {
            Form::Plain { holes, tail } => fill(holes, tail, properties),
            Form::General(program) => execute::render(program, properties).map(into_text),
        }
        .map_err(|fault| fault.located(&self.source))
    }
}

/// The plain form of a program that is nothing but text and `.name` or `$.name`.
fn plain(program: &Program) -> Option<Form> {
    let mut holes = Vec::new();
    let mut text = String::new();
    for node in &program.main {
        match node {
            Node::Text(piece) => text.push_str(piece),
            Node::Action(pipe) => {
                let [command] = pipe.commands.as_slice() else {
                    return None;
                };
                let [operand] = command.operands.as_slice() else {
                    return None;
                };
                let name = match &operand.term {
                    Term::Field(names) => names,
                    Term::Variable(variable, names) if &**variable == "$" => names,
                    _ => return None,
                };
                let ([name], []) = (name.as_slice(), pipe.variables.as_slice()) else {
                    return None;
                };
                holes.push(Hole {
                    text: std::mem::take(&mut text).into(),
                    property: name.clone(),
                    at: operand.at,
                });
            }
            _ => return None,
        }
    }
    Some(Form::Plain {
        holes,
        tail: text.into(),
    })
}

fn fill(holes: &[Hole], tail: &str, properties: &Properties) -> Result<String, Fault> {
    let known: usize = holes.iter().map(|hole| hole.text.len() + 16).sum();
    let mut out = String::with_capacity(known + tail.len());
    for hole in holes {
        out.push_str(&hole.text);
        let value = properties
            .get(&*hole.property)
            .ok_or_else(|| Fault::missing(hole.at, &hole.property))?;
        out.push_str(value);
        if out.len() > format::MAX_TEXT {
            return Err(Fault::new(
                hole.at,
                format!("the result exceeds {} bytes", format::MAX_TEXT),
            ));
        }
    }
    out.push_str(tail);
    Ok(out)
}

/// Each byte that is no UTF-8 becomes one U+FFFD.
fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let mut text = String::with_capacity(error.as_bytes().len());
        for chunk in error.as_bytes().utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        }
        text
    })
}
