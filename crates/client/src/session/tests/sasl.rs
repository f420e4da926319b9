//! Sessions that begin each connection with an exchange of SASL tokens.

use super::*;

/// A session with one server, which has accepted it.
fn greeted() -> Script {
    let session = Session::new(Config {
        hosts: 1,
        timeout: TIMEOUT,
        chroot: Chroot::default(),
        read_only: false,
        resume: None,
        frame_bytes_max: 0xf_ffff,
        seed: 1,
    });
    let mut script = Script::of(session.with_sasl());
    script.ask(1, create("/a"));
    script.ask(2, auth("digest"));
    script.accept();
    script
}

fn token(text: &str) -> Op<'static> {
    Op::Sasl(Some(text.as_bytes().to_vec().into()))
}

impl Script {
    fn take_turn(&mut self, step: SaslStep) {
        self.step(Input::Sasl { conn: self.conn(), step });
    }

    fn say(&mut self, text: &str) {
        self.take_turn(SaslStep::Token(text.as_bytes().to_vec()));
    }

    fn hear(&mut self, xid: i32, text: &str) {
        self.reply(xid, 0, Ok(Body::Token(Some(text.as_bytes()))));
    }
}

#[test]
fn sends_nothing_but_tokens_until_the_program_is_done() {
    let mut script = greeted();
    assert_eq!(script.turns, [None]);
    script.say("");
    assert_eq!(script.sent(), [(1, token(""))]);
    script.hear(1, "challenge");
    script.ask(3, get("/a", false));
    script.say("response");
    assert_eq!(script.sent(), [(2, token("response"))]);
    script.hear(2, "proof");
    assert_eq!(script.turns[1..], [Some(Some(b"challenge".into())), Some(Some(b"proof".into()))]);
    assert_eq!(script.states, []);

    script.take_turn(SaslStep::Done);
    assert_eq!(script.states, [SessionState::Connected]);
    let sent = script.sent();
    assert_eq!(sent, [(-4, auth("digest")), (3, create("/a")), (4, get("/a", false))]);
    script.reply(-4, 0, Ok(Body::Empty));
    assert_eq!(script.completed(), [(2, Ok(Response::Done))]);
}

#[test]
fn null_is_a_turn_too() {
    let mut script = greeted();
    script.say("all there is to say");
    script.reply(1, 0, Ok(Body::Token(None)));
    assert_eq!(script.turns, [None, Some(None)]);
    script.take_turn(SaslStep::Done);
    assert_eq!(script.session.state(), SessionState::Connected);
}

#[test]
fn every_connection_has_an_exchange_of_its_own() {
    let mut script = greeted();
    script.say("one");
    script.disconnect();
    assert_eq!(script.states, [SessionState::Disconnected]);
    script.sleep_until_due();
    let request = script.accept();
    assert_eq!(request[4 + 4 + 8 + 4..][..8], SESSION.0.to_be_bytes(), "the session is resumed");
    assert_eq!(script.turns, [None, None]);
    script.say("two");
    assert_eq!(script.sent(), [(2, token("two"))]);
    script.hear(2, "welcome");
    script.take_turn(SaslStep::Done);
    assert_eq!(script.session.state(), SessionState::Connected);
}

#[test]
fn ends_when_the_server_refuses() {
    let mut script = greeted();
    script.say("wrong");
    let mut bytes = Vec::new();
    wire::reply::encode_sasl_refusal(&mut bytes, Xid(1), ErrorCode::AuthFailed);
    script.receive(&bytes);
    assert_eq!(script.states, [SessionState::AuthFailed]);
    assert_eq!(script.hung_up, Some(HangUp::Over));
    assert_eq!(script.completed(), [(1, Err(Error::AuthFailed)), (2, Err(Error::AuthFailed))]);
}

#[test]
fn ends_when_the_program_gives_up() {
    let mut script = greeted();
    script.say("who are you?");
    script.hear(1, "an impostor");
    script.step(Input::SaslFailed(script.conn()));
    assert_eq!(script.states, [SessionState::AuthFailed]);
    script.ask(3, get("/a", false));
    assert_eq!(script.completed().pop(), Some((3, Err(Error::AuthFailed))));
}

#[test]
fn does_not_ping_but_gives_a_silent_server_up() {
    let mut script = greeted();
    script.say("anybody there?");
    script.sent_bytes();
    assert_eq!(script.sleep_until_due(), TIMEOUT, "all the time that one server of one has");
    assert_eq!(script.hung_up, Some(HangUp::Unanswered));
    assert_eq!(script.sent(), []);
}

#[test]
fn takes_the_program_at_its_word_only_in_its_turn_and_on_its_connection() {
    let mut script = greeted();
    let first = script.conn();
    script.say("one");
    script.sent_bytes();
    script.say("two");
    script.take_turn(SaslStep::Done);
    assert_eq!(script.sent(), [], "it is the server's turn");
    script.disconnect();
    script.sleep_until_due();
    script.accept();
    script.step(Input::Sasl { conn: first, step: SaslStep::Done });
    script.step(Input::SaslFailed(first));
    assert_eq!(script.session.state(), SessionState::Disconnected);
}

#[test]
fn a_server_that_speaks_out_of_turn_is_left() {
    for xid in [1, 7, -2] {
        let mut script = greeted();
        if xid != 1 {
            script.say("one");
        }
        script.hear(xid, "challenge");
        let expected = (xid != 1).then_some(1);
        let misbehaved = ServerMisbehaved::OutOfOrder { expected, got: xid };
        assert_eq!(script.hung_up, Some(HangUp::Misbehaved(misbehaved)));
    }
}

#[test]
fn tokens_may_come_in_pieces() {
    let mut script = greeted();
    script.say("one");
    let mut bytes = Vec::new();
    let (zxid, result) = (Zxid::ZERO, Ok(Body::Token(Some(b"challenge"))));
    Reply { xid: Xid(1), zxid, result }.encode(&mut bytes);
    for byte in bytes {
        assert_eq!(script.turns, [None]);
        script.receive(&[byte]);
    }
    assert_eq!(script.turns, [None, Some(Some(b"challenge".into()))]);
}
