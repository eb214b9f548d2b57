//! Files in object stores: S3, Google Cloud Storage, Azure, and plain HTTP. Credentials come from the environment
//! (`AWS_*`, `AZURE_*`, `GOOGLE_*`) and never appear in a message.

mod fetch;
mod ignored;
#[cfg(test)]
mod tests;

use super::files::{FileStamp, Selection, Version};
use crate::DataError;
use futures_util::TryStreamExt;
use ignored::IgnoreFiles;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use std::{env, sync::Arc};
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// The objects below a URL, as they were when it was opened.
#[derive(Clone)]
pub(super) struct Bucket(Arc<Shared>);

struct Shared {
    url: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The URL is that of one object.
    is_file: bool,
    /// In the order of their paths, compared part by part as a local folder is walked.
    objects: Vec<FileStamp>,
    runtime: Runtime,
}

impl Bucket {
    /// Lists what lies at a URL.
    pub(super) fn open(text: &str) -> Result<Self, DataError> {
        let wrong = |reason: &str| DataError::Recipe { key: "path".into(), reason: reason.into() };
        let url = Url::parse(text).map_err(|error| wrong(&format!("no URL: {error}")))?;
        if url.password().is_some() || url.query().is_some() {
            return Err(wrong(
                "a URL with a password or a query is not read, so that no secret gets into a recipe; \
                 credentials are taken from the environment (AWS_*, AZURE_*, GOOGLE_*)",
            ));
        }
        // Fails only if it was done before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (store, prefix) =
            object_store::parse_url_opts(&url, options(&url)).map_err(|error| failed(text, &error))?;
        Self::list_all(text, store.into(), prefix)
    }

    fn list_all(url: &str, store: Arc<dyn ObjectStore>, prefix: Path) -> Result<Self, DataError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| DataError::Remote { url: url.into(), reason: error.to_string() })?;
        let list = async {
            if !prefix.is_root() && !url.ends_with('/') {
                match store.head(&prefix).await {
                    // Of no bytes: the mark of a folder, as consoles make it.
                    Ok(object) if object.size > 0 => return Ok((vec![object], true)),
                    Ok(_) | Err(Error::NotFound { .. } | Error::PermissionDenied { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            let objects = store.list((!prefix.is_root()).then_some(&prefix)).try_collect().await?;
            Ok((objects, false))
        };
        let (objects, is_file): (Vec<ObjectMeta>, bool) =
            runtime.block_on(list).map_err(|error| failed(url, &error))?;
        let mut objects: Vec<FileStamp> = objects
            .iter()
            .filter_map(|object| Some(stamp(object, relative(&object.location, &prefix, is_file)?)))
            .collect();
        if objects.is_empty() {
            return Err(DataError::Missing {
                path: url.into(),
                fix: "there is nothing below this URL; check it".into(),
            });
        }
        objects.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        // The mark of a folder comes right before what is in it.
        let marks: Vec<bool> = objects
            .windows(2)
            .map(|pair| {
                pair[0].bytes == 0 && pair[1].path.strip_prefix(&pair[0].path).is_some_and(|rest| rest.starts_with('/'))
            })
            .chain([false])
            .collect();
        let mut marks = marks.into_iter();
        objects.retain(|_| marks.next() == Some(false));
        Ok(Self(Arc::new(Shared { url: url.into(), store, prefix, is_file, objects, runtime })))
    }

    pub(super) fn is_file(&self) -> bool {
        self.0.is_file
    }

    pub(super) fn list(&self, selection: &Selection) -> Result<Vec<FileStamp>, DataError> {
        let ignored = if selection.respect_ignore_files { IgnoreFiles::read(self)? } else { IgnoreFiles::default() };
        let is_selected = |path: &str| {
            let is_hidden = !self.0.is_file && path.split('/').any(|part| part.starts_with('.'));
            !is_hidden && (selection.wanted)(path) && !ignored.leaves_out(path)
        };
        Ok(self.0.objects.iter().filter(|object| is_selected(&object.path)).cloned().collect())
    }

    pub(super) fn names_in(&self, folder: &str) -> Vec<String> {
        let name = |object: &FileStamp| {
            let (above, name) = object.path.rsplit_once('/').unwrap_or(("", &object.path));
            (above == folder).then(|| name.to_owned())
        };
        self.0.objects.iter().filter_map(name).collect()
    }

    /// A small text; `None` if it is longer, or no UTF-8.
    pub(super) fn read_small(&self, path: &str, limit: u64) -> Result<Option<String>, DataError> {
        let Some(stamp) = self.0.objects.iter().find(|object| object.path == path && object.bytes <= limit) else {
            return Ok(None);
        };
        let file = self.0.runtime.block_on(self.0.spool(stamp))?;
        let text = std::io::read_to_string(file);
        Ok(text.ok())
    }
}

impl Shared {
    fn location(&self, path: &str) -> Result<Path, DataError> {
        if self.is_file {
            return Ok(self.prefix.clone());
        }
        let whole = if self.prefix.is_root() { path.to_owned() } else { format!("{}/{path}", self.prefix) };
        Path::parse(whole).map_err(|error| DataError::Remote { url: self.url_of(path), reason: error.to_string() })
    }

    fn url_of(&self, path: &str) -> String {
        if self.is_file { self.url.clone() } else { format!("{}/{path}", self.url.trim_end_matches('/')) }
    }
}

/// The settings of object stores in the environment, and times that suit large objects: they may take long, but not be
/// silent for long.
fn options(url: &Url) -> Vec<(String, String)> {
    let ours = [("timeout", "1day"), ("read_timeout", "60s"), ("allow_http", "true")];
    let ours = ours.into_iter().filter(|(key, _)| *key != "allow_http" || url.scheme() == "http");
    let ours = ours.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let theirs = env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let is_of_stores = |key: &str| ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|prefix| key.starts_with(prefix));
    ours.chain(theirs.filter(|(key, _)| is_of_stores(key))).collect()
}

/// Path below the prefix; of a single object, its name. `None`: it lies elsewhere, or is the mark of the prefix itself.
fn relative(location: &Path, prefix: &Path, is_file: bool) -> Option<String> {
    if is_file {
        return location.filename().map(str::to_owned);
    }
    let parts: Vec<_> = location.prefix_match(prefix)?.collect();
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn stamp(object: &ObjectMeta, path: String) -> FileStamp {
    let version = match &object.e_tag {
        // Some list it with quotation marks, some without.
        Some(tag) => Version::ETag(tag.trim_matches('"').to_owned()),
        // Headers state seconds, some lists fractions of them.
        None => Version::Modified(object.last_modified.timestamp().saturating_mul(1_000_000_000)),
    };
    FileStamp { path, bytes: object.size, version }
}

fn failed(url: &str, error: &Error) -> DataError {
    DataError::Remote { url: url.into(), reason: without_queries(&error.to_string()) }
}

/// Queries of URLs may hold signatures.
fn without_queries(text: &str) -> String {
    let mut parts = text.split('?');
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_whitespace() || "\"')>,".contains(c)).unwrap_or(part.len());
        clean.push_str(if end == 0 { "?" } else { "?…" });
        clean.push_str(&part[end..]);
    }
    clean
}
