//! The whole of YAML: documents from parser events, with anchors, merges, tags, budgets and every error.
//!
//! Text of one or more documents → [`Document`]s. Never guesses: what go-yaml refuses is refused.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::error::{YamlError, YamlErrorKind};
use super::load::{Budget, Document, Duplicate, Duplicates, Limits};
use super::scalar::{self, Scalar};
use crate::model::base64;

const YAML_TAGS: &str = "tag:yaml.org,2002:";

/// Reads all documents of `text`, whose first line has the number `first_line`. Documents that hold nothing are
/// left out.
pub(super) fn documents(
    text: &str,
    first_line: u32,
    limits: &Limits,
    duplicates: Duplicates,
    budget: &mut Budget,
) -> Result<Vec<Document>, YamlError> {
    let mut loader = Loader {
        parser: parser(text, limits.depth),
        text,
        limits,
        duplicates,
        budget,
        anchors: HashMap::new(),
        found: Vec::new(),
    };
    let mut documents = Vec::new();
    let result = loader.stream(&mut documents);
    for document in &mut documents {
        document.line += first_line - 1;
        for duplicate in &mut document.duplicates {
            duplicate.first += first_line - 1;
            duplicate.second += first_line - 1;
        }
    }
    result
        .map(|()| documents)
        .map_err(|error| shifted(error.explained_by(text), first_line - 1))
}

/// Opens a parser that gives up a little beyond `depth`, so that our own message comes first.
pub(super) fn parser(text: &str, depth: usize) -> Parser<'_, StrInput<'_>> {
    let mut options = granit_parser::options! {
        flow_nesting_limit: depth.saturating_add(1),
        block_nesting_limit: depth.saturating_add(1),
    };
    options.set_emit_comments(false);
    Parser::new_from_str_with_options(text, options)
}

/// Line and column of a span's start, both from 1.
pub(super) fn place(span: &Span) -> (u32, u32) {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    (
        number(span.start.line()),
        number(span.start.col()).saturating_add(1),
    )
}

/// Whether a document's root says that the document holds nothing.
pub(super) fn is_nothing(event: &Event<'_>, span: &Span) -> bool {
    matches!(event, Event::Scalar(_, ScalarStyle::Plain, 0, None)) && span.is_empty()
}

/// Resolves a scalar event as go-yaml does; the error is what it refuses, without a place.
pub(super) fn resolve<'t>(
    text: &'t str,
    style: ScalarStyle,
    tag: Option<&Tag>,
) -> Result<Resolved<'t>, YamlErrorKind> {
    let Some(tag) = tag else {
        let plain = style == ScalarStyle::Plain;
        return Ok(Resolved::Scalar(if plain {
            scalar::resolve(text)
        } else {
            Scalar::String(text)
        }));
    };
    let Some(name) = tag.suffix_in_namespace(YAML_TAGS) else {
        return Ok(Resolved::Scalar(Scalar::String(text)));
    };
    let refused = || YamlErrorKind::BadTag {
        tag: format!("!!{name}"),
        text: text.to_owned(),
    };
    if name == "binary" {
        let digits: String = text.split(['\n', '\r']).collect();
        let bytes = base64::decode(&digits).ok_or_else(refused)?;
        return Ok(Resolved::Binary(
            String::from_utf8_lossy(&bytes).into_owned(),
        ));
    }
    scalar::resolve_tagged(&name, text)
        .map(Resolved::Scalar)
        .ok_or_else(refused)
}

/// A scalar event's value.
pub(super) enum Resolved<'t> {
    Scalar(Scalar<'t>),
    Binary(String),
}

impl<'t> Resolved<'t> {
    /// The string that stands for it as a map key, or what it is when it cannot be a key.
    pub(super) fn into_key(self) -> Result<Cow<'t, str>, &'static str> {
        match self {
            Self::Scalar(scalar) => scalar::into_key(scalar),
            Self::Binary(text) => Ok(Cow::Owned(text)),
        }
    }
}

