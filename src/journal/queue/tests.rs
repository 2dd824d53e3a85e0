use super::*;
use proptest::prelude::*;
use std::sync::mpsc::{self, Receiver, SyncSender};

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Item(u32),
    Missing(u32, u64),
    Settled,
}

/// A disk in a test's hands: each write begins when the test lets it.
struct Disk {
    begun: mpsc::Sender<()>,
    go: Receiver<()>,
    seen: mpsc::Sender<Seen>,
    settles: Option<Duration>,
}

struct Hands {
    begun: Receiver<()>,
    go: SyncSender<()>,
    seen: Receiver<Seen>,
}

fn disk(settles: Option<Duration>) -> (Disk, Hands) {
    let ((begin, begun), (go, going), (tell, seen)) =
        (mpsc::channel(), mpsc::sync_channel(100_000), mpsc::channel());
    (Disk { begun: begin, go: going, seen: tell, settles }, Hands { begun, go, seen })
}

impl Disk {
    fn take(&self, what: Seen) {
        let _ = self.begun.send(());
        // It is stuck until it is let go, or until nobody can.
        let _ = self.go.recv();
        let _ = self.seen.send(what);
    }
}

impl Sink<u32> for Disk {
    fn write(&mut self, item: u32) {
        self.take(Seen::Item(item));
    }

    fn missing(&mut self, first: u32, count: u64) {
        self.take(Seen::Missing(first, count));
    }

    fn settles(&self) -> Option<Duration> {
        self.settles
    }

    fn settle(&mut self) {
        let _ = self.seen.send(Seen::Settled);
    }
}

impl Hands {
    fn let_go(&self, times: usize) {
        (0..times).for_each(|_| self.go.send(()).unwrap());
    }

    /// The next so many things.
    fn next(&self, count: usize) -> Vec<Seen> {
        (0..count).map(|_| self.seen.recv_timeout(PATIENCE).unwrap()).collect()
    }
}

#[test]
fn a_stuck_sink_stops_nobody_and_what_is_lost_is_counted_in_its_place() {
    let (disk, hands) = disk(None);
    let queue = Queue::new("test", 3, disk);
    queue.push(0);
    hands.begun.recv_timeout(PATIENCE).unwrap();
    // The first is being written and does not end. All of these calls return.
    (1..=100_000).for_each(|item| queue.push(item));
    assert!(!queue.flush(Duration::from_millis(1)), "nothing of it is written");
    let lost = Seen::Missing(4, 99_997);
    hands.let_go(2);
    assert_eq!(hands.next(2), [Seen::Item(0), Seen::Item(1)]);
    hands.begun.recv_timeout(PATIENCE).unwrap();
    hands.begun.recv_timeout(PATIENCE).unwrap();
    // The third is begun, so there is room for two more.
    (200_000..200_005).for_each(|item| queue.push(item));
    hands.let_go(20);
    let expected = [
        Seen::Item(2),
        Seen::Item(3),
        lost,
        Seen::Item(200_000),
        Seen::Item(200_001),
        Seen::Missing(200_002, 3),
    ];
    assert_eq!(hands.next(6), expected);
    assert!(queue.flush(PATIENCE));
}

#[test]
fn a_flush_ends_when_all_is_written_or_its_time_is_over() {
    let (disk, hands) = disk(None);
    let queue = Queue::new("test", 10, disk);
    assert!(queue.flush(Duration::ZERO), "there is nothing to write");
    queue.push(1);
    assert!(!queue.flush(Duration::from_millis(5)));
    hands.let_go(1);
    assert!(queue.flush(PATIENCE));
    assert_eq!(hands.next(1), [Seen::Item(1)]);
}

#[test]
fn what_is_queued_is_written_after_the_last_owner_is_gone_and_settled() {
    let (disk, hands) = disk(Some(PATIENCE * 10));
    let queue = Queue::new("test", 10, disk);
    let other = queue.clone();
    (0..3).for_each(|item| queue.push(item));
    drop(queue);
    other.push(3);
    drop(other);
    hands.let_go(4);
    let expected = [Seen::Item(0), Seen::Item(1), Seen::Item(2), Seen::Item(3), Seen::Settled];
    assert_eq!(hands.next(5), expected);
    // The thread is gone, its sink with it.
    assert_eq!(hands.seen.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn what_was_written_is_settled_once_it_is_quiet_or_much() {
    let (disk, hands) = disk(Some(Duration::from_millis(1)));
    let queue = Queue::new("test", 1000, disk);
    hands.let_go(1000);
    queue.push(0);
    assert_eq!(hands.next(2), [Seen::Item(0), Seen::Settled]);
    let (disk, hands) = self::disk(Some(PATIENCE * 10));
    let queue = Queue::new("test", 1000, disk);
    (0..u32::try_from(UNSETTLED).unwrap()).for_each(|item| queue.push(item));
    hands.let_go(1000);
    assert_eq!(hands.next(UNSETTLED + 1).last(), Some(&Seen::Settled));
    assert!(queue.flush(PATIENCE));
    assert!(hands.seen.try_recv().is_err(), "once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_is_overtaken_and_everything_is_told(room in 1usize..6, steps in proptest::collection::vec(0usize..4, 1..40)) {
        let (disk, hands) = disk(None);
        let queue = Queue::new("test", room, disk);
        let mut pushed = 0;
        for step in &steps {
            // Some items, and some of them written.
            for _ in 0..*step {
                queue.push(pushed);
                pushed += 1;
            }
            hands.let_go(step / 2);
        }
        hands.let_go(1000);
        prop_assert!(queue.flush(PATIENCE));
        let mut next = 0;
        for seen in hands.seen.try_iter() {
            match seen {
                Seen::Item(item) => {
                    prop_assert_eq!(item, next);
                    next += 1;
                }
                Seen::Missing(first, count) => {
                    prop_assert_eq!(first, next);
                    next += u32::try_from(count).unwrap();
                }
                Seen::Settled => prop_assert!(false, "there is nothing to settle"),
            }
        }
        prop_assert_eq!(next, pushed);
    }
}

#[test]
fn a_sink_that_panics_costs_one_item_and_not_the_log() {
    struct Fragile(mpsc::Sender<u32>);
    impl Sink<u32> for Fragile {
        fn write(&mut self, item: u32) {
            assert_ne!(item, 1, "as wanted");
            self.0.send(item).unwrap();
        }
        fn missing(&mut self, _: u32, _: u64) {}
    }
    let (tell, seen) = mpsc::channel();
    let queue = Queue::new("fragile", 8, Fragile(tell));
    queue.push(1);
    queue.push(2);
    assert!(queue.flush(PATIENCE));
    assert_eq!(seen.try_recv(), Ok(2));
}
