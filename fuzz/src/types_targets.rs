//! Texts that become values of `types`.

use types::Sid;
use types::membership::{Member, Membership, TEXT_BYTES_MAX};

/// A membership as a text: what is read is written so that it is read as the same, and always with
/// the same bytes. The lines by themselves as the description of a server.
pub fn membership(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for line in text.lines() {
        let Ok(member) = Member::parse(Sid(1), line) else { continue };
        assert_eq!(Member::parse(Sid(1), &member.to_string()).as_ref(), Ok(&member));
        assert!(!member.addresses().is_empty());
    }
    let Ok(membership) = Membership::parse(&text) else { return };
    let written = membership.to_string();
    assert!(written.len() <= TEXT_BYTES_MAX);
    assert_eq!(Membership::parse(&written).as_ref(), Ok(&membership));
    assert!(membership.voters().count() > 0);
    assert!(membership.members().all(|member| membership.find(member.sid) == Some(member)));
}
