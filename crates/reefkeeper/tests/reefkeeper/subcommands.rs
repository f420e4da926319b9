//! What the other subcommands say when they fail.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::process::BINARY;

/// The exit code and everything on standard error.
fn failure_of(words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    let output = command.args(words).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_measurement_that_fails_tells_all_causes() {
    // Nobody listens there any more.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, said) = failure_of(&["bench", "get", "--server", &free]);
    assert_eq!(code, Some(1));
    let expected =
        format!("reefkeeper bench: {free} opened only 0 of 1 sessions: Connection refused");
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn a_configuration_that_can_not_be_shown_is_named_as_such() {
    let (code, said) = failure_of(&["config", "/missing/zoo.cfg"]);
    assert_eq!(code, Some(2));
    let expected = "reefkeeper config: /missing/zoo.cfg: the configuration file can not be read: ";
    assert!(said.starts_with(expected), "{said}");
}
