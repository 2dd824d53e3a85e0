//! A thread that writes what nobody may wait for: the agent goes on while a disk or the system's journal is stuck.
//!
//! The queue has a limit. What does not fit is thrown away and counted, and the count stands where the lost items would have
//! stood: what is written is always in the order of the calls.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// So many items are written at most before they are settled, however fast they come.
const UNSETTLED: usize = 64;
/// A thread that panics waits so long for what was queued: the last events before it tell most.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// What a queue writes to. It is called on the queue's own thread, and may block there.
pub trait Sink<T>: Send + 'static {
    /// Writes the next item. What goes wrong is the sink's to tell.
    fn write(&mut self, item: T);

    /// At this place `count` items are missing; `first` was the first of them.
    fn missing(&mut self, first: T, count: u64);

    /// How long nothing must have come before [`Sink::settle`] is called; `None` where there is nothing to settle.
    fn settles(&self) -> Option<Duration> {
        None
    }

    /// Makes last what was written.
    fn settle(&mut self) {}
}

/// Items on their way to a [`Sink`]. Clones are the same queue; when the last is gone, the thread writes what is left and ends.
pub struct Queue<T: Send + 'static>(Arc<Owner<T>>);

/// Its end is the queue's.
struct Owner<T: Send + 'static> {
    name: &'static str,
    room: usize,
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Something is to be done.
    work: Condvar,
    /// Everything is written.
    done: Condvar,
    /// Locked by the thread as long as it lives.
    sink: Mutex<Box<dyn Sink<T>>>,
}

struct State<T> {
    waiting: VecDeque<Job<T>>,
    /// Items among them.
    items: usize,
    /// The thread is writing one.
    busy: bool,
    /// There is a thread.
    runs: bool,
    closed: bool,
}

enum Job<T> {
    Write(T),
    Missing { first: T, count: u64 },
}

enum Next<T> {
    Job(Job<T>),
    Quiet,
    End,
}

impl<T: Send + 'static> Queue<T> {
    /// A queue for at most `room` items that wait. Its thread, of this name (15 octets at most), starts with the first item.
    pub fn new(name: &'static str, room: usize, sink: impl Sink<T>) -> Self {
        let state = State { waiting: VecDeque::new(), items: 0, busy: false, runs: false, closed: false };
        let shared = Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            done: Condvar::new(),
            sink: Mutex::new(Box::new(sink)),
        };
        Self(Arc::new(Owner { name, room, shared: Arc::new(shared) }))
    }

    /// Takes an item, or counts it where there is no room. Waits for nobody.
    pub fn push(&self, item: T) {
        let Owner { name, room, shared } = &*self.0;
        let mut state = shared.lock();
        if !state.runs {
            // A machine that has no thread to give may have one for the next item.
            let of_thread = Arc::clone(shared);
            let begun = thread::Builder::new().name((*name).to_owned()).spawn(move || of_thread.run());
            state.runs = begun.is_ok();
        }
        if state.items < *room {
            state.items += 1;
            state.waiting.push_back(Job::Write(item));
        } else if let Some(Job::Missing { count, .. }) = state.waiting.back_mut() {
            *count = count.saturating_add(1);
        } else {
            state.waiting.push_back(Job::Missing { first: item, count: 1 });
        }
        shared.work.notify_one();
    }

    /// Waits until everything is written, for at most `limit`; whether it is.
    pub fn flush(&self, limit: Duration) -> bool {
        self.0.shared.flush(limit)
    }
}

impl<T: Send + 'static> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Without what is in it.
impl<T: Send + 'static> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Drop for Owner<T> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        if thread::panicking() {
            self.shared.flush(LAST_WORDS);
        }
    }
}

impl<T: Send + 'static> Shared<T> {
    /// Nothing that is done under the lock can leave it half done.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self, limit: Duration) -> bool {
        let left = |state: &mut State<T>| state.busy || !state.waiting.is_empty();
        let waited = self.done.wait_timeout_while(self.lock(), limit, left);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn run(&self) {
        let _running = Running(self);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unsettled = 0;
        loop {
            let quiet = sink.settles().filter(|_| unsettled > 0);
            match self.next(quiet) {
                Next::Job(job) => {
                    // A sink that panics over an item takes the next one.
                    let _ = panic::catch_unwind(AssertUnwindSafe(|| match job {
                        Job::Write(item) => sink.write(item),
                        Job::Missing { first, count } => sink.missing(first, count),
                    }));
                    unsettled += 1;
                    if unsettled < UNSETTLED {
                        continue;
                    }
                }
                Next::Quiet => {}
                Next::End => break,
            }
            sink.settle();
            unsettled = 0;
        }
        if unsettled > 0 {
            sink.settle();
        }
    }

    /// Waits for the next job; with `quiet`, only so long.
    fn next(&self, quiet: Option<Duration>) -> Next<T> {
        let mut state = self.lock();
        state.busy = false;
        if state.waiting.is_empty() {
            self.done.notify_all();
        }
        let nothing = |state: &mut State<T>| state.waiting.is_empty() && !state.closed;
        state = match quiet {
            Some(quiet) => {
                let waited = self.work.wait_timeout_while(state, quiet, nothing);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.work.wait_while(state, nothing).unwrap_or_else(PoisonError::into_inner),
        };
        match state.waiting.pop_front() {
            Some(job) => {
                state.items -= usize::from(matches!(job, Job::Write(_)));
                state.busy = true;
                Next::Job(job)
            }
            None if state.closed => Next::End,
            None => Next::Quiet,
        }
    }
}

/// Where the thread ends, of a panic too, the next item gets another one.
struct Running<'a, T: Send + 'static>(&'a Shared<T>);

impl<T: Send + 'static> Drop for Running<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        (state.busy, state.runs) = (false, false);
        self.0.done.notify_all();
    }
}

#[cfg(test)]
mod tests;
