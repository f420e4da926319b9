//! Public items of one formatted source file.

use std::fmt;

use crate::repository::File;

/// The attribute of what is public for other crates of this workspace, and of no concern to programs.
const HIDDEN: &str = "#[doc(hidden)]";

/// Something that is public if its owner is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Item {
    /// The type or function; empty for what has no name of its own.
    pub(super) owner: String,
    /// Whether this is where the owner is made public.
    pub(super) is_definition: bool,
    /// What it says, on one line.
    pub(super) text: String,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner.as_str() {
            "" => f.write_str(&self.text),
            owner => write!(f, "{owner}: {}", self.text),
        }
    }
}

/// Everything at the outermost level that is public, and what is public inside of it. What is hidden in
/// the documentation is promised to nobody.
pub(super) fn items(file: &File) -> Vec<Item> {
    let mut found = Vec::new();
    let mut attributes = String::new();
    let mut is_hidden = false;
    let mut lines = file.code().map(|(_, line)| line).peekable();
    while let Some(line) = lines.next() {
        if line == HIDDEN {
            is_hidden = true;
        } else if is_kept_attribute(line) {
            attributes = format!("{attributes}{line} ");
        } else if line.starts_with("pub ") || line.starts_with("impl") {
            let mut text = line.to_owned();
            while !is_whole(&text) {
                let Some(more) = lines.next() else { break };
                text = format!("{text} {}", more.trim());
            }
            let has_body = text.ends_with('{');
            let header = Header::of(&text, std::mem::take(&mut attributes));
            let mut body = Vec::new();
            while has_body && let Some(line) = lines.next_if(|line| *line != "}") {
                body.push(line);
            }
            if !std::mem::take(&mut is_hidden) {
                found.extend(header.item());
                found.extend(header.members(&body));
            }
        } else if !line.starts_with("///") && !line.starts_with("#[") {
            attributes.clear();
            is_hidden = false;
        }
    }
    found
}

/// Of all attributes those that a program can rely on.
fn is_kept_attribute(line: &str) -> bool {
    line.starts_with("#[derive(") || line.starts_with("#[non_exhaustive")
}

/// Whether a declaration ends here, or its body begins.
fn is_whole(text: &str) -> bool {
    let is_list = text.starts_with("pub use ");
    text.ends_with(';') || !is_list && (text.ends_with('{') || text.ends_with('}'))
}

/// The same for what is inside of a declaration.
fn is_whole_member(text: &str) -> bool {
    if text.contains("fn ") {
        return text.ends_with(['{', '}', ';']);
    }
    let opened = text.matches(['(', '{', '[']).count();
    let closed = text.matches([')', '}', ']']).count();
    opened == closed && text.ends_with([',', ';'])
}

/// What stands before a body.
struct Header {
    owner: String,
    text: String,
}

impl Header {
    fn of(text: &str, attributes: String) -> Self {
        let text = tidied(text);
        let owner = match text.strip_prefix("impl") {
            Some(rest) => {
                let rest = rest.split(" where ").next().unwrap_or(rest);
                let rest =
                    rest.rsplit_once(" for ").map_or_else(|| without_generics(rest), |it| it.1);
                first_name(rest.trim_start_matches(['&', ' ']))
            }
            None => {
                let is_function = text.split('(').next().is_some_and(|start| start.contains("fn "));
                let words = text.split_whitespace().skip(1);
                let mut words = words.skip_while(|word| is_function && *word != "fn");
                match words.next() {
                    Some("use" | "mod") | None => String::new(),
                    Some(_) => first_name(words.next().unwrap_or_default()),
                }
            }
        };
        // What a tuple keeps for itself may change.
        let text = match text.split_once('(') {
            Some((name, fields)) if name.contains("struct ") && !fields.contains("pub ") => {
                format!("{name}(..)")
            }
            _ => text,
        };
        Self { owner, text: attributes + &text }
    }

    fn is_impl(&self) -> bool {
        self.text.starts_with("impl")
    }

    fn is_impl_of_trait(&self) -> bool {
        self.is_impl() && self.text.contains(" for ")
    }

    /// The thing itself; inherent `impl` blocks are none.
    fn item(&self) -> Option<Item> {
        let is_listed = !self.is_impl() || self.is_impl_of_trait();
        is_listed.then(|| self.with(!self.is_impl(), self.text.clone()))
    }

    /// What is public inside.
    fn members(&self, body: &[&str]) -> Vec<Item> {
        let is_open = |kind: &str| self.text.contains(&format!("pub {kind} "));
        let all_are_public = is_open("enum") || is_open("trait");
        if self.is_impl_of_trait() || is_open("fn") || is_open("mod") {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut is_hidden = false;
        let mut lines = body.iter().copied().peekable();
        while let Some(line) = lines.next() {
            let Some(member) = line.strip_prefix("    ") else { continue };
            is_hidden |= member == HIDDEN;
            let is_code = !member.starts_with([' ', '/', '#', '}', ')', ']', '"']);
            if !is_code || !(all_are_public || member.starts_with("pub ")) {
                is_hidden &= !is_code;
                continue;
            }
            let mut text = member.to_owned();
            while !is_whole_member(&text) {
                let Some(more) = lines.next() else { break };
                if !more.trim_start().starts_with(['/', '#']) {
                    text = format!("{text} {}", more.trim());
                }
            }
            // A value that fills several lines is no part of what is promised.
            if member.starts_with("pub const ") && text != member {
                text.truncate(text.find(" = ").unwrap_or(text.len()));
            }
            if !std::mem::take(&mut is_hidden) {
                found.push(self.with(false, tidied(&text)));
            }
        }
        found
    }

    fn with(&self, is_definition: bool, text: String) -> Item {
        Item { owner: self.owner.clone(), is_definition, text }
    }
}

/// As it would be on one line, without what follows.
fn tidied(text: &str) -> String {
    let text = text.trim_end_matches([';', ',']);
    let text =
        text.strip_suffix("{}").or_else(|| text.strip_suffix('{')).unwrap_or(text).trim_end();
    text.trim_end_matches(',').replace("( ", "(").replace(", )", ")").replace(", }", " }")
}

/// What follows the parameters of an `impl`.
fn without_generics(text: &str) -> &str {
    let mut depth = 0;
    for (place, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' => depth -= 1,
            ' ' if depth == 0 => return text[place..].trim_start(),
            _ => {}
        }
    }
    text
}

/// The last name of a path, without what follows it.
fn first_name(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    let path = &text[..end.unwrap_or(text.len())];
    path.trim_end_matches(':').rsplit("::").next().unwrap_or_default().to_owned()
}