/// Whether a key event is the merge key.
pub(super) fn is_merge(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, _, None) => text == "<<",
        Event::Scalar(text, _, _, Some(tag)) => {
            text == "<<"
                && tag
                    .suffix_in_namespace(YAML_TAGS)
                    .is_some_and(|name| name == "merge")
        }
        _ => false,
    }
}

struct Loader<'t, 'b> {
    parser: Parser<'t, StrInput<'t>>,
    text: &'t str,
    limits: &'b Limits,
    duplicates: Duplicates,
    budget: &'b mut Budget,
    anchors: HashMap<usize, Anchored>,
    found: Vec<Duplicate>,
}

/// What an alias stands for.
struct Anchored {
    value: Value,
    /// As a map key, or what it is when it cannot be one.
    key: Result<String, &'static str>,
    /// Nodes in the value, itself included.
    nodes: usize,
    /// Bytes of text in the value.
    bytes: usize,
}

type Spanned<'t> = (Event<'t>, Span);

impl<'t> Loader<'t, '_> {
    fn stream(&mut self, documents: &mut Vec<Document>) -> Result<(), YamlError> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(..), _) => {
                    self.anchors.clear();
                    let (event, span) = self.next()?;
                    let (line, _) = place(&span);
                    let nothing = is_nothing(&event, &span);
                    let value = self.node(event, span, 0)?;
                    let duplicates = std::mem::take(&mut self.found);
                    if !nothing {
                        documents.push(Document {
                            value,
                            line,
                            duplicates,
                        });
                    }
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<Spanned<'t>, YamlError> {
        match self.parser.next_event() {
            Some(Ok(spanned)) => Ok(spanned),
            Some(Err(error)) => Err(syntax(&error, self.limits.depth)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// Reads the node that `event` begins, `depth` levels below the root.
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Value, YamlError> {
        self.count(1, &span)?;
        let nodes_before = self.budget.nodes;
        match event {
            Event::Scalar(mut text, style, anchor, tag) => {
                self.drop_invented_break(&mut text, style, &span);
                let resolved =
                    resolve(&text, style, tag.as_deref()).map_err(|kind| at(kind, &span))?;
                if anchor != 0 {
                    let key =
                        resolve(&text, style, tag.as_deref()).map_err(|kind| at(kind, &span))?;
                    let key = key.into_key().map(Cow::into_owned);
                    let value = scalar_value(resolved, &text, &span)?;
                    let bytes = text.len();
                    self.anchors.insert(
                        anchor,
                        Anchored {
                            value: value.clone(),
                            key,
                            nodes: 1,
                            bytes,
                        },
                    );
                    return Ok(value);
                }
                match resolved {
                    // The parser's own string is taken over where it made one.
                    Resolved::Scalar(Scalar::String(same)) if same.len() == text.len() => {
                        Ok(Value::String(text.into_owned()))
                    }
                    other => scalar_value(other, &text, &span),
                }
            }
            Event::SequenceStart(_, anchor, _) => {
                self.check_depth(depth, &span)?;
                let value = self.sequence(depth)?;
                self.remember(anchor, &value, "a list", nodes_before);
                Ok(value)
            }
            Event::MappingStart(_, anchor, _) => {
                self.check_depth(depth, &span)?;
                let value = self.mapping(depth)?;
                self.remember(anchor, &value, "a map", nodes_before);
                Ok(value)
            }
            Event::Alias(anchor) => {
                self.spend_alias(anchor, &span)?;
                Ok(self
                    .anchors
                    .get(&anchor)
                    .map(|anchored| anchored.value.clone())
                    .unwrap_or_default())
            }
            _ => Err(at(
                YamlErrorKind::Syntax {
                    message: "expected a value".to_owned(),
                },
                &span,
            )),
        }
    }

    /// Takes back the line break that the parser adds to a block scalar when the text ends inside its last line.
    /// go-yaml adds none.
    fn drop_invented_break(&self, text: &mut Cow<'t, str>, style: ScalarStyle, span: &Span) {
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let mut lines = self.text.rsplit('\n');
        let source = lines.next().unwrap_or("");
        let blank_before = lines.next().is_some_and(|line| line.trim().is_empty());
        if !block || source.is_empty() || span.end.byte_offset() != Some(self.text.len()) {
            return;
        }
        let Some(value) = text.strip_suffix('\n') else {
            return;
        };
        let last = value.rsplit('\n').next().unwrap_or("");
        let content = source.trim_start_matches(' ');
        let invented = if content.is_empty() {
            value.is_empty() && !blank_before
                || !last.is_empty() && last.bytes().all(|byte| byte == b' ')
        } else {
            last.ends_with(content)
        };
        if invented {
            text.to_mut().pop();
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut map = Map::new();
        let mut lines = BTreeMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Object(map));
            }
            if is_merge(&event) {
                self.count(1, &span)?;
                self.merge(&mut map, depth)?;
                continue;
            }
            self.check_colon(&event, &span)?;
            let key = self.key(event, &span)?;
            self.check_duplicate(&key, &span, &mut lines)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            map.insert(key, value);
        }
    }

    /// Refuses `{a:}`, which is the key `a` to this parser and the key `a:` to go-yaml.
    fn check_colon(&self, key: &Event<'t>, span: &Span) -> Result<(), YamlError> {
        let plain = matches!(key, Event::Scalar(_, ScalarStyle::Plain, ..));
        let behind = span
            .end
            .byte_offset()
            .and_then(|end| self.text.get(end..))
            .unwrap_or("");
        match behind.as_bytes() {
            [b':', b',' | b'[' | b']' | b'{' | b'}', ..] if plain => {
                let message = "a space is missing behind `:`".to_owned();
                Err(at(YamlErrorKind::Syntax { message }, span))
            }
            _ => Ok(()),
        }
    }

    /// Reads a key as the string that Go makes of it.
    fn key(&mut self, event: Event<'t>, span: &Span) -> Result<String, YamlError> {
        let refused = |found| at(YamlErrorKind::UnsupportedKey { found }, span);
        self.count(1, span)?;
        match event {
            Event::Scalar(text, style, 0, None) if style != ScalarStyle::Plain => {
                Ok(text.into_owned())
            }
            Event::Scalar(ref text, style, anchor, ref tag) => {
                let resolve =
                    || resolve(text, style, tag.as_deref()).map_err(|kind| at(kind, span));
                let key = resolve()?.into_key().map(Cow::into_owned);
                if anchor != 0 {
                    let value = scalar_value(resolve()?, text, span)?;
                    let anchored = Anchored {
                        value,
                        key: key.clone(),
                        nodes: 1,
                        bytes: text.len(),
                    };
                    self.anchors.insert(anchor, anchored);
                }
                key.map_err(refused)
            }
            Event::Alias(anchor) => {
                self.spend_alias(anchor, span)?;
                match self.anchors.get(&anchor) {
                    Some(anchored) => anchored.key.clone().map_err(refused),
                    None => Err(at(YamlErrorKind::RecursiveAlias, span)),
                }
            }
            Event::SequenceStart(..) => Err(refused("a list")),
            _ => Err(refused("a map")),
        }
    }

    /// Reads the value of `<<` into `map`. As in go-yaml 2, what is merged replaces what stands before it; of a
    /// list, the first map wins.
    fn merge(&mut self, map: &mut Map<String, Value>, depth: usize) -> Result<(), YamlError> {
        let (event, span) = self.next()?;
        let inline_list = matches!(event, Event::SequenceStart(..));
        match self.node(event, span, depth + 1)? {
            Value::Object(source) => map.extend(source),
            Value::Array(sources) if inline_list => {
                for source in sources.into_iter().rev() {
                    let Value::Object(source) = source else {
                        return Err(at(YamlErrorKind::BadMerge, &span));
                    };
                    map.extend(source);
                }
            }
            _ => return Err(at(YamlErrorKind::BadMerge, &span)),
        }
        Ok(())
    }

    fn check_duplicate(
        &mut self,
        key: &str,
        span: &Span,
        lines: &mut BTreeMap<String, u32>,
    ) -> Result<(), YamlError> {
        let (second, _) = place(span);
        let Some(&first) = lines.get(key) else {
            lines.insert(key.to_owned(), second);
            return Ok(());
        };
        match self.duplicates {
            Duplicates::Refused => {
                let key = key.to_owned();
                Err(at(YamlErrorKind::DuplicateKey { key, first, second }, span))
            }
            Duplicates::LastWins => {
                self.found.push(Duplicate {
                    key: key.to_owned(),
                    first,
                    second,
                });
                Ok(())
            }
        }
    }

    fn check_depth(&self, depth: usize, span: &Span) -> Result<(), YamlError> {
        if depth < self.limits.depth {
            return Ok(());
        }
        Err(at(
            YamlErrorKind::TooDeep {
                limit: self.limits.depth,
            },
            span,
        ))
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), YamlError> {
        self.budget.nodes = self.budget.nodes.saturating_add(nodes);
        if self.budget.nodes <= self.limits.nodes {
            return Ok(());
        }
        Err(at(
            YamlErrorKind::TooManyNodes {
                limit: self.limits.nodes,
            },
            span,
        ))
    }

    /// Pays for an alias before anything is copied.
    fn spend_alias(&mut self, anchor: usize, span: &Span) -> Result<(), YamlError> {
        self.budget.aliases += 1;
        if self.budget.aliases > self.limits.aliases {
            return Err(at(
                YamlErrorKind::TooManyAliases {
                    limit: self.limits.aliases,
                },
                span,
            ));
        }
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(at(YamlErrorKind::RecursiveAlias, span));
        };
        let (nodes, bytes) = (anchored.nodes, anchored.bytes);
        self.budget.alias_bytes = self.budget.alias_bytes.saturating_add(bytes);
        if self.budget.alias_bytes > self.limits.bytes {
            return Err(at(
                YamlErrorKind::AliasesTooLarge {
                    limit: self.limits.bytes,
                },
                span,
            ));
        }
        self.count(nodes, span)
    }

    fn remember(&mut self, anchor: usize, value: &Value, name: &'static str, nodes_before: usize) {
        if anchor != 0 {
            let nodes = self.budget.nodes - nodes_before + 1;
            let (value, bytes) = (value.clone(), text_bytes(value));
            self.anchors.insert(
                anchor,
                Anchored {
                    value,
                    key: Err(name),
                    nodes,
                    bytes,
                },
            );
        }
    }
}

