//! What memberships make of a server.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has failed")]

use std::path::PathBuf;

use config::{Base, CommandLine, ConfigError, Ensemble, Loaded};
use expect_test::{Expect, expect};
use types::membership::QuorumRule;

/// A directory with a `zoo.cfg`, which is its `dataDir` too.
struct Setup(tempfile::TempDir);

impl Setup {
    /// One with these lines, and this file `myid`.
    fn new(lines: &str, my_id: &str) -> Self {
        let setup = Self(tempfile::tempdir().unwrap());
        setup.write("myid", my_id);
        setup.write_config(lines);
        setup
    }

    fn write_config(&self, lines: &str) {
        let data_dir = self.0.path().display();
        self.write("zoo.cfg", &format!("dataDir={data_dir}\nclientPort=2181\n{lines}\n"));
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        let base = Base::File(self.path("zoo.cfg"));
        config::load(&CommandLine { base, settings: Vec::new() }, [])
    }

    fn ensemble(&self) -> Ensemble {
        self.load().unwrap().config.ensemble.unwrap()
    }

    /// Compares the error, or else the warnings and the membership, in which the directory is `DIR`.
    fn check(&self, expected: Expect) {
        let shown = match self.load() {
            Ok(Loaded { config, warnings, .. }) => {
                let warnings = warnings.iter().map(|warning| format!("{warning}\n"));
                let ensemble = config.ensemble.map_or_else(
                    || String::from("standalone\n"),
                    |ensemble| format!("{} of:\n{}\n", ensemble.sid.0, ensemble.membership),
                );
                warnings.chain([ensemble]).collect()
            }
            Err(error) => format!("error: {error}\n"),
        };
        expected.assert_eq(&shown.replace(self.0.path().to_str().unwrap(), "DIR"));
    }
}

/// Compares what becomes of a file with these lines after the first two.
fn check(lines: &str, expected: Expect) {
    Setup::new(lines, "1\n").check(expected);
}

const THREE: &str = "initLimit=10\nsyncLimit=5\n\
    server.1=zk1:2888:3888\nserver.2=zk2:2888:3888\nserver.3=zk3:2888:3888";

