//! What people see of a configuration when something in it is wrong: a text or an error → the same without secrets. Pure.
//!
//! Only the name of a secret belongs into a configuration; who writes the secret itself is told that it is wrong, and must not find it
//! in a log. Texts are masked by line, because one that is no YAML is shown, too: rather too much than too little.

use serde_json::Value;

use crate::model::PathPart;
use crate::model::api::ReadError;
use crate::model::names;

/// What stands in place of a secret in a sentence.
const MASK: &str = "***";

/// Keys that stay readable among secrets, and that end them where they are no deeper.
const FIELDS: [&str; 40] = [
    "apiVersion",
    "app",
    "appId",
    "basic",
    "bitbucket",
    "branch",
    "credentials",
    "env",
    "file",
    "folder",
    "git",
    "gitea",
    "github",
    "githubApp",
    "gitlab",
    "guard",
    "installationId",
    "interval",
    "inventory",
    "key",
    "kind",
    "knownHosts",
    "maxPerMinute",
    "metadata",
    "name",
    "outputs",
    "passphrase",
    "password",
    "paths",
    "privateKey",
    "push",
    "ref",
    "repository",
    "source",
    "spec",
    "ssh",
    "status",
    "token",
    "url",
    "username",
];

/// Gives the text of a configuration with every secret covered; each character stays in its line and column.
pub fn masked(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let mut shown = String::with_capacity(text.len());
    // The indentation of the line that holds the key of the secrets that this line may belong to.
    let mut within: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let content = line.trim();
        let deeper = within
            .is_some_and(|above| indent > above || (indent == above && content.starts_with("- ")));
        if !content.is_empty() && !deeper && ends(content) {
            within = None;
        }
        let from = if within.is_some() {
            Some(0)
        } else {
            secret_key(line)
        };
        if within.is_none() && from.is_some() {
            within = Some(indent);
        }
        let (plain, secret) = line.split_at(from.unwrap_or(line.len()));
        shown.push_str(&without_logins(plain));
        cover(secret, &mut shown);
    }
    shown.into_bytes()
}

/// Gives an error in which no secret of the document is quoted.
pub(super) fn discreet(mut error: ReadError, document: &Value) -> ReadError {
    let mut secrets = Vec::new();
    collect(document, false, &mut secrets);
    for secret in secrets {
        error.message = replaced(&error.message, &secret);
        error.help = error.help.map(|help| replaced(&help, &secret));
        for part in &mut error.path {
            if matches!(part, PathPart::Key(key) if *key == secret) {
                *part = PathPart::Key(MASK.to_owned());
            }
        }
    }
    error
}

/// Gives a sentence about a line of a text, counted from 1, in which nothing is quoted that is covered, there or elsewhere.
pub(super) fn discreet_about(sentence: &str, text: &[u8], line: u32) -> String {
    let (Some(from), Some(to)) = (sentence.find('`'), sentence.rfind('`')) else {
        return sentence.to_owned();
    };
    let quoted = sentence.get(from + 1..to).unwrap_or_default();
    if is_field(quoted) || !quoted.contains(char::is_alphanumeric) {
        return sentence.to_owned();
    }
    let (text, covered) = (String::from_utf8_lossy(text), masked(text));
    let covered = String::from_utf8_lossy(&covered);
    let number = usize::try_from(line).unwrap_or_default();
    let line = |text: &str| {
        text.lines()
            .nth(number.saturating_sub(1))
            .map(str::to_owned)
    };
    // What was quoted may stand in the text in other letters, by escapes: then its line tells.
    let times = |text: &str| text.matches(quoted).count();
    if line(&text) == line(&covered) && times(&text) == times(&covered) {
        return sentence.to_owned();
    }
    format!("{}{MASK}{}", &sentence[..=from], &sentence[to..])
}

/// Collects the scalars below keys of secrets, and keys that are none of ours.
fn collect(value: &Value, secret: bool, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if secret && !is_field(key) {
                    found.push(key.clone());
                }
                collect(value, secret || is_secret(key), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, secret, found)),
        Value::String(text) if secret && !text.is_empty() => found.push(text.clone()),
        Value::Number(number) if secret => found.push(number.to_string()),
        _ => {}
    }
}

/// Replaces a secret where it stands alone.
fn replaced(sentence: &str, secret: &str) -> String {
    let mut rest = sentence;
    let mut told = String::new();
    while let Some(at) = rest.find(secret) {
        let (before, behind) = (&rest[..at], &rest[at + secret.len()..]);
        let joined =
            before.ends_with(char::is_alphanumeric) || behind.starts_with(char::is_alphanumeric);
        told.push_str(before);
        told.push_str(if joined { secret } else { MASK });
        rest = behind;
    }
    told + rest
}

/// Whether what is below a key is secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace(['-', '_'], "");
    let parts = [
        "credential",
        "token",
        "password",
        "passphrase",
        "privatekey",
        "apikey",
    ];
    parts.iter().any(|part| key.contains(part)) || key.ends_with("secret") || key == "ssh"
}

/// Whether it is a key of ours, or nearly one.
fn is_field(key: &str) -> bool {
    FIELDS.contains(&key) || names::nearest(key, FIELDS.iter().copied()).is_some()
}

