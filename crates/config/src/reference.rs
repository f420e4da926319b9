//! The reference of all settings, in Markdown.

use crate::known::{self, Fate, KNOWN, MANUAL_NAMES};
use crate::setting::{Property, ROWS, Row, Topic};

/// Returns the tables of `docs/configuration.md`: every setting with its names, its default and what
/// it is for, and every key that is accepted without effect.
pub fn reference() -> String {
    let mut text = String::new();
    let mut topic = None;
    for row in ROWS {
        if topic.replace(row.topic) != Some(row.topic) {
            text += &format!("\n## {}\n\n{SETTING_HEADER}", title(row.topic));
        }
        text += &line(row);
    }
    text += KEYS_WITHOUT_EFFECT;
    for (pattern, fate) in KNOWN {
        text += &match fate {
            Fate::EnsembleOnly => continue,
            Fate::WithoutEffect(reason) => format!("| `{pattern}` | {reason} |\n"),
            Fate::NotSupportedYet(what) => {
                format!("| `{pattern}` | {what} not supported by this version |\n")
            }
        };
    }
    let ensemble = KNOWN.iter().filter(|(_, fate)| *fate == Fate::EnsembleOnly);
    let names: Vec<String> = ensemble.map(|(pattern, _)| format!("`{pattern}`")).collect();
    text += &format!("{ENSEMBLE_KEYS}{}.\n", names.join(", "));
    text += NAMES_OF_THE_MANUAL;
    for (manual, key) in MANUAL_NAMES {
        text += &format!("| `{manual}` | `{key}` |\n");
    }
    text
}

const SETTING_HEADER: &str = "\
| Key | Java property | Default | Takes | What it is for |
|---|---|---|---|---|
";

const KEYS_WITHOUT_EFFECT: &str = "
## Keys without effect

Accepted, and named once at the start.

| Key | Why |
|---|---|
";

const ENSEMBLE_KEYS: &str = "
About ensembles only, and ignored by a standalone server without a word: ";

const NAMES_OF_THE_MANUAL: &str = "
## Names of the manual

Apache's manual prints these names, but its server does not read them. Here they work, with a warning.

| Manual | Key |
|---|---|
";

const fn title(topic: Topic) -> &'static str {
    match topic {
        Topic::Listen => "Listening",
        Topic::Storage => "Storage",
        Topic::Sessions => "Sessions and kinds of znode",
        Topic::Limits => "Limits",
        Topic::Throttle => "Behavior under load",
        Topic::Access => "Access",
        Topic::Reaping => "Containers and times to live",
        Topic::Operator => "Operators",
        Topic::Ensemble => "Ensembles: membership",
        Topic::Election => "Ensembles: election",
        Topic::Synchronization => "Ensembles: synchronization",
        Topic::Observers => "Ensembles: observers",
    }
}

fn line(row: &Row) -> String {
    let property = match row.property {
        Property::None => "-".to_owned(),
        Property::Prefixed => format!("`zookeeper.{}`", row.key),
        Property::Bare => format!("`{}`", row.key),
    };
    let default = match row.default {
        "" => "none".to_owned(),
        default => format!("`{default}`"),
    };
    let mut doc = row.doc.trim().to_owned();
    if let Some(what) = known::not_acted_on(row.key) {
        doc += &format!(" *Without effect so far: {what} not supported by this version.*");
    }
    format!("| `{}` | {property} | {default} | {} | {doc} |\n", row.key, row.expected)
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    /// Everything below this line of the document is generated.
    const MARK: &str = "<!-- generated from the table of settings -->\n";

    #[test]
    fn document_has_every_setting() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (written, _) = document.split_once(MARK).expect("the document has the mark");
        expect_file![path].assert_eq(&format!("{written}{MARK}{}", reference()));
    }
}
