//! A server for one test.

use crate::client::{Reply, send};
use crate::device::{Gate, GatedDevice};
use moeworks_infer::Engine;
use moeworks_model::{Config, Inference, Layout, Limits, Parameter, Training, preset};
use moeworks_ops::{Ops, Precision, Reference};
use moeworks_serve::{Notice, ServeConfig, Server};
use moeworks_text::{Tokenizer, TrainOptions, train};
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

pub(crate) const MODEL: &str = "tiny";
pub(crate) const LENGTH: usize = 160;
/// Rows of a step, and width of the model.
pub(crate) const ROWS: usize = 32;
pub(crate) const WIDTH: usize = 16;
/// A token whose embedding is not a number.
pub(crate) const POISON: u32 = 11;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let documents = ["the cat sat on the mat and the dog sat on the cat", "über den Wölken — 猫がいる 🙂🙂"];
    train(documents.iter(), &TrainOptions { vocab_size: 290, min_frequency: 2 }, |_| {}).unwrap()
});

/// The parameters of the random model.
static PARAMETERS: LazyLock<HashMap<Parameter, Vec<f32>>> = LazyLock::new(|| {
    let mut device = Reference::new();
    let training = Training::new(&mut device, &config(), Precision::F32, Layout::of(1, 1), 5).unwrap();
    let mut read = |parameter| -> Vec<f32> {
        let mut values: Vec<f32> = training.parameter(&mut device, parameter).iter().map(|v| *v as f32).collect();
        if parameter == Parameter::Head {
            values.iter_mut().for_each(|v| *v *= 2.0); // a model with opinions
        }
        values
    };
    moeworks_model::parameters(&config()).into_iter().map(|(p, _)| (p, read(p))).collect()
});

pub(crate) fn tokenizer() -> &'static Tokenizer {
    &TOKENIZER
}

fn config() -> Config {
    Config {
        vocab_size: TOKENIZER.vocab_size().next_multiple_of(8),
        d_model: WIDTH,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        head_dim: 4,
        ffn_hidden: 8,
        n_experts: 4,
        top_k: 2,
        max_seq_len: LENGTH,
        eos_token_ids: TOKENIZER.eos().into_iter().collect(),
        ..preset("tiny").unwrap()
    }
}

/// A loaded model on `device`; `change` may spoil parameters.
pub(crate) fn model(device: &mut dyn Ops, change: impl Fn(Parameter, &mut Vec<f32>)) -> Inference {
    let limits = Limits { slots: 2, length: LENGTH, rows: ROWS };
    let source = |parameter| {
        let mut values = PARAMETERS[&parameter].clone();
        change(parameter, &mut values);
        Ok(values)
    };
    Inference::load(device, &config(), Precision::F32, limits, source).unwrap()
}

/// An engine on a gated device.
pub(crate) fn engine(change: impl Fn(Parameter, &mut Vec<f32>)) -> (Engine, Gate) {
    let mut device = Box::new(GatedDevice::default());
    let gate = device.gate.clone();
    let model = model(&mut *device, change);
    (Engine::new(device, model, TOKENIZER.clone()).unwrap(), gate)
}

/// A running server; it stops when this is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) gate: Gate,
    pub(crate) notices: Arc<Mutex<Vec<Notice>>>,
    /// 1 to stop, 2 to stop at once.
    pub(crate) stop: watch::Sender<u8>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A server with two slots, changed by `change`.
pub(crate) fn serve_with(change: impl FnOnce(&mut ServeConfig)) -> Running {
    serve_engine(engine(|_, _| {}), change)
}

/// A server whose model cannot read one token.
pub(crate) fn serve_poisoned() -> Running {
    let poison = |parameter, values: &mut Vec<f32>| {
        if parameter == Parameter::Embedding {
            values[POISON as usize * WIDTH] = f32::NAN;
        }
    };
    serve_engine(engine(poison), |_| {})
}

fn serve_engine((engine, gate): (Engine, Gate), change: impl FnOnce(&mut ServeConfig)) -> Running {
    let mut config = ServeConfig {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        queue: 30,
        drain: Duration::from_secs(20),
        ..ServeConfig::new(MODEL)
    };
    change(&mut config);
    let notices = Arc::new(Mutex::new(Vec::new()));
    let (noted, (stop, stopped)) = (notices.clone(), watch::channel(0));
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async move {
            let server = Server::bind(config, engine, move |notice| noted.lock().unwrap().push(notice)).await.unwrap();
            tell.send(server.address()).unwrap();
            server.serve(stopped).await;
        });
    });
    Running { address: told.recv().unwrap(), gate, notices, stop, thread: Some(thread) }
}

pub(crate) fn serve() -> Running {
    serve_with(|_| {})
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gate.open();
        let _ = self.stop.send(2);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

impl Running {
    pub(crate) fn get(&self, path: &str) -> Reply {
        Reply::read(send(self.address, "GET", path, &[], ""))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        Reply::read(self.send(path, body))
    }

    /// Sends without waiting for an answer.
    pub(crate) fn send(&self, path: &str, body: &Value) -> std::net::TcpStream {
        send(self.address, "POST", path, &["Content-Type: application/json"], &body.to_string())
    }

    /// The answer to a good request.
    pub(crate) fn ask(&self, path: &str, body: &Value) -> Value {
        let reply = self.post(path, body);
        let status = reply.status;
        let json = reply.json();
        assert_eq!(status, 200, "{json}");
        json
    }

    /// Sequences that run and that wait.
    pub(crate) fn gauges(&self) -> (u64, u64) {
        let ready = self.get("/ready").json();
        (ready["running"].as_u64().unwrap(), ready["waiting"].as_u64().unwrap())
    }
}

/// Waits for something that another thread brings about.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
