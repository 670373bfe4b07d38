//! Tables for people: columns padded with spaces, no lines, no width of their own. Pure.

use super::terminal::Styles;

/// A table: a head and rows of as many cells.
#[derive(Default)]
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// Columns of numbers, which stand right.
    numbers: Vec<usize>,
}

impl Table {
    /// Starts a table with these column names.
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.to_vec(),
            ..Self::default()
        }
    }

    /// Says which columns hold numbers.
    pub(super) fn numbers(mut self, columns: &[usize]) -> Self {
        self.numbers = columns.to_vec();
        self
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes the table; each line ends without spaces.
    pub(super) fn text(&self, styles: &Styles) -> String {
        let head: Vec<String> = self.head.iter().map(|&name| name.to_owned()).collect();
        let width = |column: usize| {
            let rows = std::iter::once(&head).chain(&self.rows);
            rows.filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let faint = styles.faint;
        let mut text = format!("{faint}{}{faint:#}\n", self.line(&head, &widths));
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
            text.push('\n');
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            if self.numbers.contains(&column) {
                put!(line, "{cell:>width$}");
            } else {
                put!(line, "{cell:<width$}");
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Writes a number with its noun: `1 object`, `12 objects`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = match (number, noun) {
        (1, _) => noun.to_owned(),
        (_, noun) => noun
            .strip_suffix('y')
            .map_or_else(|| format!("{noun}s"), |stem| format!("{stem}ies")),
    };
    format!("{} {plural}", grouped(number))
}

/// Writes a number with commas between thousands.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes how long something took, as precisely as anybody wants to know.
pub(super) fn duration(time: std::time::Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.001 {
        format!("{} µs", time.as_micros())
    } else if seconds < 1.0 {
        format!("{} ms", time.as_millis())
    } else {
        format!("{seconds:.1} s")
    }
}

/// Lists names as people do, the first few of them: `a, b and c`, `a, b, c and 9 more`.
pub(super) fn list<T: std::fmt::Display>(names: &[T], most: usize) -> String {
    let texts: Vec<String> = names.iter().take(most).map(ToString::to_string).collect();
    match (texts.as_slice(), names.len().saturating_sub(texts.len())) {
        ([], _) => "none".to_owned(),
        ([only], 0) => only.clone(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        (shown, more) => format!("{} and {} more", shown.join(", "), grouped(more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::new(&["WEC", "OBJECTS", "STATE"]).numbers(&[1]);
        table.row(["fra1", "38", ""].map(str::to_owned));
        table.row(["store-pune", "2", "held"].map(str::to_owned));
        assert_eq!(
            table.text(&Styles::default()),
            "WEC         OBJECTS  STATE\nfra1             38\nstore-pune        2  held\n"
        );
    }

    #[test]
    fn numbers_and_lists_read_like_speech() {
        assert_eq!(count(1, "object"), "1 object");
        assert_eq!(count(12_345, "policy"), "12,345 policies");
        assert_eq!(list(&["a", "b", "c"], 5), "a, b and c");
        assert_eq!(list(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(grouped(1000), "1,000");
    }
}