fn at(kind: YamlErrorKind, span: &Span) -> YamlError {
    let (line, column) = place(span);
    YamlError::new(kind, line, column)
}

fn scalar_value(resolved: Resolved<'_>, text: &str, span: &Span) -> Result<Value, YamlError> {
    match resolved {
        Resolved::Scalar(scalar) => scalar::into_value(scalar).ok_or_else(|| {
            at(
                YamlErrorKind::NotFinite {
                    text: text.to_owned(),
                },
                span,
            )
        }),
        Resolved::Binary(text) => Ok(Value::String(text)),
    }
}

/// Rewords the parser's error, whose columns begin at 0.
fn syntax(error: &granit_parser::ScanError, depth: usize) -> YamlError {
    let marker = error.marker();
    let kind = match error.kind() {
        ErrorKind::RecursionLimitExceeded => YamlErrorKind::TooDeep { limit: depth },
        ErrorKind::MappingValueNotAllowed => YamlErrorKind::Syntax {
            message: "a value that contains `: ` needs quotes, or the line is indented wrongly"
                .to_owned(),
        },
        ErrorKind::UnknownAnchor => YamlErrorKind::Syntax {
            message: "the alias names an anchor that is not defined".to_owned(),
        },
        other => {
            let message = other.to_string();
            YamlErrorKind::Syntax {
                message: message.trim_end_matches('.').to_owned(),
            }
        }
    };
    at(kind, &Span::empty(*marker))
}

fn shifted(mut error: YamlError, lines: u32) -> YamlError {
    error.line += lines;
    if let YamlErrorKind::DuplicateKey { first, second, .. } = &mut error.kind {
        *first += lines;
        *second += lines;
    }
    error
}

/// Bytes of text in a value, keys included.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| key.len() + text_bytes(value))
            .sum(),
        _ => 0,
    }
}
