//! The sources of the crates that cargo has unpacked on this machine: real code, with a licence stated by its author.

use super::{
    Found, Reason, Reject, Step, Steps, Stream,
    files::{FileStamp, Root},
    tree::{self, Text, Texts},
};
use crate::{CargoRegistry, DataError};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    env, fs, io, iter,
    path::{Path, PathBuf},
};

const MANIFEST: &str = "Cargo.toml";

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
    /// Where that folder lies.
    root: Root,
    licence: Result<String, String>,
}

pub(super) fn open(source: String, registry: &CargoRegistry) -> Result<Stream, DataError> {
    let (crates, registry) = (crates(registry)?, registry.clone());
    Ok(tree::read_all(Box::new(crates.into_iter().flat_map(move |krate| texts(krate, &source, &registry)))))
}

/// Each crate's manifest, because it states the licence, and then the files that are read. The manifests themselves
/// have been read by then: the names in them are the order.
pub(super) fn list(source: String, registry: &CargoRegistry) -> Result<Steps<FileStamp>, DataError> {
    let (crates, registry) = (crates(registry)?, registry.clone());
    Ok(Box::new(crates.into_iter().flat_map(move |krate| {
        let texts = krate.texts(&source, &registry);
        let manifest = format!("{}/{MANIFEST}", krate.folder);
        let files = texts.selection(Box::new(move |path| path == manifest));
        let manifest = flatten(krate.root.list(files));
        manifest.chain(krate.licence.is_ok().then(|| flatten(texts.list(&krate.root))).into_iter().flatten())
    })))
}

fn flatten<T: Send + 'static>(steps: Result<Steps<T>, DataError>) -> Steps<T> {
    steps.unwrap_or_else(|error| Box::new(iter::once(Step::Done(Err(error)))))
}

fn crates(registry: &CargoRegistry) -> Result<Vec<Crate>, DataError> {
    let home = match &registry.cargo_home {
        Some(home) => home.clone(),
        None => cargo_home()?,
    };
    unpacked(&home.join("registry").join("src"))
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
fn unpacked(sources: &Path) -> Result<Vec<Crate>, DataError> {
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
                folders.entry(entry.file_name().to_string_lossy().into_owned()).or_insert_with(|| index.path());
            }
        }
    }
    let mut crates: Vec<Crate> = folders.into_iter().map(|(folder, root)| inspect(folder, root)).collect();
    crates.sort_by(|a, b| (&a.name, &a.folder).cmp(&(&b.name, &b.folder)));
    Ok(crates)
}

fn inspect(folder: String, root: PathBuf) -> Crate {
    let path = root.join(&folder);
    let manifest = fs::read_to_string(path.join(MANIFEST))
        .map_err(|error| format!("{MANIFEST}: {error}"))
        .and_then(|text| toml::from_str::<Manifest>(&text).map_err(|error| format!("{MANIFEST}: {}", error.message())));
    let (name, licence) = match manifest {
        Ok(Manifest { package }) => (package.name.clone(), licence(&package, &path)),
        Err(detail) => (folder.clone(), Err(detail)),
    };
    Crate { name, folder, root: Root::Local(root), licence }
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

fn texts(krate: Crate, source: &str, registry: &CargoRegistry) -> Steps<Text> {
    let texts = krate.texts(source, registry);
    match krate.licence {
        Ok(_) => flatten(texts.files(&krate.root)),
        Err(detail) => {
            let reason = Reason::NoLicence { detail };
            let reject = Reject { source: source.into(), path: krate.folder, row: None, reason };
            Box::new(iter::once(Step::Done(Ok(Found::Reject(reject)))))
        }
    }
}

impl Crate {
    fn texts(&self, source: &str, registry: &CargoRegistry) -> Texts {
        Texts {
            source: source.into(),
            folder: self.folder.clone(),
            licence: self.licence.clone().ok(),
            detect_licence: false,
            extensions: Some(registry.extensions.iter().cloned().collect()),
            limit: registry.max_file_bytes,
            respect_ignore_files: false,
        }
    }
}
