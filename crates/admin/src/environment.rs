//! The word `envi`.

use std::fmt;

use crate::version::VERSION;

/// Where the server runs. Displays as the answer to `envi`.
///
/// The lines about the Java virtual machine are there, since programs look for them, and say that
/// there is none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EnvironmentView {
    /// The host's name.
    pub host_name: String,
    /// The operating system's name as Java has it: `Linux`.
    pub os_name: String,
    /// The processor as Java has it: `amd64`, `aarch64`.
    pub os_arch: String,
    /// The kernel's version.
    pub os_version: String,
    /// Who runs the server.
    pub user_name: String,
    /// Their home directory.
    pub user_home: String,
    /// The directory the server was started in.
    pub user_dir: String,
}

impl fmt::Display for EnvironmentView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NO_JAVA: &str = "<NA>";
        f.write_str("Environment:\n")?;
        for (key, value) in [
            ("zookeeper.version", VERSION),
            ("host.name", &self.host_name),
            ("java.version", NO_JAVA),
            ("java.vendor", NO_JAVA),
            ("java.home", NO_JAVA),
            ("java.class.path", NO_JAVA),
            ("java.library.path", NO_JAVA),
            ("java.io.tmpdir", NO_JAVA),
            ("java.compiler", NO_JAVA),
            ("os.name", &self.os_name),
            ("os.arch", &self.os_arch),
            ("os.version", &self.os_version),
            ("user.name", &self.user_name),
            ("user.home", &self.user_home),
            ("user.dir", &self.user_dir),
        ] {
            writeln!(f, "{key}={value}")?;
        }
        Ok(())
    }
}
