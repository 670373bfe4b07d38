//! `stellate crds`: the CustomResourceDefinitions of Stellate's own kinds, as the types give them.

use std::path::PathBuf;

use clap::Args;

use super::Ending;
use super::error::CliError;
use super::terminal::Terminal;
use crate::model::api;
use crate::yaml;

/// What `stellate crds` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// Write one file each into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints, or writes.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let files = files()?;
    let Some(folder) = &arguments.out else {
        terminal.print(
            files
                .into_iter()
                .flat_map(|(_, text)| text)
                .collect::<Vec<u8>>(),
        )?;
        return Ok(Ending::Done);
    };
    let failed = |error: std::io::Error, path: &std::path::Path| {
        CliError::new(anyhow::Error::new(error).context(format!("cannot write {}", path.display())))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(error, folder))?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| failed(error, &path))?;
        terminal.say(&format!("wrote {}", path.display()));
    }
    Ok(Ending::Done)
}

/// Gives the files by name, sorted; put one after the other they are one YAML stream.
fn files() -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let written = api::crds().into_iter().map(|definition| {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let value = serde_json::to_value(&definition)?;
        let mut text = b"---\n".to_vec();
        yaml::emit_into(&value, &mut text);
        Ok((format!("{name}.yaml"), text))
    });
    written
        .collect::<Result<Vec<_>, serde_json::Error>>()
        .map_err(|error| CliError::new(error).context("cannot write the definitions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_in_deploy_are_what_the_types_say() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crds");
        let files = files().expect("definitions");
        let mut names: Vec<String> = std::fs::read_dir(&folder)
            .expect("deploy/crds")
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
        names.sort();
        assert_eq!(
            names,
            files
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        );
        for (name, text) in files {
            let committed = std::fs::read(folder.join(&name)).expect("file");
            assert!(
                committed == text,
                "{name} has drifted: run `cargo run -- crds --out deploy/crds`"
            );
        }
    }
}
