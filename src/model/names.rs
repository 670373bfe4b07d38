//! What names may look like: objects, namespaces, labels, template properties; and what a misspelt word was meant to be.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/util/validation` and of each kind's strategy in the API server, so
//! that a name which every WEC would refuse is found before anything is delivered. No rule here lets a `/`, a `..`
//! or an empty name pass: names become file names.

use std::fmt;

/// The longest DNS-1123 subdomain, and with it the longest name of most objects.
const LONGEST_SUBDOMAIN: usize = 253;

/// The longest DNS label, label value, and name part of a label key.
const LONGEST_LABEL: usize = 63;

/// The longest name of a CronJob: its Jobs are called like it, with eleven characters more.
const LONGEST_CRON_JOB: usize = 52;

/// Which rule the names of a kind follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameRule {
    /// DNS-1123 subdomain, at most 253 characters: most kinds, and every custom resource.
    Subdomain,
    /// DNS-1123 subdomain of at most 52 characters: CronJob.
    ShortSubdomain,
    /// DNS-1123 label, at most 63 characters: Namespace, and WECs, which are namespaces on the hub.
    Label,
    /// DNS-1035 label, which starts with a letter: Service.
    LabelFromLetter,
    /// Anything that is one step of a URL path: the RBAC kinds, and kinds named after other things.
    PathSegment,
}

/// Why a name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no valid {what}: {why}")]
pub struct InvalidName {
    /// The name.
    pub name: String,
    /// What it should have been: `name`, `namespace`, `label key` …
    pub what: &'static str,
    /// The rule that it breaks.
    pub why: Why,
}

/// The rule that a name breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing is written.
    Empty,
    /// More characters than this.
    LongerThan(usize),
    /// Characters, or their order, as this text wants them.
    Spelling(&'static str),
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("it is empty"),
            Self::LongerThan(most) => write!(formatter, "it is longer than {most} characters"),
            Self::Spelling(rule) => formatter.write_str(rule),
        }
    }
}

/// Judges the name of an object by the rule of its kind.
pub fn validate_name(rule: NameRule, name: &str) -> Result<(), InvalidName> {
    let judged = match rule {
        NameRule::Subdomain => subdomain(name, LONGEST_SUBDOMAIN),
        NameRule::ShortSubdomain => subdomain(name, LONGEST_CRON_JOB),
        NameRule::Label => label(name),
        NameRule::LabelFromLetter => label_from_letter(name),
        NameRule::PathSegment => path_segment(name),
    };
    judged.map_err(|why| invalid(name, "name", why))
}

/// Judges the name of a namespace, wherever it is written.
pub fn validate_namespace(name: &str) -> Result<(), InvalidName> {
    label(name).map_err(|why| invalid(name, "namespace", why))
}

/// Judges a label key: a name of at most 63 characters, after an optional DNS prefix and `/`.
pub fn validate_label_key(key: &str) -> Result<(), InvalidName> {
    qualified_name(key).map_err(|why| invalid(key, "label key", why))
}

/// Judges a label value: at most 63 characters; the empty one is valid.
pub fn validate_label_value(value: &str) -> Result<(), InvalidName> {
    if value.is_empty() {
        return Ok(());
    }
    word(value).map_err(|why| invalid(value, "label value", why))
}

/// Tells whether templates can name a property: a Go identifier that is no Go keyword, as KubeStellar has it.
///
/// Labels, annotations and ConfigMaps have ASCII keys only, so that Go's other letters do not arise.
pub fn usable_property(name: &str) -> bool {
    const KEYWORDS: [&str; 25] = [
        "break",
        "case",
        "chan",
        "const",
        "continue",
        "default",
        "defer",
        "else",
        "fallthrough",
        "for",
        "func",
        "go",
        "goto",
        "if",
        "import",
        "interface",
        "map",
        "package",
        "range",
        "return",
        "select",
        "struct",
        "switch",
        "type",
        "var",
    ];
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && KEYWORDS.binary_search(&name).is_err()
}

