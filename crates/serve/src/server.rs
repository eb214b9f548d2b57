//! The server: routes, connections, and how it begins and ends.

use crate::app::{App, now};
use crate::config::{ServeConfig, ServeError};
use crate::engine_thread::EngineDoor;
use crate::error::ApiError;
use crate::{chat, completions, guard, models, page};
use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use moeworks_infer::Engine;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::sleep;

/// Bytes of a request's head at most.
const HEAD: usize = 16 << 10;
/// Header fields at most.
const HEADERS: usize = 64;
/// Time for a request's head to arrive, from the end of the one before.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 1024;
/// Time for answers to leave once nothing runs any more.
const FLUSH: Duration = Duration::from_secs(3);

/// What a server has to say to whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It listens.
    Listening(SocketAddr),
    /// It was told to stop, and lets requests finish for so long; told again, it stops at once.
    Draining(Duration),
    /// The engine panicked in a step; the requests in that step have failed, others go on.
    Panic(String),
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Checks the settings, takes the address and starts the engine's thread. `notify` is told what happens.
    pub async fn bind(
        config: ServeConfig,
        engine: Engine,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Self, ServeError> {
        config.check()?;
        let failed = |source| ServeError::Listen { address: config.address, source };
        let listener = TcpListener::bind(config.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let notify = Arc::new(notify);
        let (limits, tokenizer, vocab_size) = (engine.limits(), engine.tokenizer().clone(), engine.config().vocab_size);
        let capacity = limits.slots + config.queue;
        let engine = EngineDoor::open(engine, capacity, notify.clone()).map_err(ServeError::Start)?;
        let app = App {
            config,
            tokenizer,
            length: limits.length,
            vocab_size,
            slots: limits.slots,
            engine,
            created: now(),
            draining: AtomicBool::new(false),
        };
        notify(Notice::Listening(address));
        Ok(Server { app: Arc::new(app), listener, address })
    }

    /// Where it listens: the configured address, with the port that was taken if that was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` changes: to 1, and requests may finish; to 2, and nothing is waited for.
    pub async fn serve(self, mut stop: watch::Receiver<u8>) {
        let Server { app, listener, .. } = self;
        let (graceful, router) = (GracefulShutdown::new(), router(app.clone()));
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let mut drained = std::pin::pin!(drain(&app, &mut stop));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &connections) => accepted,
                () = &mut drained => break,
            };
            let Some((stream, permit)) = accepted else { continue };
            let service = TowerToHyperService::new(router.clone());
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_headers(HEADERS)
                .max_buf_size(HEAD)
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // A connection that breaks has told everyone concerned by being gone.
                let _ = connection.await;
                drop(permit);
            });
        }
        drop(listener);
        let _ = tokio::time::timeout(FLUSH, graceful.shutdown()).await;
    }
}

/// The next connection; none if one broke before it began, or the system has no more files.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Tokens are small and wanted at once.
            let _ = stream.set_nodelay(true);
            Some((stream, permit))
        }
        Err(_) => {
            sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Waits for the word to stop, and then for requests to end, as long as they may take.
async fn drain(app: &App, stop: &mut watch::Receiver<u8>) {
    // A sender that is gone means the same as the word.
    let _ = stop.wait_for(|word| *word >= 1).await;
    app.draining.store(true, Ordering::Relaxed);
    let empty = async {
        while !app.engine.is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = empty => {}
        () = sleep(app.config.drain) => {}
        Ok(_) = stop.wait_for(|word| *word >= 2) => {}
    }
    app.engine.abort();
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::html))
        .route("/chat.css", get(page::css))
        .route("/chat.js", get(page::js))
        .route("/icon.svg", get(page::icon))
        .route("/health", get(models::health))
        .route("/ready", get(models::ready))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::get))
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/completions", post(completions::create))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

async fn not_found(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(100).collect();
    ApiError::status(StatusCode::NOT_FOUND, "not_found", format!("there is no {method} {path}"))
}

async fn wrong_method(method: Method) -> ApiError {
    ApiError::status(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("{method} is not for this route"))
}

/// Serves until SIGTERM or Ctrl-C, then lets requests finish; a second signal stops at once.
pub fn run(
    config: ServeConfig,
    engine: Engine,
    notify: impl Fn(Notice) + Send + Sync + 'static,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(ServeError::Start)?;
    let notify = Arc::new(notify);
    let done = runtime.block_on(async {
        let drain = config.drain;
        let told = notify.clone();
        let server = Server::bind(config, engine, move |notice| told(notice)).await?;
        let mut signals = Signals::new().map_err(ServeError::Start)?;
        let (word, stop) = watch::channel(0);
        let signalled = async move {
            signals.next().await;
            notify(Notice::Draining(drain));
            let _ = word.send(1);
            signals.next().await;
            let _ = word.send(2);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = server.serve(stop) => {}
            () = signalled => {}
        }
        Ok(())
    });
    runtime.shutdown_timeout(FLUSH);
    done
}

/// The system's words to stop.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {})
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
