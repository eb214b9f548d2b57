//! Objects as local files without names: fetched ahead of the one that is read, resumed where a connection breaks, and
//! given out only if they are what was listed.

use super::{
    super::{
        Step, Steps,
        files::{Content, FileStamp, Readable},
    },
    Bucket, Shared, failed, stamp,
};
use crate::DataError;
use futures_util::{StreamExt, stream};
use object_store::{Error, GetOptions, GetRange, path::Path};
use std::{
    env,
    fs::File,
    io::{self, Seek, Write},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// So many objects are fetched at once, ahead of the one that is read.
const AHEAD: usize = 8;
/// And so many KiB of them lie ready, or one object that is larger.
const AHEAD_KIB: u32 = 256 << 10;
/// An object is given up after so many failures in a row without a byte. Each request is itself repeated by the library.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// What the fetching thread sends; the permit is given back when it is received.
type Parcel = (Option<Step<Readable>>, Option<OwnedSemaphorePermit>);

/// Objects that are being fetched. Fetching stops when this is dropped.
struct Fetched {
    url: String,
    parcels: mpsc::Receiver<Parcel>,
    is_over: bool,
    _stop: oneshot::Sender<()>,
}

impl Iterator for Fetched {
    type Item = Step<Readable>;

    fn next(&mut self) -> Option<Step<Readable>> {
        if self.is_over {
            return None;
        }
        let step = match self.parcels.recv() {
            Ok((step, _permit)) => step,
            Err(_) => Some(Step::Done(Err(DataError::Remote {
                url: self.url.clone(),
                reason: "fetching ended before its time".into(),
            }))),
        };
        self.is_over = matches!(step, None | Some(Step::Done(Err(_))));
        step
    }
}

impl Bucket {
    pub(in super::super) fn fetch(&self, files: Steps<FileStamp>) -> Steps<Readable> {
        let (sender, parcels) = mpsc::channel();
        let (_stop, stopped) = oneshot::channel();
        let shared = self.0.clone();
        let spawned = thread::Builder::new().name("fetch".into()).spawn(move || {
            shared.runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = send_all(&shared, files, &sender) => {}
                }
            });
        });
        let url = self.0.url.clone();
        match spawned {
            Ok(_) => Box::new(Fetched { url, parcels, is_over: false, _stop }),
            Err(error) => {
                let reason = error.to_string();
                Box::new(std::iter::once(Step::Done(Err(DataError::Remote { url, reason }))))
            }
        }
    }
}

async fn send_all(shared: &Shared, files: Steps<FileStamp>, sender: &mpsc::Sender<Parcel>) {
    let room = Arc::new(Semaphore::new(AHEAD_KIB as usize));
    let parcels = stream::iter(files).map(|step| {
        let room = room.clone();
        async move {
            let stamp = match step {
                Step::Work(stamp) => stamp,
                Step::Done(found) => return (Step::Done(found), None),
            };
            let kib = u32::try_from(stamp.bytes >> 10).unwrap_or(u32::MAX).clamp(1, AHEAD_KIB);
            // Never closed, so that there always is a permit.
            let permit = room.acquire_many_owned(kib).await.ok();
            let step = match shared.spool(&stamp).await {
                Ok(file) => Step::Work(Readable { stamp, content: Content::Spooled(file) }),
                Err(error) => Step::Done(Err(error)),
            };
            (step, permit)
        }
    });
    let mut parcels = std::pin::pin!(parcels.buffered(AHEAD));
    while let Some((step, permit)) = parcels.next().await {
        let is_last = matches!(step, Step::Done(Err(_)));
        if sender.send((Some(step), permit)).is_err() || is_last {
            return;
        }
    }
    let _ = sender.send((None, None));
}

/// Why a transfer ended early.
enum Broken {
    /// It may go better the next time.
    Again(DataError),
    Finally(DataError),
}

impl Shared {
    /// The content of an object, if it still is the one that was listed.
    pub(super) async fn spool(&self, listed: &FileStamp) -> Result<File, DataError> {
        let location = self.location(&listed.path)?;
        let no_room = |source| DataError::Write { path: env::temp_dir(), source };
        let mut file = tempfile::tempfile().map_err(no_room)?;
        let (mut received, mut failures) = (0, 0);
        while received < listed.bytes {
            let before = received;
            let broken = match self.transfer(&location, listed, &mut file, &mut received).await {
                Ok(()) => continue,
                Err(Broken::Finally(error)) => return Err(error),
                Err(Broken::Again(error)) => error,
            };
            failures = if received > before { 1 } else { failures + 1 };
            if failures == ATTEMPTS {
                return Err(broken);
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(failures)).await;
        }
        file.rewind().map_err(no_room)?;
        Ok(file)
    }

    /// Appends what is still missing.
    async fn transfer(
        &self,
        location: &Path,
        listed: &FileStamp,
        file: &mut File,
        received: &mut u64,
    ) -> Result<(), Broken> {
        let url = self.url_of(&listed.path);
        let changed = |reason: String| Broken::Finally(DataError::Changed { path: url.clone(), reason });
        let broken = |error: Error| match error {
            Error::NotFound { .. } => changed("it was listed and is gone".into()),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Broken::Finally(failed(&url, &error)),
            error => Broken::Again(failed(&url, &error)),
        };
        let range = (*received > 0).then_some(GetRange::Bounded(*received..listed.bytes));
        let result =
            self.store.get_opts(location, GetOptions { range, ..GetOptions::default() }).await.map_err(broken)?;
        let found = stamp(&result.meta, listed.path.clone());
        if found != *listed {
            return Err(changed(format!(
                "listed were {} bytes of {:?}, found are {} bytes of {:?}",
                listed.bytes, listed.version, found.bytes, found.version
            )));
        }
        let mut chunks = result.into_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(broken)?;
            *received += chunk.len() as u64;
            if *received > listed.bytes {
                return Err(changed(format!("listed were {} bytes, it has more", listed.bytes)));
            }
            let written = file.write_all(&chunk);
            written.map_err(|source: io::Error| Broken::Finally(DataError::Write { path: env::temp_dir(), source }))?;
        }
        if *received == listed.bytes {
            return Ok(());
        }
        let reason = format!("the connection ended after {received} of {} bytes", listed.bytes);
        Err(Broken::Again(DataError::Remote { url, reason }))
    }
}