/// Finds what a misspelt word was meant to be: the candidate with the fewest slips, when those are few for its length.
///
/// Upper and lower case are equal; an omitted, added, wrong or swapped letter is one slip. Of equally near
/// candidates the first one wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter_map(|candidate| slips(word, candidate).map(|slips| (slips, candidate)))
        .min_by_key(|&(slips, _)| slips)
        .map(|(_, candidate)| candidate)
}

/// Counts the slips between two words; none when there are too many for one to be meant as the other.
pub(crate) fn slips(word: &str, other: &str) -> Option<usize> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let allowed = word.len().max(other.len()) / 3;
    if word.len().abs_diff(other.len()) > allowed || other.len() > 256 {
        return None;
    }
    let slips = distance(&word, &other);
    (slips <= allowed).then_some(slips)
}

/// Optimal string alignment: insertions, deletions, substitutions, and swaps of neighbours.
fn distance(word: &[char], other: &[char]) -> usize {
    let mut before = vec![0; other.len() + 1];
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, &mine) in word.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &theirs) in other.iter().enumerate() {
            let mut least = (above[column] + usize::from(mine != theirs))
                .min(above[column + 1] + 1)
                .min(current[column] + 1);
            let swapped =
                row > 0 && column > 0 && mine == other[column - 1] && word[row - 1] == theirs;
            if swapped {
                least = least.min(before[column - 1] + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[other.len()]
}

fn invalid(name: &str, what: &'static str, why: Why) -> InvalidName {
    InvalidName {
        name: name.to_owned(),
        what,
        why,
    }
}

fn sized(name: &str, most: usize) -> Result<(), Why> {
    match name.len() {
        0 => Err(Why::Empty),
        length if length > most => Err(Why::LongerThan(most)),
        _ => Ok(()),
    }
}

fn lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Whether this is one part of a DNS name, of any length.
fn dns_part(part: &str) -> bool {
    let bytes = part.as_bytes();
    bytes.first().is_some_and(|&byte| lower_alphanumeric(byte))
        && bytes.last().is_some_and(|&byte| lower_alphanumeric(byte))
        && bytes
            .iter()
            .all(|&byte| lower_alphanumeric(byte) || byte == b'-')
}

fn subdomain(name: &str, most: usize) -> Result<(), Why> {
    sized(name, most)?;
    if name.split('.').all(dns_part) {
        return Ok(());
    }
    Err(Why::Spelling(
        "lower-case letters, digits, `-` and `.` only, and each part between dots starts and ends with a letter or digit",
    ))
}

fn label(name: &str) -> Result<(), Why> {
    sized(name, LONGEST_LABEL)?;
    if dns_part(name) {
        return Ok(());
    }
    Err(Why::Spelling(
        "lower-case letters, digits and `-` only, starting and ending with a letter or digit",
    ))
}

fn label_from_letter(name: &str) -> Result<(), Why> {
    label(name)?;
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Ok(());
    }
    Err(Why::Spelling("it must start with a lower-case letter"))
}

fn path_segment(name: &str) -> Result<(), Why> {
    match name {
        "" => Err(Why::Empty),
        "." | ".." => Err(Why::Spelling("`.` and `..` mean folders")),
        name if name.contains(['/', '%']) => Err(Why::Spelling("it may not contain `/` or `%`")),
        _ => Ok(()),
    }
}

/// A label value, or the name part of a label key.
fn word(text: &str) -> Result<(), Why> {
    sized(text, LONGEST_LABEL)?;
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inside = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(inside) {
        return Ok(());
    }
    Err(Why::Spelling(
        "letters, digits, `-`, `_` and `.` only, starting and ending with a letter or digit",
    ))
}

fn qualified_name(key: &str) -> Result<(), Why> {
    match key.split_once('/') {
        None => word(key),
        Some((_, name)) if name.contains('/') => Err(Why::Spelling(
            "there may be one `/`, between a DNS prefix and the name",
        )),
        Some((prefix, name)) => {
            subdomain(prefix, LONGEST_SUBDOMAIN).map_err(|_| {
                Why::Spelling("what stands before `/` must be a DNS name in lower case")
            })?;
            word(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: [NameRule; 5] = [
        NameRule::Subdomain,
        NameRule::ShortSubdomain,
        NameRule::Label,
        NameRule::LabelFromLetter,
        NameRule::PathSegment,
    ];

    #[test]
    fn names_are_judged_as_the_api_server_judges_them() {
        let long = "a".repeat(64);
        for (rule, name, valid) in [
            (NameRule::Subdomain, "web.shop-1", true),
            (NameRule::Subdomain, "web..shop", false),
            (NameRule::Subdomain, "Web", false),
            (NameRule::Subdomain, "web.-shop", false),
            (NameRule::Subdomain, long.as_str(), true),
            (NameRule::ShortSubdomain, "night.sync", true),
            (NameRule::ShortSubdomain, long.as_str(), false),
            (NameRule::Label, "9-to-5", true),
            (NameRule::Label, "a.b", false),
            (NameRule::Label, long.as_str(), false),
            (NameRule::LabelFromLetter, "web", true),
            (NameRule::LabelFromLetter, "9-to-5", false),
            (NameRule::PathSegment, "system:Controller/x", false),
            (NameRule::PathSegment, "system:Controller", true),
            (NameRule::PathSegment, "50%", false),
        ] {
            assert_eq!(validate_name(rule, name).is_ok(), valid, "{rule:?} {name}");
        }
    }

    #[test]
    fn a_refusal_says_the_name_and_the_rule() {
        let refused = validate_name(NameRule::LabelFromLetter, "9lives").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`9lives` is no valid name: it must start with a lower-case letter"
        );
        assert_eq!(
            validate_namespace("").unwrap_err().to_string(),
            "`` is no valid namespace: it is empty"
        );
    }

    #[test]
    fn label_keys_have_at_most_one_dns_prefix() {
        for key in ["env", "app.kubernetes.io/name", "a/B_c.d-9"] {
            assert_eq!(validate_label_key(key), Ok(()), "{key}");
        }
        for key in ["", "/", "a/", "/a", "a/b/c", "-a", "A.io/b", "a b"] {
            assert!(validate_label_key(key).is_err(), "{key}");
        }
    }

    #[test]
    fn label_values_may_be_empty_but_not_hold_spaces() {
        assert_eq!(validate_label_value(""), Ok(()));
        assert_eq!(validate_label_value("eu-central_1.a"), Ok(()));
        assert!(validate_label_value("two words").is_err());
        assert!(validate_label_value("ends-").is_err());
        assert!(validate_label_value(&"v".repeat(64)).is_err());
    }

    #[test]
    fn templates_can_use_go_identifiers_only() {
        for name in ["currency", "_x", "tills2", "True", "clusterName"] {
            assert!(usable_property(name), "{name}");
        }
        for name in [
            "", "2tills", "loc-name", "a.b", "type", "range", "go", "var",
        ] {
            assert!(!usable_property(name), "{name}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_understood_and_another_word_is_not() {
        let words = ["resources", "namespaces", "namespaceSelectors"];
        assert_eq!(nearest("resource", words), Some("resources"));
        assert_eq!(nearest("namepsaces", words), Some("namespaces"));
        assert_eq!(
            nearest("namespaceselector", words),
            Some("namespaceSelectors")
        );
        assert_eq!(nearest("replicas", words), None);
    }

    proptest! {
        #[test]
        fn no_rule_lets_a_name_leave_its_folder(name in "[a-z./%:\\-]{0,6}") {
            for rule in RULES {
                if validate_name(rule, &name).is_ok() {
                    prop_assert!(!name.contains('/') && name != "." && name != ".." && !name.is_empty());
                }
            }
        }

        #[test]
        fn every_label_is_a_subdomain_and_every_subdomain_a_path_segment(name in "[a-zA-Z0-9.\\-]{0,70}") {
            if validate_name(NameRule::Label, &name).is_ok() {
                prop_assert!(validate_name(NameRule::Subdomain, &name).is_ok());
            }
            if validate_name(NameRule::Subdomain, &name).is_ok() {
                prop_assert!(validate_name(NameRule::PathSegment, &name).is_ok());
            }
        }
    }
}
