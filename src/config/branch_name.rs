//! The name of a branch → what git has against it. Pure.

/// Says what git has against the name of a branch.
pub fn branch_name_problem(name: &str) -> Option<&'static str> {
    let forbidden = |letter: char| {
        letter.is_control() || matches!(letter, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    if name.is_empty() {
        Some("it is empty")
    } else if matches!(name, "HEAD" | "@") {
        Some("git means something else by it")
    } else if name.contains(forbidden) || name.contains("..") || name.contains("@{") {
        Some("it has characters that git does not allow")
    } else if name.starts_with(['-', '/']) || name.ends_with(['/', '.']) || name.contains("//") {
        Some("it begins or ends with characters that git does not allow there")
    } else if name.split('/').any(|part| {
        part.starts_with('.')
            || std::path::Path::new(part)
                .extension()
                .is_some_and(|extension| extension == "lock")
    }) {
        Some("no part of it may begin with a dot or end in `.lock`")
    } else if name.starts_with("refs/") {
        Some("it is given without `refs/heads/`")
    } else {
        None
    }
}