/// Whether a line, where it is no deeper than the secrets before it, is none of them.
fn ends(line: &str) -> bool {
    let line = line.strip_prefix("- ").unwrap_or(line);
    matches!(line, "---" | "...")
        || words(line)
            .next()
            .is_some_and(|word| word.at <= 1 && word.is_key && is_field(word.text))
}

/// Where what follows the first key of a secret in a line begins.
fn secret_key(line: &str) -> Option<usize> {
    let key = words(line).find(|word| word.is_key && is_secret(word.text))?;
    Some(key.at + key.text.len())
}

/// Writes a text with nothing but its structure and the keys that are ours.
fn cover(text: &str, shown: &mut String) {
    let kept: Vec<(usize, usize)> = words(text)
        .filter(|word| word.text == "-" || (word.is_key && is_field(word.text)))
        .map(|word| (word.at, word.at + word.text.len()))
        .collect();
    for (at, letter) in text.char_indices() {
        let is_kept = letter.is_whitespace()
            || "{}[],:\"'".contains(letter)
            || kept.iter().any(|&(from, to)| (from..to).contains(&at));
        shown.push(if is_kept { letter } else { '*' });
    }
}

/// Covers the name and password in an address.
fn without_logins(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find(|letter: char| letter.is_whitespace() || "/,}\"'".contains(letter));
    let (host, behind) = rest.split_at(end.unwrap_or(rest.len()));
    let host = match host.rsplit_once('@') {
        Some((login, host)) => format!("{}@{host}", "*".repeat(login.chars().count())),
        None => host.to_owned(),
    };
    format!("{scheme}://{host}{}", without_logins(behind))
}

/// A run of letters as keys have them.
struct Word<'a> {
    at: usize,
    text: &'a str,
    /// Whether a colon follows.
    is_key: bool,
}

fn words(line: &str) -> impl Iterator<Item = Word<'_>> {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
    let mut next = 0;
    std::iter::from_fn(move || {
        let at = next + line[next..].find(is_part)?;
        let length = line[at..].find(|letter| !is_part(letter));
        next = length.map_or(line.len(), |length| at + length);
        let behind = line[next..].trim_start_matches(['"', '\'']).trim_start();
        Some(Word {
            at,
            text: &line[at..next],
            is_key: behind.starts_with(':'),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let shown = masked(text.as_bytes());
        assert_eq!(shown.len(), text.len(), "columns stay");
        String::from_utf8(shown).expect("text")
    }

    #[test]
    fn a_secret_that_stands_where_its_name_should_is_covered() {
        let covered = [
            "  credentials: {token: SUPER123}",
            "  credentials: {token: {value: SUPER123}}",
            "  credentials: {SUPER123}",
            "  credentials: SUPER123",
            "  token: 'SUPER123' # SUPER123",
            "  \"token\": SUPER123",
            "  password : \"SUPER123/+==\"",
            "  git: {url: 'https://me:SUPER123@example.com/r', ref: main}",
            "  credentials:\n    token:\n      value: SUPER123\n",
            "  credentials:\n    - SUPER123\n",
            "  credentials:\n  - SUPER123\n",
            "  privateKey: -----BEGIN KEY-----\nSUPER123\n\nDEK-Info: SUPER123\n-----END KEY-----\n",
            "  privateKey: |\n    SUPER123\n  ssh: {key: SUPER123}",
            "  webhookSecret: SUPER123",
            "  api_key: SUPER123",
        ];
        for text in covered {
            assert!(!shown(text).contains("SUPER"), "{}", shown(text));
        }
        assert_eq!(
            shown("  credentials: {tokn: {env: SHOP}}"),
            "  credentials: {tokn: {env: ****}}"
        );
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        let text = "\
spec:
  source:
    git:
      url: https://example.com/acme/shop
      credentials: {token: {env: ****}}
      paths: [a, b]
  outputs:
    - branch:
        name: generated
        credentials:
          token:
            file: *****
    - folder: {path: out}
  guard: {secrets: refuse}
---
kind: Pipeline
";
        assert_eq!(
            shown(&text.replace("*****", "/etc/").replace("****", "NAME")),
            text
        );
    }

    #[test]
    fn no_sentence_about_a_line_quotes_what_is_covered_in_it() {
        let text = b"spec:\n  credentials:\n    SUPER123: 1\n  interval: 1s\n";
        let about = |quoted: &str, line| {
            discreet_about(&format!("key `{quoted}` is given twice"), text, line)
        };
        assert_eq!(about("SUPER123", 3), "key `***` is given twice");
        assert_eq!(about("SU`PER`123", 3), "key `***` is given twice");
        assert_eq!(about("token", 3), "key `token` is given twice");
        assert_eq!(about("<<", 3), "key `<<` is given twice");
        assert_eq!(about("every", 4), "key `every` is given twice");
        assert_eq!(about("SUPER123", 4), "key `***` is given twice");
        let plain = "an alias stands for a node that contains it";
        assert_eq!(discreet_about(plain, text, 3), plain);
    }

    #[test]
    fn no_error_quotes_a_secret() {
        let document =
            serde_json::json!({"spec": {"credentials": {"SUPER123": 4711}, "name": "x"}});
        let error = ReadError::new(
            "UnknownField",
            "unknown field `SUPER123`, not 4711 or 47110",
        )
        .under_key("SUPER123")
        .under_key("credentials");
        assert_eq!(
            discreet(error, &document).to_string(),
            "credentials.***: unknown field `***`, not *** or 47110"
        );
    }
}
