//! The tree, the mail about its changes, and who hands that out.

use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;
use tree::{Options, Tree};
use types::{
    AclList, ConnId, CreateCall, CreateTxn, ExtendedTypes, Instant, SessionId, Txn, TxnHeader, Xid,
    Zxid,
};

use crate::letterbox::Letterbox;
use crate::poll::{Registry, Woken};
use crate::published::{
    Address, ChangeKind, FrontId, Mail, Outbox, PublishedChange, Publisher, TreeReader,
};
use crate::watch::WatchKind;
use crate::{Care, in_many_orders};

const FRONT: FrontId = FrontId(0);
const CONN: ConnId = ConnId(7);

fn publisher() -> Publisher {
    let extended_types = ExtendedTypes::Enabled;
    Publisher::new(Tree::new(Options { extended_types, digest: true, hash_seed: 1 }), 1)
}

/// Applies a transaction as the replica does, and tells the watchers, if there are any.
fn apply(publisher: &mut Publisher, number: i64) {
    let zxid = Zxid::from_raw(number);
    let header = TxnHeader { session: SessionId(1), cxid: Xid(1), zxid, time_ms: 1 };
    let txn = Txn::Create(CreateTxn {
        call: CreateCall::Create,
        path: format!("/{number}").into(),
        data: None,
        acl: AclList::open(),
        ephemeral: false,
        parent_cversion: None,
        ttl_ms: None,
    });
    let mut section = publisher.write();
    let (tree, mut post) = section.parts();
    if post.is_watched() {
        tree.apply(&header, &txn, &mut |_| {
            let (kind, path) = (ChangeKind::Created, "/".into());
            post.publish(&Arc::new(PublishedChange {
                zxid,
                kind,
                path,
                acl: None,
                parent_acl: None,
            }));
        });
    } else {
        tree.apply(&header, &txn, &mut |_| {});
    }
}

/// The changes in the mail that has come.
fn changes(reader: &TreeReader) -> Vec<i64> {
    let mut outbox = Outbox::default();
    reader.take_mail(&mut outbox);
    let changes = outbox.mail.into_iter().filter_map(|mail| match mail {
        Mail::Change(change) => Some(change.zxid.raw()),
        _ => None,
    });
    changes.collect()
}

/// A frontend sets a watch with a read while the replica applies two transactions: it is told of exactly
/// those that its read did not show.
pub fn a_watch_set_with_a_read_hears_what_follows(care: Care) {
    in_many_orders(move || {
        let mut publisher = publisher();
        let reader = publisher.reader(FRONT);
        let frontend = thread::spawn(move || {
            let held = reader.hold();
            // Mail from before there was a watch.
            changes(&reader);
            let seen = held.last_applied().raw();
            if care == Care::Taken {
                reader.count_watches(1, 0);
            }
            drop(held);
            if care == Care::LooksTooEarly {
                reader.count_watches(1, 0);
            }
            (reader, seen)
        });
        apply(&mut publisher, 1);
        apply(&mut publisher, 2);
        let (reader, seen) = frontend.join().expect("no panic");
        let expected: Vec<i64> = (seen + 1..=2).collect();
        assert_eq!(changes(&reader), expected, "behind {seen}");
    });
}

/// Who reads the tree takes its mail while it holds it: it has every change that it sees.
pub fn no_read_shows_a_change_before_its_event(care: Care) {
    in_many_orders(move || {
        let mut publisher = publisher();
        let reader = publisher.reader(FRONT);
        reader.count_watches(1, 0);
        let frontend = thread::spawn(move || {
            let mut heard = Vec::new();
            for _ in 0..2 {
                if care == Care::LooksTooEarly {
                    heard.extend(changes(&reader));
                }
                let held = reader.hold();
                if care == Care::Taken {
                    heard.extend(changes(&reader));
                }
                let seen = held.last_applied().raw();
                assert_eq!(heard, (1..=seen).collect::<Vec<_>>(), "it sees {seen}");
            }
        });
        apply(&mut publisher, 1);
        apply(&mut publisher, 2);
        frontend.join().expect("no panic");
    });
}

