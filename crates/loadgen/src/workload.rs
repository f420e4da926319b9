//! What a server is asked for.

/// A kind of load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Workload {
    /// Reads of random znodes.
    Get,
    /// Writes to random znodes.
    Set,
    /// Reads and writes of random znodes.
    Mixed,
    /// Creations of new znodes, removed after the run.
    Create,
    /// Creations, each followed by the deletion of the same znode: the tree keeps its size.
    CreateDelete,
    /// Looks at random znodes that exist.
    Exists,
    /// Lists of the same children.
    Children,
    /// Transactions of several writes to random znodes, counted by their writes.
    Multi,
    /// Sessions that only stay alive.
    Idle,
    /// Znodes that stay, created as fast as the server takes them.
    Load,
}

impl Workload {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Mixed => "mixed",
            Self::Create => "create",
            Self::CreateDelete => "create-delete",
            Self::Exists => "exists",
            Self::Children => "children",
            Self::Multi => "multi",
            Self::Idle => "idle",
            Self::Load => "load",
        }
    }

    /// Whether it consists of requests over a given time, so that an offered rate has a meaning.
    pub const fn is_timed(self) -> bool {
        !matches!(self, Self::Idle | Self::Load)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for workload in Workload::value_variants() {
            let value = workload.to_possible_value().expect("no workload is hidden");
            assert_eq!(value.get_name(), workload.name());
        }
    }
}
