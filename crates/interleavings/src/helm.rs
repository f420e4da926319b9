//! Who runs the replica: a copy of what `server/src/helm.rs` does with its locks.

use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::sync::{Arc, Condvar, Mutex, TryLockResult};
use shuttle::thread;

use crate::{Care, in_many_orders};

/// What the replica says when it has nothing to do before that.
const LATER: u64 = 100;
/// When something is due after news that say so.
const SOON: u64 = 5;

#[derive(Debug)]
struct Helm {
    news: Mutex<Vec<u32>>,
    steering: Mutex<Steering>,
    watch: Mutex<Watch>,
    called: Condvar,
    asleep_until: AtomicU64,
    care: Care,
}

/// What only who is at the helm touches.
#[derive(Debug)]
struct Steering {
    taken: Vec<u32>,
    deadline: u64,
}

#[derive(Default, Debug)]
struct Watch {
    is_called: bool,
    /// Until when the thread sleeps that keeps watch.
    sleeps_until: Option<u64>,
    is_over: bool,
}

impl Helm {
    fn tell(&self, news: u32) {
        self.news.lock().expect("no panic").push(news);
        let steering: TryLockResult<_> = self.steering.try_lock();
        let Ok(mut steering) = steering else { return };
        self.step(&mut steering);
        let is_left = self.care == Care::LooksTooEarly && self.has_news();
        drop(steering);
        if is_left || self.care == Care::Taken && self.has_news() {
            self.call();
        }
    }

    fn keep_watch(&self) {
        loop {
            let mut steering = self.steering.lock().expect("no panic");
            self.step(&mut steering);
            let deadline = steering.deadline;
            if self.care == Care::Taken {
                self.asleep_until.store(deadline, Ordering::SeqCst);
            }
            drop(steering);
            if self.care == Care::LooksTooEarly {
                self.asleep_until.store(deadline, Ordering::SeqCst);
            }
            if !self.has_news() && self.sleep(deadline) {
                return;
            }
            self.asleep_until.store(0, Ordering::SeqCst);
        }
    }

    /// Sleeps until it is called. Returns whether it is not, and never will be.
    fn sleep(&self, deadline: u64) -> bool {
        let mut watch = self.watch.lock().expect("no panic");
        while !watch.is_called {
            watch.sleeps_until = Some(deadline);
            if watch.is_over {
                return true;
            }
            watch = self.called.wait(watch).expect("no panic");
        }
        watch.is_called = false;
        watch.sleeps_until = None;
        false
    }

    fn step(&self, steering: &mut Steering) {
        let news = std::mem::take(&mut *self.news.lock().expect("no panic"));
        for news in news {
            if u64::from(news) == SOON {
                steering.deadline = SOON;
            }
            steering.taken.push(news);
        }
        if steering.deadline < self.asleep_until.load(Ordering::SeqCst) {
            self.call();
        }
    }

    fn call(&self) {
        self.watch.lock().expect("no panic").is_called = true;
        self.called.notify_one();
    }

    fn has_news(&self) -> bool {
        !self.news.lock().expect("no panic").is_empty()
    }
}

/// Two threads bring news, of which one lets something be due early, while a third keeps watch: all news are
/// taken though nobody brings more, and nobody sleeps beyond what is due.
pub fn nothing_is_left_lying(care: Care) {
    in_many_orders(move || {
        let helm = Arc::new(Helm {
            news: Mutex::default(),
            steering: Mutex::new(Steering { taken: Vec::new(), deadline: LATER }),
            watch: Mutex::default(),
            called: Condvar::new(),
            asleep_until: AtomicU64::new(0),
            care,
        });
        let keeper = {
            let helm = Arc::clone(&helm);
            thread::spawn(move || helm.keep_watch())
        };
        let other = {
            let helm = Arc::clone(&helm);
            thread::spawn(move || helm.tell(1))
        };
        helm.tell(u32::try_from(SOON).expect("small"));
        other.join().expect("no panic");
        helm.watch.lock().expect("no panic").is_over = true;
        helm.called.notify_one();
        keeper.join().expect("no panic");
        let taken = &mut helm.steering.lock().expect("no panic").taken;
        taken.sort_unstable();
        assert_eq!(*taken, [1, 5], "news are left lying");
        let sleeps_until = helm.watch.lock().expect("no panic").sleeps_until;
        assert_eq!(sleeps_until, Some(SOON), "it sleeps too long");
    });
}
