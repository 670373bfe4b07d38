//! What the command line asks for.

/// How a bench runs.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Smaller sizes and fewer rounds: is anything grossly wrong?
    pub(crate) quick: bool,
    /// Tiny sizes, one round: does it run at all? So under `cargo test --benches`.
    pub(crate) smoke: bool,
    /// Only the cases with one of these words in their name; all when empty.
    pub(crate) only: Vec<String>,
    /// `--rounds=N`: so many instead of the usual number.
    rounds: Option<usize>,
}

impl Options {
    /// Reads the command line. `cargo bench` passes `--bench`; `cargo test` does not.
    pub(crate) fn from_command_line() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let has = |word: &str| words.iter().any(|other| other == word);
        Self {
            quick: has("--quick"),
            smoke: !has("--bench") && !has("--quick") && !has("--full"),
            rounds: words
                .iter()
                .find_map(|word| word.strip_prefix("--rounds=")?.parse().ok()),
            only: words
                .into_iter()
                .filter(|word| !word.starts_with('-'))
                .collect(),
        }
    }

    /// Tells whether a case is wanted.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| word.eq_ignore_ascii_case(case))
    }

    /// Tells whether the sizes are those that the targets are meant for.
    pub(crate) fn is_full(&self) -> bool {
        !self.quick && !self.smoke
    }

    /// Gives the number of rounds of the big cases.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(self.choose(5, 3, 1))
    }

    /// Picks what fits how the bench runs.
    pub(crate) fn choose<T>(&self, full: T, quick: T, smoke: T) -> T {
        if self.smoke {
            smoke
        } else if self.quick {
            quick
        } else {
            full
        }
    }
}
