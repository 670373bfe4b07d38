//! The table at the end: target, what was measured, met or missed.

use std::io::Write as _;

use super::options::Options;

/// One line of the table.
struct Line {
    target: String,
    wanted: String,
    measured: String,
    verdict: &'static str,
}

/// What was measured against what was aimed at.
pub(crate) struct Table {
    lines: Vec<Line>,
    /// Whether figures are judged: at full size only.
    judges: bool,
}

impl Table {
    /// Starts an empty table.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            lines: Vec::new(),
            judges: options.is_full(),
        }
    }

    /// Adds a figure that must not be above (or, for a speed, below) a limit.
    pub(crate) fn judge(&mut self, target: &str, wanted: &str, measured: String, met: bool) {
        let verdict = match (self.judges, met) {
            (false, _) => "small",
            (true, true) => "met",
            (true, false) => "MISSED",
        };
        self.add(target, wanted, measured, verdict);
    }

    /// Adds a figure that nothing is asked of.
    pub(crate) fn note(&mut self, target: &str, measured: String) {
        self.add(target, "", measured, "");
    }

    /// Adds a target that could not be measured, and why.
    pub(crate) fn skip(&mut self, target: &str, wanted: &str, why: &str) {
        self.add(target, wanted, why.to_owned(), "not measured");
    }

    fn add(&mut self, target: &str, wanted: &str, measured: String, verdict: &'static str) {
        say(&format!("  {target}: {measured}  {verdict}"));
        let (target, wanted) = (target.to_owned(), wanted.to_owned());
        self.lines.push(Line {
            target,
            wanted,
            measured,
            verdict,
        });
    }

    /// Prints all lines in Markdown.
    pub(crate) fn print(&self) {
        let mut rows = vec![["target", "wanted", "measured", ""].map(str::to_owned)];
        for line in &self.lines {
            let cells = [&line.target, &line.wanted, &line.measured];
            let [target, wanted, measured] = cells.map(Clone::clone);
            rows.push([target, wanted, measured, line.verdict.to_owned()]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; 4] = std::array::from_fn(|column| width(column).unwrap_or_default());
        let show = |row: &[String; 4]| {
            let cells = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
        };
        say("");
        say(&show(&rows[0]));
        say(&format!(
            "|{}|",
            widths.map(|width| "-".repeat(width + 2)).join("|")
        ));
        rows[1..].iter().for_each(|row| say(&show(row)));
    }
}

/// Prints a line.
pub(crate) fn say(line: &str) {
    // Nobody may be listening any more; that is no failure of the bench.
    drop(writeln!(std::io::stdout(), "{line}"));
}
