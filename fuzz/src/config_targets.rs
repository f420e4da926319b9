//! What an operator writes: whatever stands in the files, variables and words of a configuration, it is read
//! or refused with a message that names where; and what is said to be in force is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use config::{Base, CommandLine, ConfigError, Loaded, Origin, Sources, load_from};

/// What stands between the texts of an input.
const SEPARATOR: u8 = 0;
/// The main file, unless the words name another one.
const MAIN: &str = "/conf/zoo.cfg";

/// Everything that a configuration is read from.
struct Texts<'i>([&'i [u8]; 7]);

impl Texts<'_> {
    /// A file by its name: the main one, that with the id of the server, that with a membership that is
    /// proposed, and otherwise that with the membership in force.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let name = path.to_string_lossy();
        let index = match () {
            () if name == MAIN => 0,
            () if name.ends_with("myid") => 1,
            () if name.ends_with(".dynamic.next") => 2,
            () => 3,
        };
        // An empty text stands for no file.
        let text = Some(self.0[index]).filter(|text| !text.is_empty());
        text.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The words on the command line, a line each, if they can be understood.
    fn command_line(&self) -> Result<CommandLine, ConfigError> {
        let text = String::from_utf8_lossy(self.0[4]);
        CommandLine::from_words(text.lines().map(str::to_owned))
    }

    /// The variables that the scripts set, and those that are ours.
    fn environment(&self) -> Vec<(String, String)> {
        let flags = String::from_utf8_lossy(self.0[5]).into_owned();
        let mut environment =
            vec![("JVMFLAGS".into(), flags), ("ZOOCFGDIR".into(), "/conf".into())];
        let ours = String::from_utf8_lossy(self.0[6]).into_owned();
        let ours = ours.lines().filter_map(|line| line.split_once('='));
        environment
            .extend(ours.map(|(name, text)| (format!("REEFKEEPER_{name}"), text.to_owned())));
        environment
    }

    fn load(&self, command_line: &CommandLine) -> Result<Loaded, ConfigError> {
        let read = |path: &Path| self.file(path);
        // Names of one letter have no address.
        let look_up = |host: &str, port| match host.len() {
            0 | 1 => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]),
        };
        let sources = Sources { read: &read, look_up: &look_up };
        load_from(command_line, self.environment(), sources)
    }
}

/// The texts of a configuration, one behind the other: `zoo.cfg`, `myid`, a proposed membership, the
/// dynamic file, the words on the command line, the words for a Java machine, and environment variables.
pub fn configuration(input: &[u8]) {
    let mut texts = Texts([&[]; 7]);
    let parts = input.splitn(texts.0.len(), |&byte| byte == SEPARATOR);
    texts.0.iter_mut().zip(parts).for_each(|(text, part)| *text = part);
    let command_line = match texts.command_line() {
        Ok(command_line) => command_line,
        Err(error) => {
            assert!(error.to_string().contains('"'), "{error} names no word");
            return;
        }
    };
    match texts.load(&command_line) {
        Ok(loaded) => check_loaded(&texts, &command_line, &loaded),
        Err(error) => check_refusal(&texts, &command_line, &error),
    }
}

/// What is in force is the same when all of it is given once more.
fn check_loaded(texts: &Texts<'_>, command_line: &CommandLine, loaded: &Loaded) {
    for warning in &loaded.warnings {
        assert!(!warning.to_string().is_empty());
    }
    let mut command_line = command_line.clone();
    for effective in &loaded.effective {
        let is_membership =
            ["server.", "group.", "weight."].iter().any(|kind| effective.key.starts_with(kind));
        if !is_membership && effective.value != "(hidden)" && effective.origin != Origin::Default {
            command_line.settings.push(format!("{}={}", effective.key, effective.value));
        }
    }
    let again = texts.load(&command_line).expect("the same once more");
    assert_eq!(again.config, loaded.config);
}

/// A refusal names a line that there is, or the variable, flag or argument.
fn check_refusal(texts: &Texts<'_>, command_line: &CommandLine, error: &ConfigError) {
    let said = error.to_string();
    let main = match &command_line.base {
        Base::File(path) => path.to_string_lossy().into_owned(),
        Base::Trial | Base::Arguments { .. } => MAIN.to_owned(),
    };
    if let Some((line, _)) =
        said.strip_prefix(&format!("{main}:")).and_then(|it| it.split_once(':'))
        && let Ok(line) = line.parse::<usize>()
    {
        let text = texts.file(main.as_ref()).expect("it was read");
        let lines = text.iter().filter(|&&byte| byte == b'\n' || byte == b'\r').count() + 1;
        assert!((1..=lines).contains(&line), "{said}");
        return;
    }
    let names_place = match error {
        ConfigError::Usage { word } | ConfigError::PortAlone { word } => said.contains(&**word),
        ConfigError::Flag { word, .. } => said.contains(&format!("{word:?}")),
        ConfigError::Unreadable { path, .. }
        | ConfigError::Escape { path, .. }
        | ConfigError::Missing { path, .. }
        | ConfigError::MyIdUnreadable { path, .. }
        | ConfigError::MyIdMalformed { path, .. }
        | ConfigError::PendingMalformed { path, .. } => said.contains(&*path.to_string_lossy()),
        ConfigError::Value { origin, .. }
        | ConfigError::AddressWithoutPort { origin }
        | ConfigError::UnknownHost { origin, .. }
        | ConfigError::SessionTimeouts { origin, .. }
        | ConfigError::Membership { origin, .. } => {
            *origin != Origin::Default && said.starts_with(&origin.to_string())
        }
    };
    assert!(names_place, "{error:?} names no place: {said}");
}
