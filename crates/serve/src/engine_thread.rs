//! The thread that owns the engine, and the door to it: a bounded number of jobs, whose events come back as they happen.

use crate::error::ApiError;
use crate::server::Notice;
use moeworks_infer::{Engine, Event, EventKind, Finish, FinishReason, Request, RequestId};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What happened to one choice of one of a job's requests.
#[derive(Debug)]
pub(crate) struct JobEvent {
    pub(crate) request: usize,
    pub(crate) choice: usize,
    pub(crate) kind: EventKind,
}

/// One HTTP request's work.
struct Job {
    requests: Vec<Request>,
    events: UnboundedSender<JobEvent>,
    /// Given back when the job has ended.
    permit: OwnedSemaphorePermit,
}

enum Command {
    Run(Job),
    /// Ends everything.
    Abort,
}

/// What can be seen of the engine from outside.
#[derive(Debug)]
pub(crate) struct Gauges {
    start: Instant,
    alive: AtomicBool,
    /// Milliseconds since `start` when the thread last was between two steps.
    beat: AtomicU64,
    pub(crate) running: AtomicUsize,
    pub(crate) waiting: AtomicUsize,
}

impl Gauges {
    fn beat(&self, engine: &Engine) {
        self.beat.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.running.store(engine.running(), Ordering::Relaxed);
        self.waiting.store(engine.waiting(), Ordering::Relaxed);
    }

    /// Whether the thread lives and was between two steps not longer ago than `stall`.
    pub(crate) fn is_healthy(&self, stall: Duration) -> bool {
        let since = self.start.elapsed().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed)));
        self.alive.load(Ordering::Relaxed) && since < stall
    }
}

/// The door to the engine's thread.
#[derive(Debug)]
pub(crate) struct EngineDoor {
    commands: Mutex<Sender<Command>>,
    permits: Arc<Semaphore>,
    capacity: usize,
    pub(crate) gauges: Arc<Gauges>,
}

/// The thread looks up at least this often.
const BEAT: Duration = Duration::from_millis(500);

impl EngineDoor {
    /// Starts the thread. `capacity` jobs can be in the house at once.
    pub(crate) fn open(
        engine: Engine,
        capacity: usize,
        notify: Arc<dyn Fn(Notice) + Send + Sync>,
    ) -> std::io::Result<Self> {
        let gauges = Arc::new(Gauges {
            start: Instant::now(),
            alive: AtomicBool::new(true),
            beat: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        });
        let (sender, receiver) = channel();
        let alive = Alive(gauges.clone());
        let work = move || {
            let mut house = House { engine, jobs: Vec::new(), gauges: alive.0.clone(), notify };
            house.run(&receiver);
            drop(alive);
        };
        std::thread::Builder::new().name("engine".into()).spawn(work)?;
        let permits = Arc::new(Semaphore::new(capacity));
        Ok(EngineDoor { commands: Mutex::new(sender), permits, capacity, gauges })
    }

    /// A place in the house, or 429.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.permits.clone().try_acquire_owned().map_err(|_| ApiError::busy(self.capacity))
    }

    /// Whether no job is in the house.
    pub(crate) fn is_empty(&self) -> bool {
        self.permits.available_permits() == self.capacity
    }

    /// Hands requests over; their events come out of the receiver. Dropping it cancels them.
    pub(crate) fn submit(
        &self,
        permit: OwnedSemaphorePermit,
        requests: Vec<Request>,
    ) -> Result<UnboundedReceiver<JobEvent>, ApiError> {
        let (events, receiver) = unbounded_channel();
        self.send(Command::Run(Job { requests, events, permit }))?;
        Ok(receiver)
    }

    /// Ends everything that runs or waits.
    pub(crate) fn abort(&self) {
        // If the thread is gone, so is everything that ran.
        let _ = self.send(Command::Abort);
    }

    fn send(&self, command: Command) -> Result<(), ApiError> {
        let sender = self.commands.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sender.send(command).map_err(|_| ApiError::unavailable("the engine has stopped"))
    }
}

/// Says that the thread is gone, however it went.
struct Alive(Arc<Gauges>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.store(false, Ordering::Relaxed);
    }
}

/// A job under way.
struct Running {
    requests: Vec<RequestId>,
    /// Choices that have not ended.
    open: usize,
    events: UnboundedSender<JobEvent>,
    permit: Option<OwnedSemaphorePermit>,
}

struct House {
    engine: Engine,
    jobs: Vec<Running>,
    gauges: Arc<Gauges>,
    notify: Arc<dyn Fn(Notice) + Send + Sync>,
}

impl House {
    /// Works until nobody can send commands any more.
    fn run(&mut self, commands: &Receiver<Command>) {
        loop {
            self.gauges.beat(&self.engine);
            if self.engine.is_idle() {
                match commands.recv_timeout(BEAT) {
                    Ok(command) => self.obey(command),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            commands.try_iter().for_each(|command| self.obey(command));
            self.leave();
            // The engine's own lists are consistent at every op, so that what a panic leaves can be ended by name.
            let events = match catch_unwind(AssertUnwindSafe(|| self.engine.step())) {
                Ok(events) => events,
                Err(panic) => {
                    (self.notify)(Notice::Panic(text(&*panic)));
                    self.engine.fail_running("internal error: the engine failed in this step")
                }
            };
            self.deliver(events);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Run(job) => self.start(job),
            Command::Abort => {
                for job in std::mem::take(&mut self.jobs) {
                    let events = job.requests.iter().flat_map(|id| self.engine.cancel(*id)).collect();
                    self.jobs.push(job);
                    self.deliver(events);
                }
            }
        }
    }

    fn start(&mut self, job: Job) {
        let mut running = Running { requests: Vec::new(), open: 0, events: job.events, permit: Some(job.permit) };
        for (number, request) in job.requests.into_iter().enumerate() {
            let (choices, prompt_tokens) = (request.choices, request.prompt.len());
            match self.engine.submit(request) {
                Ok(id) => {
                    running.requests.push(id);
                    running.open += choices;
                }
                Err(error) => {
                    let reason = FinishReason::Error(error.to_string());
                    let finish = Finish { reason, text: String::new(), prompt_tokens, completion_tokens: 0 };
                    let event = JobEvent { request: number, choice: 0, kind: EventKind::Finish(finish) };
                    let _ = running.events.send(event);
                    running.requests.iter().for_each(|id| drop(self.engine.cancel(*id)));
                    return;
                }
            }
        }
        self.jobs.push(running);
    }

    /// Ends the jobs whose client has left.
    fn leave(&mut self) {
        for job in self.jobs.extract_if(.., |job| job.events.is_closed()) {
            job.requests.iter().for_each(|id| drop(self.engine.cancel(*id)));
        }
        self.gauges.beat(&self.engine);
    }

    fn deliver(&mut self, events: Vec<Event>) {
        // First, so that who has been answered finds a slot free and a place in the house.
        self.gauges.beat(&self.engine);
        for Event { request: id, choice, kind } in events {
            let owner = self.jobs.iter_mut().find_map(|job| {
                let request = job.requests.iter().position(|other| *other == id)?;
                Some((job, request))
            });
            let Some((job, request)) = owner else { continue };
            job.open -= usize::from(matches!(kind, EventKind::Finish(_)));
            if job.open == 0 {
                job.permit = None;
            }
            // A client that has left is noticed before the next step.
            let _ = job.events.send(JobEvent { request, choice, kind });
        }
        self.jobs.retain(|job| job.open > 0);
    }
}

/// What a panic said.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