/// The replica sets a watch for a frontend, which counts its watches meanwhile: what comes behind the watch is
/// told.
pub fn a_watch_that_comes_by_mail_is_not_forgotten() {
    in_many_orders(|| {
        let mut publisher = publisher();
        let reader = publisher.reader(FRONT);
        let frontend = thread::spawn(move || {
            let mut mail = Vec::new();
            for _ in 0..2 {
                let held = reader.hold();
                let mut outbox = Outbox::default();
                reader.take_mail(&mut outbox);
                let set = outbox.mail.iter().filter(|it| matches!(it, Mail::Watch { .. })).count();
                if set > 0 {
                    reader.count_watches(set, set);
                }
                drop(held);
                mail.append(&mut outbox.mail);
            }
            (reader, mail)
        });
        let mut section = publisher.write();
        section.parts().1.watch(Address { front: FRONT, conn: CONN }, "/", WatchKind::Data);
        drop(section);
        apply(&mut publisher, 1);
        let (reader, mut mail) = frontend.join().expect("no panic");
        let mut outbox = Outbox::default();
        reader.take_mail(&mut outbox);
        mail.append(&mut outbox.mail);
        assert!(
            matches!(&mail[..], [Mail::Watch { .. }, Mail::Change(_)]),
            "{mail:?} is not the watch and its event"
        );
    });
}

/// What an I/O thread and whoever has mail for its connections share, as in `server/src/io_thread.rs`.
struct Front {
    letterbox: Letterbox<()>,
    /// The connections, with how many answers they were sent.
    clients: Mutex<Clients>,
    has_post: AtomicBool,
}

struct Clients {
    reader: TreeReader,
    sent: usize,
}

impl Clients {
    fn hand_out(&mut self) {
        let mut outbox = Outbox::default();
        if self.reader.take_mail(&mut outbox) {
            self.sent += outbox.mail.len();
        }
    }
}

impl Front {
    fn see_to_mail(&self) {
        if self.has_post.swap(false, Ordering::AcqRel)
            && self.letterbox.is_asleep()
            && !self.send_now()
        {
            self.letterbox.wake();
        }
    }

    fn send_now(&self) -> bool {
        let Ok(mut clients) = self.clients.try_lock() else { return false };
        clients.hand_out();
        true
    }

    /// The I/O thread, until it sleeps and nobody has woken it.
    fn run(&self, registry: &Registry, care: Care) {
        loop {
            let clients = self.clients.lock().expect("no panic");
            let is_idle = match care {
                Care::Taken => self.letterbox.may_sleep(|| clients.reader.has_mail()),
                Care::LooksTooEarly => {
                    let has_mail = clients.reader.has_mail();
                    self.letterbox.may_sleep(|| has_mail)
                }
            };
            drop(clients);
            if is_idle && registry.sleep() == Woken::Over {
                return;
            }
            self.letterbox.awake();
            self.clients.lock().expect("no panic").hand_out();
        }
    }
}

/// The replica has an answer for a client, twice. Each is sent, by the I/O thread or by who had it, though
/// nobody comes who would wake that thread for another reason.
pub fn every_answer_is_sent(care: Care) {
    in_many_orders(move || {
        let mut publisher = publisher();
        let registry = Registry::new();
        let front = Arc::new(Front {
            letterbox: Letterbox::new(&registry).expect("it has a waker"),
            clients: Mutex::new(Clients { reader: publisher.reader(FRONT), sent: 0 }),
            has_post: AtomicBool::new(false),
        });
        let io = {
            let (front, registry) = (Arc::clone(&front), registry.share());
            thread::spawn(move || front.run(&registry, care))
        };
        for _ in 0..2 {
            let answer = |out: &mut Vec<u8>| out.push(1);
            publisher.read().1.outbox(FRONT).reply(CONN, Instant::default(), answer);
            publisher.post(|_| front.has_post.store(true, Ordering::Release));
            front.see_to_mail();
        }
        registry.end();
        io.join().expect("no panic");
        assert_eq!(front.clients.lock().expect("no panic").sent, 2, "an answer is left lying");
    });
}
