//! A line as words.

/// Splits at blanks. A word that begins with a quote, single or double, goes on to the next one of its kind, blanks
/// included; there are no escapes. A quote in the middle of a word is like any other character, so that JSON can be
/// typed. One at the beginning that is never closed is skipped.
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
        let (word, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
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
        check("set /a x'y z'", &["set", "/a", "x'y", "z'"]);
        check("set /a {\"k\":\"v\"} 1", &["set", "/a", "{\"k\":\"v\"}", "1"]);
        check("set /a it's", &["set", "/a", "it's"]);
        check("set /a 'b'c", &["set", "/a", "b", "c"]);
        check("set /a 'b c", &["set", "/a", "b", "c"]);
        check("set /a '", &["set", "/a"]);
        check("#ls", &["#ls"]);
    }
}
