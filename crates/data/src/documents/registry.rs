//! The sources of the crates that cargo has unpacked on this machine: real code, with a licence stated by its author.

use super::{Found, Reason, Reject, Stream, tree::Walk};
use crate::{DataError, recipe::CargoRegistry};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    license: Option<String>,
    license_file: Option<String>,
}

/// An unpacked crate.
struct Crate {
    name: String,
    /// `NAME-VERSION`.
    folder: String,
    path: PathBuf,
    licence: Result<String, String>,
}

pub(super) fn open(source: String, registry: &CargoRegistry) -> Result<Stream, DataError> {
    let home = match &registry.cargo_home {
        Some(home) => home.clone(),
        None => cargo_home()?,
    };
    let crates = list(&home.join("registry").join("src"))?;
    let registry = registry.clone();
    Ok(Box::new(crates.into_iter().flat_map(move |krate| read(krate, &source, &registry))))
}

fn cargo_home() -> Result<PathBuf, DataError> {
    let home = env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    home.or_else(|| Some(env::home_dir()?.join(".cargo"))).ok_or_else(|| DataError::Missing {
        path: PathBuf::from("~/.cargo"),
        fix: "neither CARGO_HOME nor a home folder is known; set CARGO_HOME, or name a folder of documents".into(),
    })
}

/// All crates, sorted by name and then version. The folders of the several registries have names that depend on the
/// machine; they leave no trace. A crate that several of them hold is taken once.
fn list(sources: &Path) -> Result<Vec<Crate>, DataError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => DataError::Missing {
            path: sources.into(),
            fix: "cargo has unpacked no crates here; build any Rust project once, or name a folder of documents".into(),
        },
        _ => DataError::reading(sources, error),
    };
    let mut folders: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut indexes: Vec<_> = fs::read_dir(sources).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    indexes.sort_by_key(fs::DirEntry::file_name);
    for index in indexes.iter().filter(|index| index.path().is_dir()) {
        for entry in fs::read_dir(index.path()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.path().is_dir() {
                folders.entry(entry.file_name().to_string_lossy().into_owned()).or_insert_with(|| entry.path());
            }
        }
    }
    let mut crates: Vec<Crate> = folders.into_iter().map(|(folder, path)| inspect(folder, path)).collect();
    crates.sort_by(|a, b| (&a.name, &a.folder).cmp(&(&b.name, &b.folder)));
    Ok(crates)
}

fn inspect(folder: String, path: PathBuf) -> Crate {
    let manifest = fs::read_to_string(path.join("Cargo.toml"))
        .map_err(|error| format!("Cargo.toml: {error}"))
        .and_then(|text| toml::from_str::<Manifest>(&text).map_err(|error| format!("Cargo.toml: {}", error.message())));
    match manifest {
        Ok(Manifest { package }) => {
            let licence = licence(&package, &path);
            Crate { name: package.name, folder, path, licence }
        }
        Err(detail) => Crate { name: folder.clone(), folder, path, licence: Err(detail) },
    }
}

/// `license` as it stands (the old "/" is an OR, says the Cargo book), else a reference to the `license-file`.
fn licence(package: &Package, path: &Path) -> Result<String, String> {
    if let Some(licence) = package.license.as_deref().map(str::trim).filter(|licence| !licence.is_empty()) {
        return Ok(licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR "));
    }
    match &package.license_file {
        Some(file) if path.join(file).is_file() => Ok(format!("LicenseRef-{}", package.name)),
        Some(file) => Err(format!("license-file {file:?} is not in the package")),
        None => Err("Cargo.toml has neither license nor license-file".into()),
    }
}

fn read(krate: Crate, source: &str, registry: &CargoRegistry) -> Box<dyn Iterator<Item = Found> + Send> {
    match krate.licence {
        Ok(licence) => Box::new(
            Walk {
                source: source.into(),
                root: krate.path,
                below: krate.folder + "/",
                licence: Some(licence),
                extensions: Some(registry.extensions.iter().cloned().collect()),
                limit: registry.max_file_bytes,
                respect_ignore_files: false,
            }
            .start(),
        ),
        Err(detail) => Box::new(std::iter::once(Found::Reject(Reject {
            source: source.into(),
            path: krate.folder,
            row: None,
            reason: Reason::NoLicence { detail },
        }))),
    }
}
