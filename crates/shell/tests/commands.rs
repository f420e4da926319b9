//! What the shell prints, against a server of this process.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use config::CommandLine;
use expect_test::{Expect, expect};
use server::Server;
use tempfile::TempDir;

/// An output that can be read while it is written.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came of running a shell.
struct Ran {
    code: u8,
    results: String,
    errors: String,
}

/// A server with an empty directory.
struct Fixture {
    address: String,
    /// Stops when dropped, before its directory goes.
    _server: Server,
    _directory: TempDir,
}

impl Fixture {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let data_dir = directory.path().to_str().expect("a name").to_owned();
        let words = ["0", &data_dir, "--set", "clientPortAddress=127.0.0.1"];
        let line = CommandLine::from_words(words.map(str::to_owned)).expect("words");
        let loaded = config::load(&line, []).expect("a configuration");
        let server = Server::start(&loaded.config).expect("a server");
        let address = server.address().expect("a port").to_string();
        Self { address, _server: server, _directory: directory }
    }

    /// Runs one command.
    fn run(&self, command: &str) -> Ran {
        self.run_over(&command.split(' ').collect::<Vec<_>>(), "")
    }

    /// Runs lines; events are left out, since they may come at any time.
    fn run_lines(&self, lines: &str) -> Ran {
        let mut ran = self.run_over(&[], lines);
        let blocks = ran.results.split("\nWATCHER::\n\n");
        let without_event = |(index, block): (usize, &str)| match (index, block.split_once('\n')) {
            (0, _) => block.to_owned(),
            (_, Some((_event, rest))) => rest.to_owned(),
            (_, None) => String::new(),
        };
        ran.results = blocks.enumerate().map(without_event).collect();
        ran
    }

    fn run_over(&self, words: &[&str], lines: &str) -> Ran {
        let (results, errors) = (Output::default(), Output::default());
        let words = [&["-server", &self.address], words].concat().into_iter().map(str::to_owned);
        let code = shell::run_over(words, lines.as_bytes(), results.clone(), errors.clone());
        Ran { code, results: results.text(), errors: errors.text() }
    }

    /// Runs lines, and compares results, errors and a code that is not 0; times and zxids are left out.
    fn check(&self, lines: &str, expected: Expect) {
        let ran = self.run_lines(lines);
        let greeting = format!(
            "Connecting to {}\nWelcome to ZooKeeper!\nJLine support is disabled\n",
            self.address
        );
        let results = ran.results.strip_prefix(&greeting).expect("a greeting");
        let steady = |line: &str| match line.split_once(" = ") {
            Some((name, _)) if name.ends_with("time") || name.ends_with("Zxid") => {
                format!("{name} = ...\n")
            }
            _ => format!("{line}\n"),
        };
        let results: String = results.lines().map(steady).collect();
        let end = if ran.code == 0 { String::new() } else { format!("--- code {}\n", ran.code) };
        expected.assert_eq(&format!("{results}--- errors\n{}{end}", ran.errors));
    }
}

