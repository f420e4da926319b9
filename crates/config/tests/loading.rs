//! What a server is told: precedence, memberships, errors and warnings.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has failed")]

use std::path::{Path, PathBuf};

use config::{Base, CommandLine, Config, ConfigError, Loaded, Origin};
use expect_test::{Expect, expect};

/// A directory with a `zoo.cfg` of this content.
struct Setup {
    directory: tempfile::TempDir,
    environment: Vec<(String, String)>,
    settings: Vec<String>,
}

impl Setup {
    fn new(content: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("zoo.cfg"), content).unwrap();
        Self { directory, environment: Vec::new(), settings: Vec::new() }
    }

    fn variable(mut self, variable: &str, text: &str) -> Self {
        self.environment.push((variable.into(), text.into()));
        self
    }

    fn setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.into());
        self
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("zoo.cfg")
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        let command_line =
            CommandLine { base: Base::File(self.path()), settings: self.settings.clone() };
        config::load(&command_line, self.environment.clone())
    }

    /// Compares the error, or else the warnings, in which the directory is `DIR`.
    fn check(&self, expected: Expect) {
        let shown = match self.load() {
            Ok(loaded) => loaded.warnings.iter().map(|warning| format!("{warning}\n")).collect(),
            Err(error) => format!("error: {error}\n"),
        };
        expected.assert_eq(&shown.replace(self.directory.path().to_str().unwrap(), "DIR"));
    }
}

fn effective<'a>(loaded: &'a Loaded, key: &str) -> (&'a str, &'a Origin) {
    let effective = loaded.effective.iter().find(|effective| effective.key == key).unwrap();
    (&effective.value, &effective.origin)
}

fn load(words: &[&str], environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let command_line = CommandLine::from_words(words.iter().map(|&word| word.to_owned())).unwrap();
    let environment =
        environment.iter().map(|(variable, text)| ((*variable).into(), (*text).into()));
    config::load(&command_line, environment)
}

fn client_address(config: &Config) -> String {
    config.listen.client_address.map(|address| address.to_string()).unwrap_or_default()
}

const MINIMAL: &str = "dataDir=/data\nclientPort=2181\n";

#[test]
fn later_layers_override_earlier_ones() {
    let mut setup = Setup::new("dataDir=/data\nclientPort=2181\n");
    let check = |setup: &Setup, value: &str, origin: &str| {
        let loaded = setup.load().unwrap();
        let (shown, from) = effective(&loaded, "snapCount");
        assert_eq!((shown, from.to_string().as_str()), (value, origin));
        assert_eq!(loaded.config.storage.snap_count.to_string(), value);
    };
    check(&setup, "100000", "default");
    setup = setup.variable("SERVER_JVMFLAGS", "-Dzookeeper.snapCount=11 -Dzookeeper.snapCount=12");
    check(&setup, "12", "SERVER_JVMFLAGS");
    setup = setup.variable("JVMFLAGS", "-Dzookeeper.snapCount=13");
    check(&setup, "13", "JVMFLAGS");
    let path = setup.path();
    std::fs::write(&path, format!("{MINIMAL}snapCount=14\nsnapCount=15\n")).unwrap();
    check(&setup, "15", &format!("{}:4", path.display()));
    setup = setup.variable("REEFKEEPER_SNAP_COUNT", "16");
    check(&setup, "16", "REEFKEEPER_SNAP_COUNT");
    setup = setup.setting("snapCount=17").setting("zookeeper.snapCount=18");
    check(&setup, "18", "command line");
}

#[test]
fn a_server_that_is_told_nothing_can_be_tried() {
    let loaded = load(&[], &[]).unwrap();
    assert_eq!(client_address(&loaded.config), "[::]:2181");
    assert_eq!(loaded.config.storage.data_dir, Path::new("./reefkeeper-data"));
    assert_eq!(loaded.config.sessions.tick.as_millis(), 2000);
    assert_eq!(loaded.warnings, []);
    assert!(loaded.effective.iter().all(|effective| effective.origin == Origin::Default));

    let loaded = load(&["-DclientPort=9"], &[("JVMFLAGS", "-DtickTime=100")]).unwrap();
    assert_eq!(client_address(&loaded.config), "[::]:9");
    assert_eq!(loaded.config.sessions.tick.as_millis(), 100);
}

#[test]
fn arguments_stand_in_for_a_file() {
    let loaded = load(&["0", "/data"], &[]).unwrap();
    assert_eq!(client_address(&loaded.config), "[::]:0");
    assert_eq!(loaded.config.sessions.tick.as_millis(), 3000);
    assert_eq!(loaded.config.limits.connections_per_address_max, None);
    assert_eq!(effective(&loaded, "dataDir"), ("/data", &Origin::Argument("dataDir")));

    let loaded = load(&["2182", "/data", "500", "7"], &[]).unwrap();
    assert_eq!(loaded.config.sessions.tick.as_millis(), 500);
    assert_eq!(loaded.config.limits.connections_per_address_max, Some(7));

    let error = load(&["port", "/data"], &[]).unwrap_err();
    expect!["argument <port>: clientPort=port: expected a port from 0 to 65535"]
        .assert_eq(&error.to_string());
}

