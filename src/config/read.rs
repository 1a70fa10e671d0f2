//! Raw strings to values: one reader per shape.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::ConfigError;
use crate::image::analysis::Notice;

/// Collects problems, notices and effective values while variables are read; a value that cannot be used reads
/// as its default.
#[derive(Default)]
pub(crate) struct Reader {
    /// What each variable that is set was called there.
    pub(crate) called: HashMap<&'static str, &'static str>,
    pub(crate) errors: Vec<ConfigError>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) effective: HashMap<&'static str, String>,
}

impl Reader {
    /// Notes the value that is in effect.
    pub(crate) fn effective(&mut self, variable: &'static str, value: impl Into<String>) {
        self.effective.insert(variable, value.into());
    }

    pub(crate) fn take_effective(&mut self, variable: &'static str) -> String {
        self.effective.remove(variable).unwrap_or_default()
    }

    pub(crate) fn warn(&mut self, text: String) {
        self.notices.push(Notice::Warning(text));
    }

    pub(crate) fn refuse(&mut self, variable: &'static str, value: &str, problem: impl Display) {
        let value = value.chars().take(200).collect();
        let variable = (*self.called.get(variable).unwrap_or(&variable)).to_owned();
        self.errors.push(ConfigError { variable, value, problem: problem.to_string() });
    }

    /// true/false/1/0/yes/no in any case.
    pub(crate) fn boolean(&mut self, variable: &'static str, raw: Option<&String>) -> bool {
        self.boolean_or(variable, raw, false)
    }

