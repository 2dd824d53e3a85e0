//! Tasks that can be stopped as a whole, as a suspended machine stops its processes: no event reaches them, and none is lost.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug, Default)]
struct Ice {
    frozen: bool,
    waiting: Vec<Waker>,
}

/// Freezes and thaws tasks.
#[derive(Clone, Debug, Default)]
pub struct Freezer(Arc<Mutex<Ice>>);

impl Freezer {
    /// The tasks are not run any more.
    pub fn freeze(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).frozen = true;
    }

    /// The tasks go on.
    pub fn thaw(&self) {
        let mut ice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ice.frozen = false;
        for waker in ice.waiting.drain(..) {
            waker.wake();
        }
    }

    /// `task`, obeying this freezer.
    pub fn guard<F: Future>(&self, task: F) -> Guarded<F> {
        Guarded { freezer: self.clone(), task: Box::pin(task) }
    }

    /// True where the task must wait.
    fn holds(&self, waker: &Waker) -> bool {
        let mut ice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ice.frozen && !ice.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            ice.waiting.push(waker.clone());
        }
        ice.frozen
    }
}

/// See [`Freezer::guard`].
pub struct Guarded<F> {
    freezer: Freezer,
    task: Pin<Box<F>>,
}

impl<F: Future> Future for Guarded<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.freezer.holds(context.waker()) {
            return Poll::Pending;
        }
        self.task.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test(flavor = "current_thread")]
    async fn a_frozen_task_does_nothing_and_misses_nothing() {
        let freezer = Freezer::default();
        let (into, mut from) = mpsc::channel::<u32>(4);
        let (back, mut seen) = mpsc::channel::<u32>(4);
        let echo = async move {
            while let Some(n) = from.recv().await {
                back.send(n).await.unwrap();
            }
        };
        let task = tokio::spawn(freezer.guard(echo));
        into.send(1).await.unwrap();
        assert_eq!(seen.recv().await, Some(1));
        freezer.freeze();
        into.send(2).await.unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(seen.try_recv().is_err());
        freezer.thaw();
        assert_eq!(seen.recv().await, Some(2));
        drop(into);
        task.await.unwrap();
    }
}