#[test]
fn variables_of_apaches_scripts_count() {
    let setup = Setup::new(MINIMAL);
    let directory = setup.directory.path().to_str().unwrap();
    let loaded = load(&[], &[("ZOOCFGDIR", directory)]).unwrap();
    assert_eq!(loaded.config.storage.data_dir, Path::new("/data"));
    let error = load(&[], &[("ZOOCFGDIR", directory), ("ZOOCFG", "other.cfg")]).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));

    let disable = "ZOO_DATADIR_AUTOCREATE_DISABLE";
    let loaded = load(&[], &[(disable, "1")]).unwrap();
    assert!(!loaded.config.storage.autocreate_directories);
    assert_eq!(effective(&loaded, "datadir.autocreate"), ("false", &Origin::JvmFlags(disable)));
    assert!(load(&[], &[(disable, "")]).unwrap().config.storage.autocreate_directories);
}

#[test]
fn wrong_values_say_where_and_what_was_expected() {
    let check = |lines: &str, expected| Setup::new(format!("{MINIMAL}{lines}")).check(expected);
    check(
        "# comment\n\ntickTime = two",
        expect![[r#"
            error: DIR/zoo.cfg:5: tickTime=two: expected milliseconds, at least 1
        "#]],
    );
    check(
        "tickTime=0",
        expect![[r#"
            error: DIR/zoo.cfg:3: tickTime=0: expected milliseconds, at least 1
        "#]],
    );
    check(
        "reconfigEnabled=on",
        expect![[r#"
            error: DIR/zoo.cfg:3: reconfigEnabled=on: expected true or false
        "#]],
    );
    check(
        "autopurge.purgeInterval=1w",
        expect![[r#"
            error: DIR/zoo.cfg:3: autopurge.purgeInterval=1w: expected hours, or a number with one of the units ms, s, m, h, d
        "#]],
    );
    check(
        "minSessionTimeout=5000\nmaxSessionTimeout=4000",
        expect![[r#"
            error: DIR/zoo.cfg:3: minSessionTimeout 5000 ms is more than maxSessionTimeout 4000 ms (unless given they are 2 and 20 times tickTime)
        "#]],
    );
    check(
        "maxSessionTimeout=4000",
        expect![[r#"
            error: DIR/zoo.cfg:3: minSessionTimeout 6000 ms is more than maxSessionTimeout 4000 ms (unless given they are 2 and 20 times tickTime)
        "#]],
    );
    check(
        "a=\\u00",
        expect![[r#"
            error: DIR/zoo.cfg:3: expected four hexadecimal digits after \u
        "#]],
    );
    check(
        "enforce.auth.enabled=true",
        expect![[r#"
            error: DIR/zoo.cfg:3: enforce.auth.enabled=true: expected enforce.auth.schemes to be given as well
        "#]],
    );
}

#[test]
fn a_file_must_name_the_data_directory() {
    Setup::new("clientPort=2181").check(expect![[r#"
        error: DIR/zoo.cfg: dataDir is missing: the directory that snapshots and the log are kept in
    "#]]);
    let setup = Setup::new("clientPort=2181").variable("REEFKEEPER_DATA_DIR", "/data");
    assert_eq!(setup.load().unwrap().config.storage.data_log_dir, Path::new("/data"));
}

#[test]
fn errors_name_every_kind_of_origin() {
    Setup::new(MINIMAL).variable("REEFKEEPER_TICK_TIME", "x").check(expect![[r#"
        error: REEFKEEPER_TICK_TIME: tickTime=x: expected milliseconds, at least 1
    "#]]);
    Setup::new(MINIMAL).variable("JVMFLAGS", "-Dzookeeper.snapCount=x").check(expect![[r#"
        error: JVMFLAGS: snapCount=x: expected a number
    "#]]);
    Setup::new(MINIMAL).setting("snapCount=x").check(expect![[r#"
        error: command line: snapCount=x: expected a number
    "#]]);
    Setup::new(MINIMAL).setting("snapCount").check(expect![[r#"
        error: "snapCount": expected a setting as name=value
    "#]]);
}

#[test]
fn keys_that_mean_nothing_are_named_once() {
    Setup::new(format!(
        "{MINIMAL}\
         initLimit=10\n\
         tickTme=5\n\
         requestThrottleLimit=9\n\
         serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
         secureClientPort=2281\n\
         admin.serverPort=8081\n\
         forceSync=false\n"
    ))
    .variable("SERVER_JVMFLAGS", "-Xmx1g -Dcom.sun.management.jmxremote -Dzookeeper.oops=1 -Xmx1g")
    .variable("REEFKEEPER_TICKTIME", "5")
    .variable("PATH", "/bin")
    .check(expect![[r#"
        SERVER_JVMFLAGS: -Xmx1g is for a Java virtual machine and has no effect
        SERVER_JVMFLAGS: -Dcom.sun.management.jmxremote is for a Java virtual machine and has no effect
        SERVER_JVMFLAGS: oops is not a known key and has no effect
        DIR/zoo.cfg:4: tickTme is not a known key and has no effect
        DIR/zoo.cfg:5: requestThrottleLimit is read as request_throttle_max_requests; use that name
        DIR/zoo.cfg:6: serverCnxnFactory has no effect here: it tunes the threads and buffers of the Java server
        DIR/zoo.cfg:7: secureClientPort has no effect yet: TLS is not supported by this version
        REEFKEEPER_TICKTIME: REEFKEEPER_TICKTIME is not a known key and has no effect
        DIR/zoo.cfg:9: forceSync=false is neither of yes or no; read as Apache does
        DIR/zoo.cfg:8: admin.serverPort has no effect yet: the HTTP admin server is not supported by this version
    "#]]);
}

#[test]
fn names_of_the_manual_work() {
    let loaded = Setup::new(format!("{MINIMAL}connectionMaxTokens=5")).load().unwrap();
    assert_eq!(loaded.config.throttle.connections.unwrap().tokens, 5);
}

#[test]
fn secrets_are_never_shown() {
    let digest = "super:very-secret=";
    let key = "DigestAuthenticationProvider.superDigest";
    let loaded = Setup::new(format!("{MINIMAL}{key}={digest}")).load().unwrap();
    assert_eq!(loaded.config.access.super_digest.as_ref().unwrap().reveal(), digest);
    assert!(!format!("{loaded:?}").contains("very-secret"));
    let shown: Vec<String> = loaded.effective.iter().map(ToString::to_string).collect();
    assert!(!shown.concat().contains("very-secret"));
    assert_eq!(effective(&loaded, key).0, "(hidden)");
}

#[test]
fn what_a_line_of_the_membership_says_is_shown() {
    let setup = Setup::new("dataDir=/data\nserver.1=localhost:2888:3888;127.0.0.1:2182");
    let loaded = setup.load().unwrap();
    let line = Origin::File { path: setup.path(), line: 2 };
    assert_eq!(effective(&loaded, "clientPort"), ("2182", &line));
    assert_eq!(effective(&loaded, "clientPortAddress"), ("127.0.0.1", &line));
    let member = ("localhost:2888:3888;127.0.0.1:2182", &line);
    assert_eq!(effective(&loaded, "server.1"), member);

    // A key without a value says nothing.
    for lines in ["", "clientPort=\n", "clientPort\nclientPortAddress=\n"] {
        let text = format!("dataDir=/data\n{lines}server.1=localhost:2888:3888;127.0.0.1:2182");
        let loaded = Setup::new(text).load().unwrap();
        assert_eq!(effective(&loaded, "clientPort").0, "2182", "{lines}");
        assert_eq!(effective(&loaded, "clientPortAddress").0, "127.0.0.1", "{lines}");
    }
}

#[test]
fn clients_connect_where_the_file_says() {
    let check = |lines: &str, expected: &str| {
        let loaded = Setup::new(format!("dataDir=/data\n{lines}")).load().unwrap();
        assert_eq!(client_address(&loaded.config), expected, "{lines}");
    };
    check("clientPort=2181", "[::]:2181");
    check("clientPort=2181\nclientPortAddress=10.0.0.1", "10.0.0.1:2181");
    check("clientPort=2181\nclientPortAddress=[::1]", "[::1]:2181");
    // As with Java, that is everything of both families.
    check("clientPort=2181\nclientPortAddress=0.0.0.0", "[::]:2181");
    check("clientPort=2181\nclientPortAddress=::1", "[::1]:2181");
    check("server.1=localhost:2888:3888;127.0.0.1:2182", "127.0.0.1:2182");
    check("server.1=[::1]:2888:3888:participant;2182", "[::]:2182");
    check("server.1=localhost:2888:3888;2182\nclientPort=2181", "[::]:2181");
    check("", "");

    let loaded = Setup::new("dataDir=/data\nclientPort=1\nclientPortAddress=localhost").load();
    assert!(loaded.unwrap().config.listen.client_address.unwrap().ip().is_loopback());
    Setup::new("dataDir=/data\nclientPortAddress=::1").check(expect![[r#"
        error: DIR/zoo.cfg:2: clientPortAddress is given, but clientPort is not
    "#]]);
    // A part of a name has at most 63 letters, so nobody needs to be asked for this one.
    let host = "x".repeat(64);
    let setup = Setup::new(format!("dataDir=/data\nclientPort=1\nclientPortAddress={host}"));
    let error = setup.load().unwrap_err().to_string();
    assert!(
        error.ends_with(&format!(
            "zoo.cfg:3: clientPortAddress={host}: the host name has no address"
        ))
    );
    Setup::new("dataDir=data").check(expect![[r#"
        no clientPort is given: no client can connect
        DIR/zoo.cfg:1: dataDir=data is relative to the directory the server is started in
    "#]]);
}