    /// The same with another default.
    pub(crate) fn boolean_or(&mut self, variable: &'static str, raw: Option<&String>, default: bool) -> bool {
        let value = raw.map_or(if default { "true" } else { "false" }, String::as_str);
        let is = match value.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => true,
            "false" | "0" | "no" => false,
            _ => {
                self.refuse(variable, value, "is not a boolean; accepted: true, false, 1, 0, yes, no");
                false
            }
        };
        self.effective(variable, if is { "true" } else { "false" });
        is
    }

    /// One of several words, exactly as written.
    pub(crate) fn choice<T: Copy + PartialEq>(
        &mut self,
        variable: &'static str,
        raw: Option<&String>,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        self.pick(variable, raw, default, choices, str::eq)
    }

    /// One of several words in any case, for what other programs spell in every way.
    pub(crate) fn word<T: Copy + PartialEq>(
        &mut self,
        variable: &'static str,
        raw: Option<&String>,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        self.pick(variable, raw, default, choices, str::eq_ignore_ascii_case)
    }

    fn pick<T: Copy + PartialEq>(
        &mut self,
        variable: &'static str,
        raw: Option<&String>,
        default: T,
        choices: &[(&str, T)],
        same: fn(&str, &str) -> bool,
    ) -> T {
        let choice = match raw.map(|value| (value, choices.iter().find(|(word, _)| same(word, value)))) {
            None => default,
            Some((_, Some((_, choice)))) => *choice,
            Some((value, None)) => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                self.refuse(variable, value, format_args!("is unknown; accepted: {}", words.join(", ")));
                default
            }
        };
        let word = choices.iter().find(|(_, value)| *value == choice).map_or("", |(word, _)| word);
        self.effective(variable, word);
        choice
    }

    /// A whole number within a range.
    pub(crate) fn number<T>(
        &mut self,
        variable: &'static str,
        raw: Option<&String>,
        default: T,
        range: RangeInclusive<T>,
    ) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let number = match raw.map(|value| (value, value.trim().parse())) {
            None => default,
            Some((_, Ok(number))) if range.contains(&number) => number,
            Some((value, _)) => {
                let (low, high) = range.into_inner();
                self.refuse(variable, value, format_args!("is not a whole number from {low} to {high}"));
                default
            }
        };
        self.effective(variable, number.to_string());
        number
    }

    /// A comma separated list of names, each once.
    pub(crate) fn names(
        &mut self,
        variable: &'static str,
        raw: Option<&String>,
        rule: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Vec<String> {
        let (mut names, mut seen) = (Vec::new(), HashSet::new());
        for name in items(raw) {
            match rule(name) {
                Ok(()) if seen.insert(name) => names.push(name.to_owned()),
                Ok(()) => {}
                Err(problem) => self.refuse(variable, name, problem),
            }
        }
        self.effective(variable, names.join(","));
        names
    }

    /// The same with a default; `,` is the empty list then.
    pub(crate) fn names_or(
        &mut self,
        variable: &'static str,
        raw: Option<&String>,
        default: &str,
        rule: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Vec<String> {
        let names = self.names(variable, raw.or(Some(&default.to_owned())), rule);
        if names.is_empty() {
            self.effective(variable, ",");
        }
        names
    }

    /// One name.
    pub(crate) fn name(
        &mut self,
        variable: &'static str,
        raw: Option<&String>,
        rule: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Option<String> {
        let mut names = self.names(variable, raw, rule);
        if names.len() > 1 {
            self.refuse(variable, &names.join(","), "is a list; accepted: one name");
        }
        names.pop()
    }
}

/// The items of a comma separated list, trimmed, without empty ones.
pub(crate) fn items(raw: Option<&String>) -> impl Iterator<Item = &str> {
    raw.map(String::as_str).unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// RFC 1123 label: names of Namespaces.
pub(crate) fn dns_label(name: &str) -> Result<(), &'static str> {
    if name.len() <= 63 && is_label(name) {
        return Ok(());
    }
    Err("is not a name of a namespace: at most 63 lower-case letters, digits and `-` between them")
}

/// The port of an address; there is one for all addresses.
pub(crate) fn port_of(address: &str) -> Result<u16, &'static str> {
    let port = address.trim().rsplit(':').next().unwrap_or_default();
    port.parse().map_err(|_| "is no address; accepted: such as :8080, and 0 for none")
}

/// A selector of labels, as `kubectl -l` and the API server take it.
pub(crate) fn label_selector(text: &str) -> Result<(), String> {
    let words = selector_words(text);
    let mut depth = 0_i32;
    let ends = |word: &&str| {
        depth += i32::from(*word == "(") - i32::from(*word == ")");
        *word == "," && depth == 0
    };
    match words.split(ends).find(|condition| !is_condition(condition)) {
        None => Ok(()),
        Some(wrong) => Err(format!(
            "is no label selector, at {:?}; accepted: key=value, key!=value, key in (a,b), key notin (a,b), key, !key, \
             and several of them with commas in between",
            wrong.join(" ")
        )),
    }
}

/// Symbols, and what is between them.
fn selector_words(text: &str) -> Vec<&str> {
    const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
    const SYMBOLS: [char; 7] = ['=', '!', '(', ')', ',', '<', '>'];
    let (mut words, mut rest) = (Vec::new(), text.trim_start_matches(BLANKS));
    while !rest.is_empty() {
        let length = if rest.starts_with("==") || rest.starts_with("!=") {
            2
        } else if rest.starts_with(SYMBOLS) {
            1
        } else {
            rest.find(|c| BLANKS.contains(&c) || SYMBOLS.contains(&c)).unwrap_or(rest.len())
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after.trim_start_matches(BLANKS);
    }
    words
}

fn is_condition(words: &[&str]) -> bool {
    match words {
        [key] | ["!", key] | [key, "=" | "==" | "!="] => is_label_key(key),
        [key, "=" | "==" | "!=", value] => is_label_key(key) && is_label_value(value),
        // A value all the same, so no less than 0.
        [key, "<" | ">", number] => {
            is_label_key(key) && is_label_value(number) && number.parse::<i64>().is_ok()
        }
        [key, "in" | "notin", "(", values @ .., ")"] => {
            let is_value =
                |words: &[&str]| matches!(words, [] | [_]) && words.iter().all(|it| is_label_value(it));
            is_label_key(key) && values.split(|word| *word == ",").all(is_value)
        }
        _ => false,
    }
}

/// The name of a label: `team`, `example.com/team`.
fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(|prefix| dns_subdomain(prefix).is_ok()) && !name.is_empty() && is_label_value(name)
}

fn is_label_value(value: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    value.is_empty()
        || value.len() <= 63
            && value.bytes().all(inner)
            && value.starts_with(is_edge)
            && value.ends_with(is_edge)
}

/// The name of a namespace on a command line. It may become part of an address, where anything else would ask for something
/// else.
pub(crate) fn namespace(name: &str) -> Result<String, &'static str> {
    dns_label(name).map(|()| name.to_owned())
}

/// RFC 1123 subdomain: names of Secrets and storage classes.
pub(crate) fn dns_subdomain(name: &str) -> Result<(), &'static str> {
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(());
    }
    Err("is not a Kubernetes object name: at most 253 lower-case letters, digits, `-` and `.` between them")
}

/// A name of a `ServiceAccount` in which `*` and `?` may stand for any text and any character.
pub(crate) fn name_pattern(pattern: &str) -> Result<(), &'static str> {
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'*' | b'?');
    if pattern.len() <= 253 && pattern.bytes().all(allowed) {
        return Ok(());
    }
    Err(
        "is not a name of a ServiceAccount: lower-case letters, digits, `-` and `.`, with `*` and `?` for any others",
    )
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}
