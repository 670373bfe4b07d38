//! Data for programs: any serialisable value as JSON or YAML. Pure.

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use super::error::CliError;
use crate::yaml;

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table, for people
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// The form of the result, as most verbs take it.
#[derive(Args)]
pub(super) struct OutputArgument {
    /// The form of the result
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        hide_default_value = true
    )]
    pub(super) output: Format,
}

/// Writes a value; `None` when a table is wanted, which is not made here.
pub(super) fn text(value: &impl Serialize, format: Format) -> Result<Option<Vec<u8>>, CliError> {
    let value = serde_json::to_value(value)
        .map_err(|error| CliError::new(error).context("cannot write the result"))?;
    Ok(match format {
        Format::Table => None,
        Format::Json => Some(json(&value)),
        Format::Yaml => Some(yaml::emit(&value)),
    })
}

/// Writes JSON for people and programs: indented, with a line break at the end.
pub(super) fn json(value: &Value) -> Vec<u8> {
    // A value always becomes JSON.
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}
