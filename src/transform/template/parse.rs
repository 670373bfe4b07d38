//! Tokens → syntax tree, accepting and refusing what Go's text/template/parse accepts and refuses.
//!
//! Two deliberate differences: complex numbers (`1i`) are refused, and nesting is limited to [`NESTING`] levels
//! (Go: 10,000), because the evaluator recurses as deep as the text does.

use super::error::SyntaxFault;
use super::function::Function;
use super::literal;
use super::node::{Branch, Command, Node, Operand, Pipe, Program, Term};
use super::token::{Kind, Token, tokens};

/// The deepest nesting of control structures, `else if` chains and parentheses.
const NESTING: usize = 64;

type Parsed<T> = Result<T, SyntaxFault>;

/// Parses a whole template text.
pub(super) fn parse(text: &str) -> Parsed<Program> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        program: Program::default(),
        scope: Scope::default(),
        depth: 0,
    };
    parser.program.main = parser.top_level()?;
    Ok(parser.program)
}

struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    next: usize,
    program: Program,
    scope: Scope<'t>,
    depth: usize,
}

/// What the innermost `define`, `block` or the main text sees.
struct Scope<'t> {
    variables: Vec<&'t str>,
    ranges: usize,
}

impl Default for Scope<'_> {
    fn default() -> Self {
        Self {
            variables: vec!["$"],
            ranges: 0,
        }
    }
}

/// How a body ended.
enum Ending<'t> {
    End,
    /// `{{else}}`, or `{{else if` and `{{else with` up to their keyword, which is given.
    Else(Option<Token<'t>>),
}

