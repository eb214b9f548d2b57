//! The thread pool of kernels: tasks are numbered and taken from a counter; workers spin briefly, then sleep.
//!
//! A run never waits for a worker that has not started: the caller can do all tasks alone, so a pre-empted or slowly
//! woken worker costs parallelism, not time. What a task computes depends on its number only, so results do not depend
//! on who ran it.

use crate::scratch::Scratch;
use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long an idle worker spins before it sleeps: longer than the gap between two ops, shorter than a time slice.
const SPIN: Duration = Duration::from_micros(50);

/// What workers call: a task's number, and their own scratch.
type Task<'a> = dyn Fn(usize, &mut Scratch) + Sync + 'a;

/// A run's task function, its lifetime erased; valid while the gate of its run is open or has workers inside.
#[derive(Clone, Copy)]
struct Job(*const Task<'static>);

// SAFETY: the function behind it is Sync, and `run` keeps it alive for as long as any worker can reach it.
unsafe impl Send for Job {}

/// `gate` holds the run's number in its upper half, an open bit, and the workers inside in its lowest bits.
const OPEN: u64 = 1 << 31;
const INSIDE: u64 = OPEN - 1;

/// A thread's scratch: its thread uses it during a run, the pool's owner between runs.
struct Slot(UnsafeCell<Scratch>);

// SAFETY: as above, never two at a time.
unsafe impl Sync for Slot {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Slot {}

struct Shared {
    gate: AtomicU64,
    next: AtomicUsize,
    tasks: AtomicUsize,
    job: Mutex<Option<Job>>,
    stop: AtomicBool,
    sleeping: Vec<AtomicBool>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// The caller's first.
    scratch: Vec<Slot>,
}

impl Shared {
    /// # Safety
    /// The calling thread is the only one that uses it.
    #[expect(clippy::mut_from_ref, reason = "the caller promises to be the only one")]
    unsafe fn scratch(&self, thread: usize) -> &mut Scratch {
        // SAFETY: the caller's.
        unsafe { &mut *self.scratch[thread].0.get() }
    }
}

/// A fixed set of threads, the caller's among them.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<(Thread, Option<JoinHandle<()>>)>,
}

impl Pool {
    /// A pool of `threads` threads (at least the caller's).
    pub fn new(threads: usize) -> Self {
        let extra = threads.max(1) - 1;
        let shared = Arc::new(Shared {
            gate: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            job: Mutex::new(None),
            stop: AtomicBool::new(false),
            sleeping: (0..extra).map(|_| AtomicBool::new(false)).collect(),
            panic: Mutex::new(None),
            scratch: (0..=extra).map(|_| Slot(UnsafeCell::new(Scratch::new()))).collect(),
        });
        let spawn = |i: usize| {
            let shared = shared.clone();
            let builder = std::thread::Builder::new().name(format!("kernel-{}", i + 1));
            let handle = builder.spawn(move || work(&shared, i)).expect("a thread of the pool starts");
            (handle.thread().clone(), Some(handle))
        };
        let workers = (0..extra).map(spawn).collect();
        Pool { shared, workers }
    }

    /// Threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Prepares every thread's scratch for the next run, whichever of them will have tasks.
    pub fn prepare(&mut self, mut scratch: impl FnMut(&mut Scratch)) {
        for thread in 0..self.threads() {
            // SAFETY: no run is going on, for those borrow the pool; outside runs workers leave their scratch alone.
            scratch(unsafe { self.shared.scratch(thread) });
        }
    }

    /// Runs tasks `0..tasks`, each once, in any order and on any thread. Panics if one does.
    pub fn run(&mut self, tasks: usize, task: &Task) {
        let shared = &*self.shared;
        // SAFETY: the first is the caller's, who has the pool for itself.
        let own = unsafe { shared.scratch(0) };
        if tasks <= 1 || self.workers.is_empty() {
            (0..tasks).for_each(|i| task(i, own));
            return;
        }
        // SAFETY: only the lifetime changes. The gate is closed and empty before this function returns, also when a
        // task panics, so no worker calls the function after that.
        let erased = unsafe { std::mem::transmute::<*const Task<'_>, *const Task<'static>>(task) };
        *shared.job.lock().expect("no panic under this lock") = Some(Job(erased));
        shared.tasks.store(tasks, Ordering::Relaxed);
        shared.next.store(0, Ordering::Relaxed);
        let run = (shared.gate.load(Ordering::Relaxed) >> 32) + 1;
        shared.gate.store(run << 32 | OPEN, Ordering::SeqCst);
        for (i, (thread, _)) in self.workers.iter().enumerate() {
            if shared.sleeping[i].load(Ordering::SeqCst) {
                thread.unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(|| drain(shared, task, own)));
        shared.gate.fetch_and(!OPEN, Ordering::SeqCst);
        let mut spins = 0u32;
        while shared.gate.load(Ordering::Acquire) & INSIDE != 0 {
            spins += 1;
            // A worker inside may have been pre-empted: let it have this core.
            if spins.is_multiple_of(4096) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        *shared.job.lock().expect("no panic under this lock") = None;
        let other = shared.panic.lock().expect("no panic under this lock").take();
        if let Some(cause) = own.err().or(other) {
            resume_unwind(cause);
        }
    }
}

/// Takes tasks until none is left.
fn drain(shared: &Shared, task: &Task, scratch: &mut Scratch) {
    let tasks = shared.tasks.load(Ordering::Relaxed);
    loop {
        let i = shared.next.fetch_add(1, Ordering::Relaxed);
        if i >= tasks {
            return;
        }
        task(i, scratch);
    }
}

/// A worker's life: enter open gates, spin, sleep.
fn work(shared: &Shared, me: usize) {
    let mut done = 0;
    let mut idle = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        let gate = shared.gate.load(Ordering::SeqCst);
        if gate >> 32 == done || gate & OPEN == 0 {
            if idle.elapsed() < SPIN {
                std::hint::spin_loop();
                continue;
            }
            shared.sleeping[me].store(true, Ordering::SeqCst);
            // Whoever opens a gate after this load sees the flag and wakes us.
            let gate = shared.gate.load(Ordering::SeqCst);
            if (gate >> 32 == done || gate & OPEN == 0) && !shared.stop.load(Ordering::SeqCst) {
                std::thread::park();
            }
            shared.sleeping[me].store(false, Ordering::SeqCst);
            idle = Instant::now();
            continue;
        }
        if shared.gate.compare_exchange(gate, gate + 1, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            continue;
        }
        done = gate >> 32;
        let job = shared.job.lock().expect("no panic under this lock").expect("an open gate has a job");
        // SAFETY: we are inside the gate, so the run that owns the function has not returned.
        let task = unsafe { &*job.0 };
        // SAFETY: inside the gate this worker alone uses its own.
        let scratch = unsafe { shared.scratch(me + 1) };
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| drain(shared, task, scratch))) {
            *shared.panic.lock().expect("no panic under this lock") = Some(cause);
        }
        shared.gate.fetch_sub(1, Ordering::Release);
        idle = Instant::now();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for (thread, handle) in &mut self.workers {
            thread.unpark();
            if let Some(handle) = handle.take() {
                let _ = handle.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 5] {
            let mut pool = Pool::new(threads);
            for tasks in [0, 1, 2, 7, 1000] {
                for _ in 0..50 {
                    let hits: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                    pool.run(tasks, &|i, _| {
                        hits[i].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 1));
                }
            }
        }
    }

    #[test]
    fn workers_wake_from_sleep() {
        let mut pool = Pool::new(3);
        for _ in 0..5 {
            std::thread::sleep(SPIN * 20);
            let sum = AtomicUsize::new(0);
            pool.run(100, &|i, _| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 4950);
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let mut pool = Pool::new(2);
        for bad in [0, 50, 99] {
            let result = catch_unwind(AssertUnwindSafe(|| pool.run(100, &|i, _| assert_ne!(i, bad))));
            assert!(result.is_err());
        }
        let count = AtomicUsize::new(0);
        pool.run(10, &|_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 10);
    }
}