#[test]
fn a_single_voter_is_a_standalone_server() {
    check(
        "server.1=zk1:2888:3888",
        expect![[r#"
            DIR/zoo.cfg:3: a single voter is a standalone server; the line is ignored, but for its client port
            standalone
        "#]],
    );
    check(
        "server.1=zk1:2888:3888\nserver.2=zk2:2888:3888:observer",
        expect![[r#"
        error: DIR/zoo.cfg:3: a standalone server can not have observers; set standaloneEnabled=false or remove them
    "#]],
    );
    check(
        "server.1=zk1:2888:3888:observer",
        expect![[r#"
        error: DIR/zoo.cfg:3: there are observers but no voters
    "#]],
    );
    check(
        "",
        expect![[r#"
        standalone
    "#]],
    );
}

#[test]
fn a_single_voter_may_be_an_ensemble_that_is_to_grow() {
    let lines = "initLimit=10\nsyncLimit=5\nstandaloneEnabled=false\nserver.1=zk1:2888:3888";
    check(
        lines,
        expect![[r#"
            DIR/zoo.cfg:6: with fewer than three voters none may fail
            1 of:
            server.1=zk1:2888:3888:participant
            version=0
        "#]],
    );
    check(
        &format!("{lines}\nserver.2=zk2:2888:3888:observer"),
        expect![[r#"
            DIR/zoo.cfg:6: with fewer than three voters none may fail
            1 of:
            server.1=zk1:2888:3888:participant
            server.2=zk2:2888:3888:observer
            version=0
        "#]],
    );
    check(
        "standaloneEnabled=false",
        expect![[r#"
            error: DIR/zoo.cfg:3: there are no servers; without a standalone server there have to be
        "#]],
    );
    check(
        "standaloneEnabled=false\nserver.1=zk1:2888:3888:observer",
        expect![[r#"
        error: DIR/zoo.cfg:4: there are observers but no voters
    "#]],
    );
}

#[test]
fn what_a_file_says_twice_is_named_and_the_later_line_counts() {
    check(
        &format!("{THREE}\nserver.2=zk9:2888:3888\nsyncLimit=9"),
        expect![[r#"
            DIR/zoo.cfg:8: server.2 is given again, so that line 6 has no effect
            DIR/zoo.cfg:9: syncLimit is given again, so that line 4 has no effect
            1 of:
            server.1=zk1:2888:3888:participant
            server.2=zk9:2888:3888:participant
            server.3=zk3:2888:3888:participant
            version=0
        "#]],
    );
}

#[test]
fn several_servers_are_an_ensemble() {
    check(
        THREE,
        expect![[r#"
        1 of:
        server.1=zk1:2888:3888:participant
        server.2=zk2:2888:3888:participant
        server.3=zk3:2888:3888:participant
        version=0
    "#]],
    );
    check(
        "initLimit=10\nsyncLimit=5\nmultiAddress.enabled=true\n\
         server.2=zk2:2888:3888|[::1]:2888:3888:participant\n\
         server.1=zk1:2888:3888;0.0.0.0:2181\n\
         server.4=[::2]:2888:3888:observer;[::2]:2181\n\
         server.3=zk3:2888:3888",
        expect![[r#"
            1 of:
            server.1=zk1:2888:3888:participant;0.0.0.0:2181
            server.2=[0:0:0:0:0:0:0:1]:2888:3888|zk2:2888:3888:participant
            server.3=zk3:2888:3888:participant
            server.4=[0:0:0:0:0:0:0:2]:2888:3888:observer;[0:0:0:0:0:0:0:2]:2181
            version=0
        "#]],
    );
}

#[test]
fn numbers_of_voters_that_are_no_use_are_named() {
    let servers = |count: u32| -> String {
        let lines = (1..=count).map(|sid| format!("server.{sid}=zk{sid}:2888:3888\n"));
        format!("initLimit=10\nsyncLimit=5\n{}", lines.collect::<String>())
    };
    let warnings = |count| Setup::new(&servers(count), "1").load().unwrap().warnings;
    let shown = |count| warnings(count).iter().map(ToString::to_string).collect::<String>();
    assert!(shown(2).ends_with(":5: with fewer than three voters none may fail"));
    assert_eq!(shown(3), "");
    assert!(shown(4).ends_with(":5: of 4 voters no more may fail than of 3"));
    assert_eq!(shown(5), "");
    let special =
        |lines: &str| Setup::new(&format!("{}{lines}", servers(2)), "1").load().unwrap().warnings;
    let with_oracle = special("oraclePath=/oracle");
    assert!(!with_oracle.iter().any(|it| it.to_string().contains("may fail")), "{with_oracle:?}");
    assert_eq!(special("group.1=1:2\nweight.1=2"), []);
}

#[test]
fn groups_and_weights_make_hierarchical_quorums() {
    check(
        &format!("{THREE}\ngroup.1=1:2:3\nweight.3=0"),
        expect![[r#"
        1 of:
        server.1=zk1:2888:3888:participant
        server.2=zk2:2888:3888:participant
        server.3=zk3:2888:3888:participant
        group.1=1:2:3
        weight.1=1
        weight.2=1
        weight.3=0
        version=0
    "#]],
    );
    check(
        &format!("{THREE}\nweight.3=0"),
        expect![[r#"
        error: DIR/zoo.cfg:5: there are groups or weights, but server 1 is in no group
    "#]],
    );
    check(
        &format!("{THREE}\ngroup.1=1:2\ngroup.2=3\ngroup.3=2"),
        expect![[r#"
            error: DIR/zoo.cfg:10: server 2 of group 3 is in a group already
        "#]],
    );
    check(
        &format!("{THREE}\ngroup.1=1:2:3:4"),
        expect![[r#"
            error: DIR/zoo.cfg:8: server 4 of group 1 does not vote
        "#]],
    );
    check(
        &format!("{THREE}\ngroup.1=1:2:3\nweight.1=0\nweight.2=0\nweight.3=0"),
        expect![[r#"
        error: DIR/zoo.cfg:5: no vote weighs anything, so nobody could lead
    "#]],
    );
    check(
        &format!("{THREE}\ngroup.1=1,2,3"),
        expect![[r#"
        error: DIR/zoo.cfg:8: group.1=1,2,3: expected ids of servers, separated by colons
    "#]],
    );
    check(
        "group.1=1:2",
        expect![[r#"
        error: DIR/zoo.cfg:3: no server votes
    "#]],
    );
}

#[test]
fn an_oracle_makes_groups_and_weights_mean_nothing() {
    let setup = Setup::new(&format!("{THREE}\noraclePath=/oracle\ngroup.1=1\nweight.1=x"), "1");
    let ensemble = setup.ensemble();
    assert_eq!(ensemble.membership.rule(), &QuorumRule::Majority);
    assert_eq!(ensemble.oracle_path, Some(PathBuf::from("/oracle")));
    setup.check(expect![[r#"
        DIR/zoo.cfg:9: group.1 has no effect here: with oraclePath all votes weigh the same
        DIR/zoo.cfg:10: weight.1 has no effect here: with oraclePath all votes weigh the same
        1 of:
        server.1=zk1:2888:3888:participant
        server.2=zk2:2888:3888:participant
        server.3=zk3:2888:3888:participant
        version=0
    "#]]);
}

#[test]
fn malformed_lines_are_refused() {
    for (line, expected) in [
        (
            "server.1=zk1",
            expect![[r#"
            error: DIR/zoo.cfg:3: server.1=zk1: expected host:port:port[:participant|:observer][|...][;[host:]port][;[host:]port]
        "#]],
        ),
        (
            "server.1=zk1:2888:x",
            expect![[r#"
            error: DIR/zoo.cfg:3: server.1=zk1:2888:x: "x": expected a port from 0 to 65535
        "#]],
        ),
        (
            "server.1=zk1:2888:3888:leader",
            expect![[r#"
            error: DIR/zoo.cfg:3: server.1=zk1:2888:3888:leader: "leader": expected participant or observer
        "#]],
        ),
        (
            "server.1=zk1:2888:2888",
            expect![[r#"
            error: DIR/zoo.cfg:3: server.1=zk1:2888:2888: expected different ports for quorum and election, both are 2888
        "#]],
        ),
        (
            "server.1=zk1:2888:3888;",
            expect![[r#"
            error: DIR/zoo.cfg:3: server.1=zk1:2888:3888;: expected host:port:port[:participant|:observer][|...][;[host:]port][;[host:]port]
        "#]],
        ),
        (
            "server.1=zk1:2888:3888|zk1:2889:3889",
            expect![[r#"
            error: DIR/zoo.cfg:3: server 1 has several addresses; set multiAddress.enabled=true or leave one
        "#]],
        ),
        (
            "server.x=zk1:2888:3888",
            expect![[r#"
            error: DIR/zoo.cfg:3: server.x=zk1:2888:3888: expected an id from 0 to 9223372036854775806 after the dot
        "#]],
        ),
        (
            "server.=zk1:2888:3888",
            expect![[r#"
            error: DIR/zoo.cfg:3: server.=zk1:2888:3888: expected an id from 0 to 9223372036854775806 after the dot
        "#]],
        ),
    ] {
        check(line, expected);
    }
}

#[test]
fn two_servers_can_not_listen_at_one_place() {
    let with = |line: &str| {
        format!("initLimit=10\nsyncLimit=5\nserver.1=10.0.0.1:2888:3888;10.0.0.1:2181\n{line}")
    };
    check(
        &with("server.2=10.0.0.1:3888:4888"),
        expect![[r#"
            error: DIR/zoo.cfg:6: 10.0.0.1:3888 is an address of server 1 already
        "#]],
    );
    check(
        &with("server.2=10.0.0.1:2889:3889;10.0.0.1:2181"),
        expect![[r#"
            error: DIR/zoo.cfg:6: 10.0.0.1:2181 is an address of server 1 already
        "#]],
    );
    // On one machine, each with ports of its own.
    Setup::new(&with("server.2=10.0.0.1:2889:3889;10.0.0.1:2182"), "1").ensemble();
    // Each takes itself for everywhere, as in containers.
    Setup::new("initLimit=10\nsyncLimit=5\nserver.1=0.0.0.0:1:2;2181\nserver.2=zk2:1:2;2181", "1")
        .ensemble();
}

#[test]
fn members_need_limits() {
    let servers = "server.1=zk1:2888:3888\nserver.2=zk2:2888:3888\nserver.3=zk3:2888:3888";
    check(
        servers,
        expect![[r#"
        error: DIR/zoo.cfg:3: members of an ensemble need initLimit; initLimit=10 is a start
    "#]],
    );
    check(
        &format!("{servers}\ninitLimit=10"),
        expect![[r#"
        error: DIR/zoo.cfg:3: members of an ensemble need syncLimit; syncLimit=5 is a start
    "#]],
    );
    check(
        &format!("{servers}\ninitLimit=10\nsyncLimit=0"),
        expect![[r#"
        error: DIR/zoo.cfg:3: members of an ensemble need syncLimit; syncLimit=5 is a start
    "#]],
    );
    check(
        "initLimit=x",
        expect![[r#"
        error: DIR/zoo.cfg:3: initLimit=x: expected ticks, at least 0
    "#]],
    );
    let limits =
        Setup::new(&format!("{servers}\ninitLimit=10\nsyncLimit=5"), "1").ensemble().limits;
    assert_eq!((limits.init_ticks, limits.sync_ticks, limits.connect_ticks), (10, 5, 10));
}

#[test]
fn members_need_to_know_who_they_are() {
    let setup = Setup::new(THREE, "3");
    assert_eq!(setup.ensemble().sid.0, 3);
    setup.write("myid", " 2 \r\nwritten by a script\n");
    assert_eq!(setup.ensemble().sid.0, 2);
    setup.write("myid", "4");
    setup.check(expect![[r#"
        error: DIR/zoo.cfg:5: there is no line server.4, but DIR/myid names it
    "#]]);
    setup.write("myid", "one");
    setup.check(expect![[r#"
        error: DIR/myid: "one": expected the id of this server (one of 1, 2, 3)
    "#]]);
    setup.write("myid", "");
    setup.check(expect![[r#"
        error: DIR/myid: "": expected the id of this server (one of 1, 2, 3)
    "#]]);
    std::fs::remove_file(setup.path("myid")).unwrap();
    setup.check(expect![[r#"
        error: DIR/myid: this file has to hold the id of this server (one of 1, 2, 3)
    "#]]);
}

#[test]
fn ids_have_to_fit_the_owners_of_znodes() {
    let lines = format!("{THREE}\nserver.255=zk4:2888:3888:observer");
    assert_eq!(Setup::new(&lines, "255").ensemble().sid.0, 255);
    Setup::new(&format!("{lines}\nextendedTypesEnabled=true"), "255").check(expect![[r#"
        error: DIR/zoo.cfg:5: with extendedTypesEnabled this server's id can be 254 at most, and not 255
    "#]]);
    assert_eq!(Setup::new(&format!("{lines}\nextendedTypesEnabled=true"), "3").ensemble().sid.0, 3);
}

#[test]
fn a_role_that_the_membership_does_not_confirm_is_named() {
    check(
        &format!("{THREE}\npeerType=observer"),
        expect![[r#"
        DIR/zoo.cfg:8: peerType is not what this server's line says; participant counts
        1 of:
        server.1=zk1:2888:3888:participant
        server.2=zk2:2888:3888:participant
        server.3=zk3:2888:3888:participant
        version=0
    "#]],
    );
    let line = "server.4=zk4:2888:3888:observer";
    assert_eq!(Setup::new(&format!("{THREE}\n{line}"), "4").load().unwrap().warnings, []);
    check(
        &format!("{THREE}\npeerType=leader"),
        expect![[r#"
        error: DIR/zoo.cfg:8: peerType=leader: expected participant or observer
    "#]],
    );
}

#[test]
fn clients_connect_where_both_places_say() {
    let address = |own: &str, lines: &str| {
        let servers = "server.2=zk2:2888:3888\nserver.3=zk3:2888:3888;2183";
        let setup = Setup::new("", "1");
        let data_dir = setup.0.path().display();
        setup.write(
            "zoo.cfg",
            &format!(
                "dataDir={data_dir}\ninitLimit=10\nsyncLimit=5\n\
                 server.1=zk1:2888:3888{own}\n{servers}\n{lines}\n"
            ),
        );
        match setup.load() {
            Ok(loaded) => loaded
                .config
                .listen
                .client_address
                .map_or_else(|| String::from("nowhere"), |address| address.to_string()),
            Err(error) => error.to_string().split_once(": ").unwrap().1.to_owned(),
        }
    };
    for (own, lines, expected) in [
        ("", "", "nowhere"),
        ("", "clientPort=2181", "[::]:2181"),
        (";2181", "", "[::]:2181"),
        (";127.0.0.1:2181", "", "127.0.0.1:2181"),
        (";127.0.0.1:2181", "clientPort=2181", "127.0.0.1:2181"),
        (";2181", "clientPort=2181", "[::]:2181"),
        (";10.0.0.1:2181", "clientPort=2181\nclientPortAddress=10.0.0.1", "10.0.0.1:2181"),
        (";;2281", "clientPort=2181", "[::]:2181"),
        (
            ";2182",
            "clientPort=2181",
            "this server's line has clients connect to 0.0.0.0:2182, clientPort has them connect \
             to [::]:2181; leave one of them out",
        ),
        (
            ";2181",
            "clientPort=2181\nclientPortAddress=10.0.0.1",
            "this server's line has clients connect to 0.0.0.0:2181, clientPort has them connect \
             to 10.0.0.1:2181; leave one of them out",
        ),
    ] {
        assert_eq!(address(own, lines), expected, "{own} {lines}");
    }
    // A part of a name has at most 63 letters, so nobody needs to be asked for this one.
    let host = "x".repeat(64);
    assert_eq!(
        address(&format!(";{host}:2181"), ""),
        format!("server.1={host}: the host name has no address")
    );
}

#[test]
fn protection_that_there_is_not_is_refused() {
    check(
        &format!("{THREE}\nsslQuorum=true"),
        expect![[r#"
            error: DIR/zoo.cfg:8: sslQuorum=true: expected false, since this version can not protect what servers say to each other
        "#]],
    );
    check(
        &format!("{THREE}\nportUnification=true"),
        expect![[r#"
            error: DIR/zoo.cfg:8: portUnification=true: expected false, since this version can not protect what servers say to each other
        "#]],
    );
    check(
        &format!("{THREE}\nquorum.auth.enableSasl=true"),
        expect![[r#"
            error: DIR/zoo.cfg:8: quorum.auth.enableSasl=true: expected false, since this version can not protect what servers say to each other
        "#]],
    );
    check(
        "sslQuorum=true",
        expect![[r#"
        standalone
    "#]],
    );
    check(
        "sslQuorum=yes",
        expect![[r#"
        error: DIR/zoo.cfg:3: sslQuorum=yes: expected true or false
    "#]],
    );
}

#[test]
fn elections_know_one_way() {
    check(
        "electionAlg=0",
        expect![[r#"
        error: DIR/zoo.cfg:3: electionAlg=0: expected 3
    "#]],
    );
    check(
        &format!("{THREE}\nelectionAlg=3"),
        expect![[r#"
        1 of:
        server.1=zk1:2888:3888:participant
        server.2=zk2:2888:3888:participant
        server.3=zk3:2888:3888:participant
        version=0
    "#]],
    );
}

#[test]
fn the_membership_may_be_in_a_file_of_its_own() {
    let setup = Setup::new("", "2");
    let dynamic = setup.path("zoo.cfg.dynamic.10000000a");
    let named = format!("initLimit=10\nsyncLimit=5\ndynamicConfigFile={}", dynamic.display());
    setup.write_config(&named);
    assert!(matches!(setup.load(), Err(ConfigError::Unreadable { path, .. }) if path == dynamic));

    let servers = "server.1=zk1:2888:3888;2181\nserver.2=zk2:2888:3888;2181\nserver.3=zk3:1:2";
    setup.write("zoo.cfg.dynamic.10000000a", servers);
    setup.check(expect![[r#"
        2 of:
        server.1=zk1:2888:3888:participant;0.0.0.0:2181
        server.2=zk2:2888:3888:participant;0.0.0.0:2181
        server.3=zk3:1:2:participant
        version=10000000a
    "#]]);
    setup.write("zoo.cfg.dynamic.10000000a", "server.1=zk1:2888:3888\n");
    setup.check(expect![[r#"
        DIR/zoo.cfg.dynamic.10000000a:1: a single voter is a standalone server; the line is ignored, but for its client port
        standalone
    "#]]);
    setup.write("zoo.cfg.dynamic.10000000a", &format!("{servers}\nversion=10000000a\n"));
    setup.check(expect![[r#"
        error: DIR/zoo.cfg.dynamic.10000000a:4: version does not belong into the dynamicConfigFile
    "#]]);
    setup.write_config(&format!("{named}\nserver.1=zk1:2888:3888\n"));
    setup.check(expect![[r#"
        error: DIR/zoo.cfg:6: server, group and weight lines belong into the dynamicConfigFile only
    "#]]);

    setup.write("zoo.cfg.dynamic", servers);
    setup.write_config(&format!("{}\ninitLimit=10\nsyncLimit=5", named.replace(".10000000a", "")));
    assert_eq!(setup.ensemble().membership.version().0, 0);
}

#[test]
fn a_membership_that_was_proposed_is_remembered() {
    let setup = Setup::new("", "1");
    let named = format!(
        "initLimit=10\nsyncLimit=5\nreconfigEnabled=true\ndynamicConfigFile={}",
        setup.path("zoo.cfg.dynamic.200000000").display()
    );
    setup.write_config(&named);
    let servers = "server.1=zk1:2888:3888;2181\nserver.2=zk2:2888:3888;2181\n";
    setup.write("zoo.cfg.dynamic.200000000", servers);
    assert_eq!(setup.ensemble().pending, None);

    setup.write("zoo.cfg.dynamic.next", "server.1=zk1:2888:3888;2181\nversion=200000001");
    let pending = setup.ensemble().pending.unwrap();
    assert_eq!(pending.version().0, 0x2_0000_0001);
    assert_eq!(pending.members().count(), 1);

    setup.write("zoo.cfg.dynamic.next", "server.1=zk1:2888:3888;2181\nversion=200000000");
    assert_eq!(setup.ensemble().pending, None);
    setup.write("zoo.cfg.dynamic.next", "server.1=zk1:2888:3888;2181\n\nversion=next");
    setup.check(expect![[r#"
        error: DIR/zoo.cfg.dynamic.next: line 3: expected a version in hexadecimal digits
    "#]]);
    setup.write_config(&named.replace("reconfigEnabled=true", ""));
    assert_eq!(setup.ensemble().pending, None);
}
