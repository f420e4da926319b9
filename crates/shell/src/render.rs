//! Values as zkCli prints them.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use reefkeeper_client::{Acl, Perms, SessionState, Stat};

/// The letters of permissions, in the order in which they are shown.
const PERMS: [(char, Perms); 5] = [
    ('c', Perms::CREATE),
    ('d', Perms::DELETE),
    ('r', Perms::READ),
    ('w', Perms::WRITE),
    ('a', Perms::ADMIN),
];

/// The eleven lines of a stat, without a line end after the last one.
pub(crate) fn stat(stat: &Stat, zone: &TimeZone) -> String {
    [
        format!("cZxid = {:#x}", stat.czxid),
        format!("ctime = {}", date(stat.ctime_ms, zone)),
        format!("mZxid = {:#x}", stat.mzxid),
        format!("mtime = {}", date(stat.mtime_ms, zone)),
        format!("pZxid = {:#x}", stat.pzxid),
        format!("cversion = {}", stat.cversion),
        format!("dataVersion = {}", stat.version),
        format!("aclVersion = {}", stat.aversion),
        format!("ephemeralOwner = {:#x}", stat.ephemeral_owner.0),
        format!("dataLength = {}", stat.data_length),
        format!("numChildren = {}", stat.num_children),
    ]
    .join("\n")
}

/// Milliseconds since 1970 as Java's `Date` prints them. Times that no calendar has are printed as
/// the number.
fn date(millis: i64, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(millis) {
        Ok(time) => time.to_zoned(zone.clone()).strftime("%a %b %d %H:%M:%S %Z %Y").to_string(),
        Err(_) => millis.to_string(),
    }
}

/// Data as text; what is not UTF-8 is replaced.
pub(crate) fn text(data: Option<&[u8]>) -> String {
    data.map_or_else(|| "null".to_owned(), |data| String::from_utf8_lossy(data).into_owned())
}

/// Data as a table of bytes and characters, sixteen in a row.
pub(crate) fn hex_dump(data: &[u8]) -> String {
    const RULE: &str =
        "+--------+-------------------------------------------------+----------------+";
    if data.is_empty() {
        return String::new();
    }
    let mut table = [
        "         +-------------------------------------------------+",
        "         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |",
        RULE,
    ]
    .join("\n");
    for (row, bytes) in data.chunks(16).enumerate() {
        let hex: String = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, " {byte:02x}").expect("a string takes everything");
            hex
        });
        let shown = |&byte: &u8| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' };
        let characters: String = bytes.iter().map(shown).collect();
        write!(table, "\n|{:08x}|{hex:<48} |{characters:<16}|", row * 16)
            .expect("a string takes everything");
    }
    table.push('\n');
    table.push_str(RULE);
    table
}

/// Names as Java prints a list, sorted.
pub(crate) fn list(mut names: Vec<String>) -> String {
    names.sort();
    format!("[{}]", names.join(", "))
}

/// The two lines of each entry of an access control list.
pub(crate) fn acl(entries: &[Acl]) -> String {
    let entry = |entry: &Acl| {
        let letters: String = PERMS
            .into_iter()
            .filter(|&(_, perm)| entry.perms.intersects(perm))
            .map(|(letter, _)| letter)
            .collect();
        format!("'{},'{}\n: {letters}", entry.id.scheme, entry.id.id)
    };
    entries.iter().map(entry).collect::<Vec<_>>().join("\n")
}

/// The permission that a letter stands for.
pub(crate) fn permission(letter: char) -> Option<Perms> {
    PERMS.into_iter().find(|&(known, _)| known == letter).map(|(_, perm)| perm)
}

/// A membership as its version and the addresses that clients connect to.
pub(crate) fn client_addresses(config: &str) -> String {
    let mut version = "";
    let mut addresses = Vec::new();
    for line in config.lines() {
        match line.split_once('=') {
            Some(("version", value)) => version = value,
            Some((key, value)) if key.starts_with("server.") => {
                let Some((server, client)) = value.split_once(';') else { continue };
                let host = server.split(':').next().unwrap_or_default();
                addresses.push(match client.rsplit_once(':') {
                    Some((address, port)) if address != "0.0.0.0" => format!("{address}:{port}"),
                    Some((_, port)) => format!("{host}:{port}"),
                    None => format!("{host}:{client}"),
                });
            }
            Some(_) | None => {}
        }
    }
    format!("{version} {}", addresses.join(","))
}

