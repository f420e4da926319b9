//! What one thread leaves for another, in an inbox or a letterbox.

use shuttle::sync::Arc;
use shuttle::thread;

use crate::in_many_orders;
use crate::inbox::{Inbox, Taken};
use crate::letterbox::Letterbox;
use crate::poll::Registry;

/// Two threads put into an inbox that a third empties: it gets everything, of each thread in order, and ends
/// when the inbox is closed.
pub fn an_inbox_loses_nothing() {
    in_many_orders(|| {
        let inbox = Arc::new(Inbox::default());
        let bringers = [[1, 2], [11, 12]].map(|things| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || things.into_iter().for_each(|thing| inbox.put(thing)))
        });
        let reader = {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || {
                let (mut all, mut things) = (Vec::new(), Vec::new());
                while inbox.take(&mut things, None) == Taken::Open {
                    all.append(&mut things);
                }
                all
            })
        };
        for bringer in bringers {
            bringer.join().expect("no panic");
        }
        inbox.close();
        let all = reader.join().expect("no panic");
        let (of_one, of_other): (Vec<i32>, Vec<i32>) = all.into_iter().partition(|&it| it < 10);
        assert_eq!((of_one, of_other), (vec![1, 2], vec![11, 12]));
    });
}

/// The log thread ends when its disk fails. What it has told of is synced, nothing after the failure is, and
/// nobody waits for it.
pub fn nothing_is_told_after_a_failed_sync() {
    in_many_orders(|| {
        let (jobs, told) = (Arc::new(Inbox::default()), Arc::new(Inbox::default()));
        let log = {
            let (jobs, told) = (Arc::clone(&jobs), Arc::clone(&told));
            thread::spawn(move || {
                let mut group = Vec::new();
                while jobs.take(&mut group, None) == Taken::Open {
                    // The disk fails with the second transaction; all of its group are lost then.
                    if group.contains(&2) {
                        break;
                    }
                    group.drain(..).for_each(|zxid| told.put(zxid));
                }
            })
        };
        for zxid in [1, 2, 3] {
            jobs.put(zxid);
        }
        log.join().expect("no panic");
        let mut heard = Vec::new();
        told.close();
        told.take(&mut heard, None);
        assert!(heard.is_empty() || heard == [1], "{heard:?} were told of");
    });
}

/// A thread that sleeps where the system tells of events is woken by what two others leave for it.
pub fn a_letterbox_wakes_who_sleeps() {
    in_many_orders(|| {
        let registry = Registry::new();
        let letterbox = Arc::new(Letterbox::new(&registry).expect("it has a waker"));
        let reader = {
            let letterbox = Arc::clone(&letterbox);
            thread::spawn(move || {
                let mut found = 0;
                while found < 2 {
                    if letterbox.may_sleep(|| false) {
                        registry.sleep();
                    }
                    letterbox.awake();
                    found += letterbox.take().len();
                }
            })
        };
        let other = {
            let letterbox = Arc::clone(&letterbox);
            thread::spawn(move || letterbox.put(1))
        };
        letterbox.put(2);
        other.join().expect("no panic");
        reader.join().expect("no panic");
    });
}

/// A thread that is to end does, be it asleep or about to sleep.
pub fn who_is_stopped_does_not_sleep() {
    in_many_orders(|| {
        let registry = Registry::new();
        let letterbox: Arc<Letterbox<i32>> =
            Arc::new(Letterbox::new(&registry).expect("it has a waker"));
        let reader = {
            let letterbox = Arc::clone(&letterbox);
            thread::spawn(move || {
                while !letterbox.is_stopped() {
                    if letterbox.may_sleep(|| false) {
                        registry.sleep();
                    }
                    letterbox.awake();
                }
            })
        };
        letterbox.stop();
        reader.join().expect("no panic");
    });
}
