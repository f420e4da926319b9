//! What a playground can be told, at its prompt and from elsewhere.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use clap::{Parser, Subcommand};

use super::srvr::State;

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub(crate) enum Order {
    /// Shows all servers: what each does, its port for clients, its process, its log.
    Status,
    /// Starts servers that do not run, with the data that they have.
    Start {
        /// Numbers, or `all`.
        #[arg(required = true)]
        servers: Vec<Target>,
    },
    /// Lets servers end as an operator does.
    Stop {
        /// Numbers, `leader`, `followers`, `observers` or `all`.
        #[arg(required = true)]
        servers: Vec<Target>,
    },
    /// Kills servers: they have no time for anything.
    Kill {
        /// As for `stop`.
        #[arg(required = true)]
        servers: Vec<Target>,
    },
    /// Stops servers one after the other, and starts each again.
    Restart {
        /// As for `stop`.
        #[arg(required = true)]
        servers: Vec<Target>,
    },
    /// Lets servers hang: they keep their connections and do nothing.
    Pause {
        /// As for `stop`.
        #[arg(required = true)]
        servers: Vec<Target>,
    },
    /// Lets servers that were paused go on.
    Resume {
        /// Numbers, or `all`.
        #[arg(required = true)]
        servers: Vec<Target>,
    },
    /// Shows the end of a server's log.
    Log {
        /// Its number.
        server: u8,
        /// How many lines.
        #[arg(default_value_t = 20)]
        lines: usize,
    },
    /// Ends all servers and the playground.
    #[command(visible_alias = "exit")]
    Quit,
}

/// A line of the prompt.
#[derive(Parser)]
#[command(name = "", no_binary_name = true, disable_help_flag = true, max_term_width = 100)]
#[command(help_template = "{subcommands}\n")]
struct Line {
    #[command(subcommand)]
    order: Order,
}

impl Order {
    /// The order of a line; `None` for an empty one.
    ///
    /// # Errors
    /// What to tell who typed it: what is wrong, or the help that was asked for.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, String> {
        let mut words = line.split_whitespace().peekable();
        if words.peek().is_none() {
            return Ok(None);
        }
        match Line::try_parse_from(words) {
            Ok(Line { order }) => Ok(Some(order)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The line that [`Self::parse`] makes this order of.
    pub(crate) fn words(&self) -> String {
        let (verb, servers) = match self {
            Self::Status => return "status".to_owned(),
            Self::Quit => return "quit".to_owned(),
            Self::Log { server, lines } => return format!("log {server} {lines}"),
            Self::Start { servers } => ("start", servers),
            Self::Stop { servers } => ("stop", servers),
            Self::Kill { servers } => ("kill", servers),
            Self::Restart { servers } => ("restart", servers),
            Self::Pause { servers } => ("pause", servers),
            Self::Resume { servers } => ("resume", servers),
        };
        servers.iter().fold(verb.to_owned(), |line, target| format!("{line} {target}"))
    }
}

/// Which servers are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// The one of this number.
    Number(u8),
    /// All.
    All,
    /// Those in this state, named as [`State`] displays; a plural will do.
    Named(String),
}

impl Target {
    /// Whether a server is meant.
    pub(crate) fn means(&self, id: u8, state: &State) -> bool {
        match self {
            Self::Number(number) => *number == id,
            Self::All => true,
            Self::Named(name) => {
                let state = state.to_string();
                *name == state || name.strip_suffix('s') == Some(state.as_str())
            }
        }
    }
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(match word.parse() {
            Ok(number) => Self::Number(number),
            Err(_) if word == "all" => Self::All,
            Err(_) => Self::Named(word.to_owned()),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::All => f.write_str("all"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_travel_as_lines() {
        for line in [
            "status",
            "start 1",
            "stop 2 3",
            "kill leader",
            "restart followers",
            "pause observers 1",
            "resume all",
            "log 2 5",
            "quit",
        ] {
            let order = Order::parse(line).unwrap().unwrap();
            assert_eq!(order.words(), line);
        }
        assert_eq!(Order::parse("  ").unwrap(), None);
        assert_eq!(Order::parse("exit").unwrap(), Some(Order::Quit));
        assert_eq!(Order::parse("log 7").unwrap(), Some(Order::Log { server: 7, lines: 20 }));
    }

    #[test]
    fn lines_that_are_no_orders_are_answered_with_what_would_be() {
        assert!(Order::parse("stop").unwrap_err().contains("<SERVERS>"));
        assert!(Order::parse("stopp 2").unwrap_err().contains("unrecognized subcommand"));
        let help = Order::parse("help").unwrap_err();
        assert!(help.contains("kill") && help.contains("Kills servers"), "{help}");
    }

    #[test]
    fn servers_are_meant_by_number_and_by_what_they_do() {
        let means =
            |word: &str, id, state: &State| word.parse::<Target>().unwrap().means(id, state);
        assert!(means("2", 2, &State::Looking) && !means("2", 1, &State::Looking));
        assert!(means("all", 9, &State::Paused));
        let leader = State::Serving("leader".to_owned());
        assert!(means("leader", 1, &leader) && !means("followers", 1, &leader));
        let follower = State::Serving("follower".to_owned());
        assert!(means("followers", 1, &follower) && means("follower", 1, &follower));
    }
}
