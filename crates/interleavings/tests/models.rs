//! Each piece of work comes out well in many orders; and done with a mistake, it does not.
//!
//! `ITERATIONS=1000000 cargo test --release -p interleavings` takes minutes instead of seconds.

use std::panic;

use interleavings::Care::{self, LooksTooEarly, Taken};
use interleavings::{helm, mail, queues};

/// A piece of work that shows nothing if it is done with a mistake.
fn check(work: fn(Care)) {
    work(Taken);
    let found = panic::catch_unwind(|| work(LooksTooEarly));
    assert!(found.is_err(), "the mistake is not noticed");
}

#[test]
fn an_inbox_loses_nothing() {
    queues::an_inbox_loses_nothing();
}

#[test]
fn nothing_is_told_after_a_failed_sync() {
    queues::nothing_is_told_after_a_failed_sync();
}

#[test]
fn a_letterbox_wakes_who_sleeps() {
    queues::a_letterbox_wakes_who_sleeps();
}

#[test]
fn who_is_stopped_does_not_sleep() {
    queues::who_is_stopped_does_not_sleep();
}

#[test]
fn no_news_are_left_lying_at_the_helm() {
    check(helm::nothing_is_left_lying);
}

#[test]
fn a_watch_set_with_a_read_hears_what_follows() {
    check(mail::a_watch_set_with_a_read_hears_what_follows);
}

#[test]
fn no_read_shows_a_change_before_its_event() {
    check(mail::no_read_shows_a_change_before_its_event);
}

#[test]
fn a_watch_that_comes_by_mail_is_not_forgotten() {
    mail::a_watch_that_comes_by_mail_is_not_forgotten();
}

#[test]
fn every_answer_is_sent() {
    check(mail::every_answer_is_sent);
}
