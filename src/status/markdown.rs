//! Text that anybody may have written → Markdown that shows it as it is. Pure.

/// Escapes what Markdown, HTML and tables give a meaning; control characters become spaces.
pub fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '#' | '@' | '|' | '~' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strangers_are_no_markup() {
        let hostile = "<img src=x> @all `x` | y\n";
        assert_eq!(plain(hostile), "&lt;img src=x&gt; \\@all \\`x\\` \\| y ");
    }
}
