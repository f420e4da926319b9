//! Short requests that make long transactions. A learner takes packets up to a length; a transaction
//! beyond it would keep all learners away from its leader for good (ZOOKEEPER-4306). That each entry
//! of the log is short enough is checked by the world.

use expect_test::expect;
use types::{CreateMode, MultiOp, Op, Txn};
use wire::limits::PACKET_BYTES_MAX;

use crate::world::{
    Client, World, authenticate, children, create, create_for, get, mine, multi, part_check,
    part_create,
};

/// Bytes of the name of a user: together they are just what a connection may have.
const NAME_BYTES: usize = 600;

#[test]
fn a_session_that_owns_too_many_names_to_list_ends_without_a_list() {
    const PARTS: usize = 500;
    let mut world = World::new();
    let (client, other) = (world.client(), world.client());
    let name = "x".repeat(1000);
    let paths: Vec<String> =
        (0..PACKET_BYTES_MAX / name.len() + 100).map(|number| format!("/{name}{number}")).collect();
    for paths in paths.chunks(PARTS) {
        let parts = paths.iter().map(|path| part_create(path, CreateMode::Ephemeral)).collect();
        world.tell(client, multi(parts));
    }
    world.ask(client, Op::CloseSession);
    world.sync();
    let Some((_, Txn::CloseSession { paths }, _)) = world.log.last() else { panic!("no end") };
    assert_eq!(paths.as_deref().unwrap_or_default().len(), 0);
    expect![[r#"
        #1 0x0/0x8 [zookeeper]
    "#]]
    .assert_eq(&world.tell(other, children("/")));
}

#[test]
fn a_session_that_owns_what_can_be_listed_ends_with_a_list() {
    let mut world = World::new();
    let client = world.client();
    world.tell(client, multi(vec![part_create("/a", CreateMode::Ephemeral)]));
    world.ask(client, Op::CloseSession);
    world.sync();
    let Some((_, Txn::CloseSession { paths }, _)) = world.log.last() else { panic!("no end") };
    assert_eq!(*paths, Some(vec!["/a".into()]));
}

#[test]
fn as_many_short_parts_as_a_request_has_room_for_are_done() {
    const PARTS: usize = 55_000;
    let mut world = World::new();
    let client = world.client();
    world.tell(client, create("/a"));
    let parts = std::iter::repeat_with(|| part_check("/a", 0)).take(PARTS).collect();
    let told = world.tell(client, multi(parts));
    assert!(!told.contains("Error"), "{}", &told[..90]);
    let Some((_, Txn::Multi(txns), _)) = world.log.last() else { panic!("no multi") };
    assert!(txns.len() == PARTS && txns.iter().all(|txn| matches!(txn, Txn::Check { .. })));
}

/// A client with as many identities as a connection may have.
fn client_of_many_names(world: &mut World) -> Client {
    let client = world.client();
    for number in 0..99 {
        world.tell(client, authenticate(&format!("{number:0NAME_BYTES$}:secret")));
    }
    client
}

#[test]
fn lists_that_multiply_in_a_multi_are_refused_as_a_whole() {
    let mut world = World::new();
    let client = client_of_many_names(&mut world);
    let paths: Vec<String> = (0..60).map(|number| format!("/n{number}")).collect();
    let part = |path| match part_create(path, CreateMode::Persistent) {
        MultiOp::Create(create) => MultiOp::Create(types::Create { acl: mine(), ..create }),
        other => other,
    };
    let told = world.tell(client, multi(paths.iter().map(|path| part(path)).collect()));
    assert!(told.contains("MarshallingError"), "{told}");
    assert!(world.tell(client, get("/n0")).contains("NoNode"));
    let few = world.tell(client, multi(paths[..20].iter().map(|path| part(path)).collect()));
    assert!(!few.contains("Error") && few.contains("/n19"), "{few}");
}

#[test]
fn a_list_that_multiplies_beyond_a_transaction_is_refused() {
    let mut world = World::with_options(|options, _| options.prepare.txn_bytes_max = 8192);
    let client = client_of_many_names(&mut world);
    let told = world.tell(client, create_for("/a", mine()));
    assert!(told.contains("InvalidAcl"), "{told}");
    let told = world.tell(client, create("/b"));
    assert!(told.contains("/b"), "{told}");
    let told = world.tell(client, get("/a"));
    assert!(told.contains("NoNode"), "{told}");
}
