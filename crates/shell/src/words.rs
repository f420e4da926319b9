//! A line as words.

/// Splits at blanks. What stands between two equal quotes, single or double, is a word of its own,
/// blanks and the other quote included; there are no escapes. A quote that is never closed is
/// skipped.
pub(crate) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(|character: char| !character.is_whitespace()) {
        rest = &rest[start..];
        let quote = rest.chars().next().filter(|&first| first == '"' || first == '\'');
        if let Some(quote) = quote {
            rest = &rest[1..];
            if let Some((word, after)) = rest.split_once(quote) {
                words.push(word.to_owned());
                rest = after;
            }
            continue;
        }
        let ends = |character: char| character.is_whitespace() || "\"'".contains(character);
        let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        words.push(word.to_owned());
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        let check = |line: &str, expected: &[&str]| assert_eq!(split(line), expected, "{line}");
        check("", &[]);
        check("  ls   -s  / ", &["ls", "-s", "/"]);
        check("set /a 'b \"c\" d'", &["set", "/a", "b \"c\" d"]);
        check("set /a \"it's\"", &["set", "/a", "it's"]);
        check("set /a ''", &["set", "/a", ""]);
        check("set /a x'y z'", &["set", "/a", "x", "y z"]);
        check("set /a 'b c", &["set", "/a", "b", "c"]);
        check("set /a '", &["set", "/a"]);
        check("#ls", &["#ls"]);
    }
}
