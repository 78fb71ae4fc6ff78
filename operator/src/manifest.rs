//! Reads a manifest file. A field that nobody would read is refused with its path: a typing error
//! must not pass for a wish.

use std::path::{Path, PathBuf};

use crate::api::cluster::ChronikCluster;

/// Why a manifest could not be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum ManifestError {
    #[error("manifest {path} cannot be read")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("manifest is not a ChronikCluster: {0}")]
    Parse(String),
    #[error("{path}: no such field in a ChronikCluster; take it out or correct its name")]
    UnknownField { path: String },
    #[error("{field} {value}: this operator knows only {expected}")]
    Kind { field: &'static str, value: String, expected: &'static str },
}

/// Reads the file.
pub fn read(path: &Path) -> Result<ChronikCluster, ManifestError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ManifestError::Read { path: path.into(), source })?;
    parse(&text)
}

/// Reads the text.
pub fn parse(text: &str) -> Result<ChronikCluster, ManifestError> {
    let value: serde_json::Value =
        serde_yaml::from_str(text).map_err(|e| ManifestError::Parse(e.to_string()))?;
    for (field, expected) in [("apiVersion", "chronik.io/v1alpha1"), ("kind", "ChronikCluster")] {
        let found = value.get(field).and_then(|v| v.as_str()).unwrap_or("(none)");
        if found != expected {
            return Err(ManifestError::Kind { field, value: found.into(), expected });
        }
    }
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    let mut fields = value.as_object().into_iter().flat_map(|o| o.keys());
    let mut unknown = fields.find(|k| !known.contains(&k.as_str())).cloned();
    let cluster: ChronikCluster = serde_ignored::deserialize(
        serde_yaml::Deserializer::from_str(text),
        |path: serde_ignored::Path<'_>| {
            // Those two were read above.
            let path = path.to_string();
            if path != "apiVersion" && path != "kind" {
                unknown.get_or_insert(path);
            }
        },
    )
    .map_err(|e| ManifestError::Parse(e.to_string()))?;
    match unknown {
        Some(path) => Err(ManifestError::UnknownField { path }),
        None => Ok(cluster),
    }
}