#[test]
fn reads_and_writes_znodes() {
    Fixture::start().check(
        "create /a 'hello world'\n\
         get /a\n\
         get -b /a\n\
         get -x /a\n\
         set -s /a eA== -b\n\
         get /a\n\
         create /a/null\n\
         get /a/null\n\
         create -s /a/s- x\n\
         ls /a\n\
         ls -R /a\n\
         getAllChildrenNumber /a\n\
         delete -v 0 /a/null\n\
         deleteall /a\n\
         ls /\n",
        expect![[r#"
            hello world
            aGVsbG8gd29ybGQ=
                     +-------------------------------------------------+
                     |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |
            +--------+-------------------------------------------------+----------------+
            |00000000| 68 65 6c 6c 6f 20 77 6f 72 6c 64                |hello world     |
            +--------+-------------------------------------------------+----------------+
            cZxid = ...
            ctime = ...
            mZxid = ...
            mtime = ...
            pZxid = ...
            cversion = 0
            dataVersion = 1
            aclVersion = 0
            ephemeralOwner = 0x0
            dataLength = 1
            numChildren = 0
            x
            null
            [null, s-0000000001]
            /a
            /a/null
            /a/s-0000000001
            2
            [zookeeper]
            --- errors
            Created /a
            Created /a/null
            Created /a/s-0000000001
        "#]],
    );
}

#[test]
fn says_why_a_command_failed() {
    Fixture::start().check(
        "get /missing\n\
         create /a\n\
         create /a\n\
         create /a/b\n\
         delete /a\n\
         set -v 5 /a x\n\
         create x\n\
         ls /a//b\n\
         ls -z /\n\
         ls\n\
         get /a -v\n\
         create -c -e /c\n\
         create -t 0 /t x\n\
         setAcl /a nonsense\n\
         setAcl /a world:anyone:q\n\
         removewatches /a\n\
         redo 99\n\
         delete /a/b 7\n\
         create -e /e\n\
         create /e/x\n\
         deleteall /missing\n",
        expect![[r#"
            --- errors
            Node does not exist: /missing
            Created /a
            Node already exists: /a
            Created /a/b
            Node not empty: /a
            version No is not valid : /a
            Path must start with / character
            Invalid path string "/a//b" caused by empty node name specified @3
            Unrecognized option: -z
            ls [-s] [-w] [-R] path
            Unrecognized option: -v
            -c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.
            ttl must be positive and cannot be larger than: 1099511627775
            nonsense does not have the form scheme:id:perm
            Acl is not valid : /a
            Unknown perm type: q
            KeeperErrorCode = No such watcher for /a
            Command index out of range
            'delete path [version]' has been deprecated. Please use 'delete [-v version] path' instead.
            version No is not valid : /a/b
            Created /e
            Ephemerals cannot have children: /e/x
            Node does not exist: /missing
            --- code 1
        "#]],
    );
}

#[test]
fn sets_the_lists_of_all_that_may_be_set_below_a_znode() {
    Fixture::start().check(
        "create /a\n\
         create /a/b\n\
         create /a/c\n\
         setAcl /a/b world:anyone:r\n\
         setAcl -R /a world:anyone:cra\n\
         getAcl /a\n\
         getAcl /a/c\n",
        expect![[r#"
            'world,'anyone
            : cra
            'world,'anyone
            : cra
            --- errors
            Created /a
            Created /a/b
            Created /a/c
            Insufficient permission : /a/b
        "#]],
    );
}

#[test]
fn shows_and_sets_access_control_lists() {
    Fixture::start().check(
        "create /a x world:anyone:cdrwa\n\
         getAcl /a\n\
         addauth digest user:secret\n\
         setAcl -s /a auth::crwda,ip:127.0.0.1:r\n\
         getAcl /a\n\
         whoami\n",
        expect![[r#"
            'world,'anyone
            : cdrwa
            cZxid = ...
            ctime = ...
            mZxid = ...
            mtime = ...
            pZxid = ...
            cversion = 0
            dataVersion = 0
            aclVersion = 1
            ephemeralOwner = 0x0
            dataLength = 1
            numChildren = 0
            'digest,'user:5w9W4eL3797Y4Wq8AcKUPPk8ha4=
            : cdrwa
            'ip,'127.0.0.1
            : r
            Auth scheme: User
            digest: user
            ip: 127.0.0.1
            --- errors
            Created /a
        "#]],
    );
}

#[test]
fn limits_subtrees() {
    Fixture::start().check(
        "create /a xyz\n\
         create /a/b yy\n\
         setquota -n 5 /a\n\
         listquota /a\n\
         get /zookeeper/quota/a/zookeeper_limits\n\
         setquota -B 1 /a\n\
         setquota -n 5 /a/b\n\
         delquota -n /a\n\
         listquota /a\n\
         delquota /a\n\
         setquota -n 5 /a/b\n\
         setquota -n 5 /a\n\
         delquota /a/b\n\
         ls -R /zookeeper/quota\n\
         delquota /a\n\
         listquota /a\n\
         setquota -n 5 /missing\n\
         setquota -n 0 /a\n\
         setquota /a\n\
         setquota -n -b 5 /a\n",
        expect![[r#"
            Output quota for /a count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=-1
            Output stat for /a count=2,bytes=5
            count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=-1
            [Warning]: the bytes quota you create is less than the existing bytes:5
            Output quota for /a count=-1,bytes=-1=;byteHardLimit=1;countHardLimit=-1
            Output stat for /a count=2,bytes=5
            /zookeeper/quota
            Quota does not exist for /a
            --- errors
            Created /a
            Created /a/b
            absolute path is /zookeeper/quota/a/zookeeper_limits
            /a/b has a parent /a which has a quota
            absolute path is /zookeeper/quota/a/zookeeper_limits
            /a has a child /a/b which has a quota
            absolute path is /zookeeper/quota/a/zookeeper_limits
            quota for /a does not exist.
            /missing does not exist.
            the num quota must be greater than zero
            Missing required option: [-n num soft quota, -b bytes soft quota, -N num hard quota, -B bytes hard quota]
            only one of -n, -b, -N and -B can be given
            --- code 1
        "#]],
    );
}

#[test]
fn a_standalone_server_has_no_membership_to_change() {
    Fixture::start().check(
        "reconfig\n\
         reconfig -remove 1\n\
         reconfig -members server.1=a:1:2;3 -add server.2=b:1:2;3\n\
         reconfig -v xyz -remove 1\n\
         reconfig -file /missing\n\
         config -w -s\n",
        expect![[r#"

            cZxid = ...
            ctime = ...
            mZxid = ...
            mtime = ...
            pZxid = ...
            cversion = 0
            dataVersion = 0
            aclVersion = -1
            ephemeralOwner = 0x0
            dataLength = 0
            numChildren = 0
            --- errors
            reconfig [-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]
            KeeperErrorCode = Reconfig is disabled
            Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes is not allowed)
            -v must be followed by a long (configuration version)
            Error processing /missing: No such file or directory (os error 2)
        "#]],
    );
}

#[test]
fn remembers_lines() {
    Fixture::start().check(
        "create /a 1\nget /a\nredo 1\nhistory\nprintwatches\nprintwatches off\nprintwatches\nsync /\n\
         getEphemerals\ncreate -e /e\ngetEphemerals\nclose\nls /\nquit\nls /\n",
        expect![[r#"
            1
            1
            0 - create /a 1
            1 - get /a
            2 - get /a
            3 - history
            printwatches is on
            printwatches is off
            Sync is OK
            []
            [/e]
            Not connected
            --- errors
            Created /a
            Created /e
            --- code 1
        "#]],
    );
}

#[test]
fn one_command_prints_its_result_alone() {
    let fixture = Fixture::start();
    let ran = fixture.run("create /a b");
    assert_eq!((ran.code, ran.results.as_str()), (0, ""));
    assert_eq!(ran.errors, "Created /a\n");
    let ran = fixture.run("get /a");
    assert_eq!((ran.code, ran.results.as_str(), ran.errors.as_str()), (0, "b\n", ""));
    let ran = fixture.run("get /missing");
    assert_eq!((ran.code, ran.results.as_str()), (1, ""));
    assert_eq!(ran.errors, "Node does not exist: /missing\n");
    let ran = fixture.run("nonsense");
    assert_eq!(ran.code, 127);
    assert!(ran.errors.ends_with("\nCommand not found: Command not found nonsense\n"));
}

#[test]
fn lines_end_with_the_code_of_the_last_command() {
    let fixture = Fixture::start();
    let code = |lines: &str| fixture.run_lines(lines).code;
    assert_eq!(code("create /a b\nget /a\n"), 0);
    assert_eq!(code("get /missing\nget /a\n"), 0);
    assert_eq!(code("get /missing\n\n"), 1);
    assert_eq!(code("get /missing\nquit\nget /a\n"), 1);
    assert_eq!(code("nonsense\n"), 127);
    assert_eq!(code("quit\n"), 0);
}

#[test]
fn one_command_leaves_no_ephemerals() {
    let fixture = Fixture::start();
    assert_eq!(fixture.run("create -e /e x").code, 0);
    assert_eq!(fixture.run("get /e").errors, "Node does not exist: /e\n");
}

#[test]
fn without_a_server_the_connection_is_lost() {
    let errors = Output::default();
    let words = ["-server", "127.0.0.1:1", "ls", "/"].map(str::to_owned);
    let code = shell::run_over(words, io::empty(), io::sink(), errors.clone());
    assert_eq!(code, 1);
    let expected = "KeeperErrorCode = ConnectionLoss for /\n\
                    No server answers at 127.0.0.1:1. Is one running there?\n";
    assert_eq!(errors.text(), expected);
}

#[test]
fn watches_and_states_are_told() {
    let fixture = Fixture::start();
    let ran = fixture.run_over(&[], "stat -w /\nwatch -n 0 /\nclose\n");
    let told = |event: &str| ran.results.contains(&format!("\nWATCHER::\n\nWatchedEvent {event}"));
    assert!(told("state:SyncConnected type:None path:null zxid: -1\n"));
    assert!(told("state:Closed type:None path:null zxid: -1\n"));
}

#[test]
fn a_chroot_hides_the_rest() {
    let fixture = Fixture::start();
    assert_eq!(fixture.run("create /app x").code, 0);
    assert_eq!(fixture.run("create /app/inner x").code, 0);
    let ran = fixture.run_over(&[], &format!("connect {}/app\nls /\n", fixture.address));
    assert!(ran.results.contains("[inner]\n"));
}
