//! The folder for what may be deleted at any time: `--cache-dir` → a path.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap::builder::OsStringValueParser;

/// Where things are kept between runs.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct CacheArgument {
    /// Where parsed files and remote repositories are kept between runs [default: the user's cache folder]
    #[arg(
        long,
        value_name = "DIR",
        env = "STELLATE_CACHE_DIR",
        value_parser = OsStringValueParser::new(),
        help_heading = "Cache"
    )]
    cache_dir: Option<OsString>,
}

impl CacheArgument {
    /// Gives the folder; none where nothing is named and the user has none.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        let user = || dirs::cache_dir().map(|folder| folder.join("stellate"));
        // An empty variable is how scripts unset one.
        let named = self.cache_dir.as_ref().filter(|path| !path.is_empty());
        named.map(PathBuf::from).or_else(user)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        cache: CacheArgument,
    }

    #[test]
    fn an_empty_name_is_no_name() {
        let folder = |name: &str| {
            let line = Line::parse_from(["stellate", "--cache-dir", name]);
            line.cache.folder()
        };
        assert_eq!(folder("here"), Some("here".into()));
        assert_eq!(folder(""), CacheArgument::default().folder());
    }
}