/// A node, or what ends the body it would stand in.
enum Item<'t> {
    Node(Option<Node>),
    Ending(Token<'t>, Ending<'t>),
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Token<'t> {
        // The last token is `End`, and is never consumed.
        self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn advance(&mut self) -> Token<'t> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn peek_solid(&mut self) -> Token<'t> {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
        self.peek()
    }

    fn advance_solid(&mut self) -> Token<'t> {
        self.peek_solid();
        self.advance()
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token<'t>> {
        let token = self.advance_solid();
        if token.kind == kind {
            Ok(token)
        } else {
            Err(unexpected(token, context))
        }
    }

    fn nested<T>(&mut self, at: usize, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == NESTING {
            return Err(SyntaxFault::new(
                at,
                format!("nested deeper than {NESTING} levels"),
            ));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// The main text, the only place where `define` may stand.
    fn top_level(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::End {
            let start = self.next;
            if self.advance().kind == Kind::Open {
                let word = self.advance_solid();
                if word.kind == Kind::Keyword && word.text == "define" {
                    self.definition()?;
                    continue;
                }
            }
            self.next = start;
            match self.item()? {
                Item::Node(node) => nodes.extend(node),
                Item::Ending(token, _) => return Err(unexpected(token, "template")),
            }
        }
        Ok(nodes)
    }

    fn definition(&mut self) -> Parsed<()> {
        let token = self.advance_solid();
        let name = template_name(token)?;
        self.expect(Kind::Close, "define clause")?;
        self.define(token, name)
    }

    /// The body of a `define` or `block`, up to its `end`, in a scope of its own.
    fn define(&mut self, named: Token<'t>, name: Vec<u8>) -> Parsed<()> {
        let outer = std::mem::take(&mut self.scope);
        let (body, ending) = self.nested(named.at, Self::body)?;
        self.scope = outer;
        if let Ending::Else(_) = ending {
            return Err(SyntaxFault::new(
                named.at,
                format!("unexpected else in template {}", named.text),
            ));
        }
        match self.program.defined.get_mut(&name) {
            Some(known) if !is_blank(known) && !is_blank(&body) => Err(SyntaxFault::new(
                named.at,
                format!("template {} is defined twice", named.text),
            )),
            Some(known) if is_blank(known) => {
                *known = body;
                Ok(())
            }
            Some(_) => Ok(()),
            None => {
                self.program.defined.insert(name, body);
                Ok(())
            }
        }
    }

    fn body(&mut self) -> Parsed<(Vec<Node>, Ending<'t>)> {
        let mut nodes = Vec::new();
        while self.peek_solid().kind != Kind::End {
            match self.item()? {
                Item::Node(node) => nodes.extend(node),
                Item::Ending(_, ending) => return Ok((nodes, ending)),
            }
        }
        Err(SyntaxFault::new(self.peek().at, "{{end}} is missing"))
    }

    fn item(&mut self) -> Parsed<Item<'t>> {
        let token = self.advance_solid();
        match token.kind {
            Kind::Text => Ok(Item::Node(Some(Node::Text(token.text.into())))),
            Kind::Open => self.action(),
            _ => Err(unexpected(token, "input")),
        }
    }

    fn action(&mut self) -> Parsed<Item<'t>> {
        let start = self.next;
        let token = self.advance_solid();
        if token.kind != Kind::Keyword {
            self.next = start;
            let at = self.peek_solid().at;
            return Ok(Item::Node(Some(Node::Action(self.pipe(
                at,
                "command",
                Kind::Close,
            )?))));
        }
        let node = match token.text {
            "if" => Node::If(self.branch(token)?),
            "with" => Node::With(self.branch(token)?),
            "range" => Node::Range(self.branch(token)?),
            "template" => self.call(token)?,
            "block" => self.block(token)?,
            "break" | "continue" => self.jump(token)?,
            "end" => {
                self.expect(Kind::Close, "end")?;
                return Ok(Item::Ending(token, Ending::End));
            }
            "else" => {
                let next = self.peek_solid();
                if next.kind == Kind::Keyword && matches!(next.text, "if" | "with") {
                    return Ok(Item::Ending(token, Ending::Else(Some(next))));
                }
                self.expect(Kind::Close, "else")?;
                return Ok(Item::Ending(token, Ending::Else(None)));
            }
            _ => return Err(unexpected(token, "command")),
        };
        Ok(Item::Node(Some(node)))
    }

    fn jump(&mut self, token: Token<'t>) -> Parsed<Node> {
        self.expect(Kind::Close, token.text)?;
        if self.scope.ranges == 0 {
            return Err(SyntaxFault::new(
                token.at,
                format!("{{{{{}}}}} outside {{{{range}}}}", token.text),
            ));
        }
        Ok(if token.text == "break" {
            Node::Break
        } else {
            Node::Continue
        })
    }

    /// `if`, `with` or `range` up to and with its `end`.
    fn branch(&mut self, keyword: Token<'t>) -> Parsed<Branch> {
        self.nested(keyword.at, |parser| {
            let visible = parser.scope.variables.len();
            let branch = parser.branch_in_scope(keyword)?;
            parser.scope.variables.truncate(visible);
            Ok(branch)
        })
    }

    fn branch_in_scope(&mut self, keyword: Token<'t>) -> Parsed<Branch> {
        let pipe = self.pipe(keyword.at, keyword.text, Kind::Close)?;
        let inside_range = usize::from(keyword.text == "range");
        self.scope.ranges += inside_range;
        let (body, ending) = self.body()?;
        self.scope.ranges -= inside_range;
        let otherwise = match ending {
            Ending::End => Vec::new(),
            Ending::Else(None) => match self.body()? {
                (otherwise, Ending::End) => otherwise,
                _ => {
                    return Err(SyntaxFault::new(
                        keyword.at,
                        format!("{} has a second else", keyword.text),
                    ));
                }
            },
            // Only like follows like: `if … else if`, `with … else with`.
            Ending::Else(Some(next)) if next.text == keyword.text => {
                self.next += 1;
                let branch = self.branch(next)?;
                vec![if next.text == "if" {
                    Node::If(branch)
                } else {
                    Node::With(branch)
                }]
            }
            Ending::Else(Some(next)) => return Err(unexpected(next, "else")),
        };
        Ok(Branch {
            pipe,
            body,
            otherwise,
        })
    }

    fn call(&mut self, keyword: Token<'t>) -> Parsed<Node> {
        let name = template_name(self.advance_solid())?;
        let argument = self.call_argument(keyword)?;
        Ok(Node::Call {
            at: keyword.at,
            name,
            argument,
        })
    }

    fn call_argument(&mut self, keyword: Token<'t>) -> Parsed<Option<Pipe>> {
        if self.peek_solid().kind == Kind::Close {
            self.next += 1;
            return Ok(None);
        }
        self.pipe(keyword.at, "template clause", Kind::Close)
            .map(Some)
    }

    /// `{{block "name" pipe}}…{{end}}` is a `define` and a `template` in one.
    fn block(&mut self, keyword: Token<'t>) -> Parsed<Node> {
        let token = self.advance_solid();
        let name = template_name(token)?;
        let argument = self.pipe(keyword.at, "block clause", Kind::Close)?;
        self.define(token, name.clone())?;
        Ok(Node::Call {
            at: keyword.at,
            name,
            argument: Some(argument),
        })
    }

    fn pipe(&mut self, at: usize, context: &str, end: Kind) -> Parsed<Pipe> {
        let mut pipe = Pipe {
            at,
            variables: Vec::new(),
            assigns: false,
            commands: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.peek_solid();
            match token.kind {
                kind if kind == end => {
                    self.next += 1;
                    break;
                }
                Kind::Bool
                | Kind::Char
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::Raw
                | Kind::Quoted
                | Kind::Variable
                | Kind::LeftParen => pipe.commands.push(self.command()?),
                _ => return Err(unexpected(token, context)),
            }
        }
        if pipe.commands.is_empty() {
            return Err(SyntaxFault::new(at, format!("missing value for {context}")));
        }
        for command in &pipe.commands[1..] {
            let first = &command.operands[0];
            if first.term.is_plain_value() {
                return Err(SyntaxFault::new(
                    first.at,
                    "a value cannot take what is piped into it",
                ));
            }
        }
        Ok(pipe)
    }

    /// `$x :=`, `$x =` or, in `range`, `$i, $x :=` at the start of a pipeline.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<()> {
        loop {
            let variable = self.peek_solid();
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            let start = self.next;
            self.next += 1;
            let after = self.peek_solid();
            match after.kind {
                Kind::Assign | Kind::Declare => {
                    self.next += 1;
                    pipe.assigns = after.kind == Kind::Assign;
                    pipe.variables.push(variable.text.into());
                    self.scope.variables.push(variable.text);
                    return Ok(());
                }
                Kind::Comma => {
                    self.next += 1;
                    pipe.variables.push(variable.text.into());
                    self.scope.variables.push(variable.text);
                    if context != "range" || pipe.variables.len() >= 2 {
                        return Err(SyntaxFault::new(
                            after.at,
                            format!("too many declarations in {context}"),
                        ));
                    }
                    let second = self.peek_solid();
                    if !matches!(second.kind, Kind::Variable | Kind::Close | Kind::RightParen) {
                        return Err(SyntaxFault::new(
                            second.at,
                            "range can only initialize variables",
                        ));
                    }
                }
                _ => {
                    self.next = start;
                    return Ok(());
                }
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut operands = Vec::new();
        let at = self.peek_solid().at;
        loop {
            self.peek_solid();
            operands.extend(self.operand()?);
            let token = self.peek();
            match token.kind {
                Kind::Space => self.next += 1,
                Kind::Close | Kind::RightParen => break,
                Kind::Pipe => {
                    self.next += 1;
                    break;
                }
                _ => return Err(unexpected(token, "operand")),
            }
        }
        if operands.is_empty() {
            return Err(SyntaxFault::new(at, "empty command"));
        }
        Ok(Command { operands })
    }

    /// A term with the `.fields` that touch it.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(mut operand) = self.term()? else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(Box::from(&self.advance().text[1..]));
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        operand.term = match operand.term {
            Term::Field(mut names) => {
                names.extend(fields);
                Term::Field(names)
            }
            Term::Variable(name, _) => Term::Variable(name, fields),
            term if term.is_plain_value() => {
                return Err(SyntaxFault::new(operand.at, "unexpected . after a value"));
            }
            term => Term::Chain(
                Box::new(Operand {
                    at: operand.at,
                    term,
                }),
                fields,
            ),
        };
        Ok(Some(operand))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.peek_solid();
        let at = token.at;
        let malformed =
            |what: &str| SyntaxFault::new(at, format!("malformed {what} {}", token.text));
        self.next += 1;
        let term = match token.kind {
            Kind::Identifier => Term::Function(Function::named(token.text).ok_or_else(|| {
                SyntaxFault::new(at, format!("function {:?} not defined", token.text))
            })?),
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::Field => Term::Field(vec![Box::from(&token.text[1..])]),
            Kind::Variable => self.known_variable(token)?,
            Kind::Char => Term::Int(
                literal::character(token.text).ok_or_else(|| malformed("character constant"))?,
            ),
            Kind::Number => literal::number(token.text).ok_or_else(|| malformed("number"))?,
            Kind::Quoted | Kind::Raw => {
                Term::Text(literal::unquote(token.text).ok_or_else(|| malformed("string"))?)
            }
            Kind::LeftParen => Term::Pipe(self.nested(at, |parser| {
                parser.pipe(at, "parenthesized pipeline", Kind::RightParen)
            })?),
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Operand { at, term }))
    }

    fn known_variable(&self, token: Token<'t>) -> Parsed<Term> {
        if self.scope.variables.contains(&token.text) {
            Ok(Term::Variable(token.text.into(), Vec::new()))
        } else {
            Err(SyntaxFault::new(
                token.at,
                format!("undefined variable {:?}", token.text),
            ))
        }
    }
}

impl Term {
    /// A value by itself, which can be neither called nor asked for a field.
    fn is_plain_value(&self) -> bool {
        matches!(
            self,
            Self::Bool(_)
                | Self::Dot
                | Self::Nil
                | Self::Int(_)
                | Self::HugeInt
                | Self::Float(_)
                | Self::Text(_)
        )
    }
}

fn template_name(token: Token<'_>) -> Parsed<Vec<u8>> {
    match token.kind {
        Kind::Quoted | Kind::Raw => literal::unquote(token.text)
            .map(Vec::from)
            .ok_or_else(|| SyntaxFault::new(token.at, format!("malformed string {}", token.text))),
        _ => Err(unexpected(token, "template name")),
    }
}

/// Whether a body is nothing but white space: such a definition gives way to another one.
fn is_blank(body: &[Node]) -> bool {
    body.iter()
        .all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}

fn unexpected(token: Token<'_>, context: &str) -> SyntaxFault {
    let what = match token.kind {
        Kind::End => "end of the text".to_owned(),
        Kind::Keyword => format!("{{{{{}}}}}", token.text),
        _ => format!("{:?}", token.text),
    };
    SyntaxFault::new(token.at, format!("unexpected {what} in {context}"))
}