/// The state in the prompt.
pub(crate) const fn prompt_state(state: Option<SessionState>) -> &'static str {
    match state {
        Some(SessionState::Connected) => "CONNECTED",
        Some(SessionState::ConnectedReadOnly) => "CONNECTEDREADONLY",
        Some(SessionState::Connecting | SessionState::Disconnected) => "CONNECTING",
        Some(SessionState::AuthFailed) => "AUTH_FAILED",
        Some(SessionState::Expired | SessionState::Closed) | None => "CLOSED",
    }
}

/// The state in an event; `None` before the first connection, which is no event.
pub(crate) const fn event_state(state: SessionState) -> Option<&'static str> {
    Some(match state {
        SessionState::Connecting => return None,
        SessionState::Connected => "SyncConnected",
        SessionState::ConnectedReadOnly => "ConnectedReadOnly",
        SessionState::Disconnected => "Disconnected",
        SessionState::Expired => "Expired",
        SessionState::AuthFailed => "AuthFailed",
        SessionState::Closed => "Closed",
    })
}

#[cfg(test)]
mod tests {
    use reefkeeper_client::{Id, SessionId, Zxid};

    use super::*;

    #[test]
    fn stats_look_as_they_do_in_zkcli() {
        let shown = stat(
            &Stat {
                czxid: Zxid::from_raw(0x72c3),
                mzxid: Zxid::from_raw(0x1_0000_0005),
                ctime_ms: 0,
                mtime_ms: 1_795_260_571_123,
                version: 1,
                cversion: 5,
                aversion: 2,
                ephemeral_owner: SessionId(-1),
                data_length: 11,
                num_children: 5,
                pzxid: Zxid::from_raw(0x72ca),
            },
            &TimeZone::UTC,
        );
        let expected = "\
cZxid = 0x72c3
ctime = Thu Jan 01 00:00:00 UTC 1970
mZxid = 0x100000005
mtime = Sat Nov 21 11:29:31 UTC 2026
pZxid = 0x72ca
cversion = 5
dataVersion = 1
aclVersion = 2
ephemeralOwner = 0xffffffffffffffff
dataLength = 11
numChildren = 5";
        assert_eq!(shown, expected);
        assert_eq!(date(i64::MAX, &TimeZone::UTC), i64::MAX.to_string());
    }

    #[test]
    fn bytes_are_shown_sixteen_in_a_row() {
        let expected = "         +-------------------------------------------------+
         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |
+--------+-------------------------------------------------+----------------+
|00000000| 61 20 6c 6f 6e 67 65 72 20 74 65 78 74 20 74 6f |a longer text to|
|00000010| 0a ff                                           |..              |
+--------+-------------------------------------------------+----------------+";
        assert_eq!(hex_dump(b"a longer text to\n\xff"), expected);
        assert_eq!(hex_dump(b""), "");
    }

    #[test]
    fn a_membership_has_addresses_for_clients() {
        let config = "server.1=one:2888:3888:participant;0.0.0.0:2181
server.2=two:2888:3888:observer;2182
server.3=three:2888:3888;10.0.0.3:2183
version=100000000";
        assert_eq!(client_addresses(config), "100000000 one:2181,two:2182,10.0.0.3:2183");
    }

    #[test]
    fn lists_are_sorted() {
        assert_eq!(list(vec!["b".to_owned(), "a".to_owned()]), "[a, b]");
        assert_eq!(list(Vec::new()), "[]");
    }

    #[test]
    fn permissions_are_letters_in_a_fixed_order() {
        let entries = [
            Acl { perms: Perms::ALL, id: Id::new("world", "anyone") },
            Acl { perms: Perms(1 | 16), id: Id::new("digest", "a:x") },
        ];
        assert_eq!(acl(&entries), "'world,'anyone\n: cdrwa\n'digest,'a:x\n: ra");
        assert_eq!(permission('w'), Some(Perms::WRITE));
        assert_eq!(permission('q'), None);
    }
}
