//! How the server calls itself.

/// The version text of `srvr`, `stat`, `envi` and `mntr`.
///
/// It begins with the release of Apache ZooKeeper whose behavior this server has, since clients
/// read that number to decide what they may ask for. The date is that of this version's release,
/// not of the build, so that equal sources give equal binaries.
pub const VERSION: &str =
    concat!("3.9.5-reefkeeper", env!("CARGO_PKG_VERSION"), ", built on 2026-11-21 00:00 UTC");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_find_the_leading_number() {
        let number: String =
            VERSION.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        assert_eq!(number, "3.9.5");
        // What the Go client matches: letters, digits, dots and hyphens up to the comma.
        let (version, date) = VERSION.split_once(", built on ").unwrap();
        assert!(version.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)));
        assert_eq!(date.len(), "2026-11-21 00:00 UTC".len());
    }
}
