//! PURE: what is wrong, and what mends it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::terminal::{CYAN, PLAIN, RED, YELLOW, shown};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// pullgate does not do what it is there for, or keeps others from what they do.
    Error,
    /// It does not in some case, or soon will not.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Error => RED,
            Self::Warning => YELLOW,
            Self::Info => CYAN,
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; `docs/doctor.md` has a section for each.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong with which object.
    pub problem: String,
    /// A command that mends it; where only a person can decide, one that shows more.
    pub mend: String,
}

/// What was found, worst first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// All of it.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Adds a finding.
    pub fn add(&mut self, check: &'static str, severity: Severity, problem: String, mend: String) {
        self.findings.push(Finding { check, severity, problem, mend });
    }

    /// Worst first, otherwise as they were looked at.
    pub fn sort(&mut self) {
        self.findings.sort_by_key(|finding| finding.severity);
    }

    /// Whether anything has to be done.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Info)
    }

    /// A line for each finding, and one for all of them; `coloured` or not.
    #[must_use]
    pub fn text(&self, coloured: bool) -> String {
        let mut text = String::new();
        for Finding { check, severity, problem, mend } in &self.findings {
            // Never fails for a String.
            let (colour, end) = if coloured { (severity.colour(), PLAIN) } else { ("", "") };
            let (problem, mend) = (shown(problem), shown(mend));
            let _ = writeln!(text, "{colour}{:<7}{end} {check}: {problem}; {mend}", severity.as_str());
        }
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let plural = |count| if count == 1 { "" } else { "s" };
        let _ = if self.is_well() {
            writeln!(text, "all is well")
        } else {
            writeln!(text, "{errors} error{}, {warnings} warning{}", plural(errors), plural(warnings))
        };
        text
    }

    /// The same for a program.
    ///
    /// # Errors
    /// None in practice.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(&serde_json::json!({
            "healthy": self.is_well(), "findings": self.findings
        }))? + "\n")
    }
}

/// A word of a command. Most names in a cluster cannot hold anything that a shell understands; owners of Pods, images and
/// annotations can, and whoever wrote them does not decide what the reader of a finding runs.
#[must_use]
pub(super) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@=,+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) && !text.starts_with('-') {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_one_word_for_a_shell() {
        for (text, expected) in [
            ("web-1.a", "web-1.a"),
            ("r.example:5000/a@sha256:0", "r.example:5000/a@sha256:0"),
            ("", "''"),
            ("-x", "'-x'"),
            ("x; rm -rf /", "'x; rm -rf /'"),
            ("it's $(x)", r"'it'\''s $(x)'"),
        ] {
            assert_eq!(word(text), expected);
        }
    }

    #[test]
    fn a_finding_is_a_line_whatever_is_in_it() {
        let mut report = Report::default();
        assert_eq!(report.text(true), "all is well\n");
        report.add("b", Severity::Info, "one".to_owned(), "kubectl x".to_owned());
        assert!(report.is_well());
        report.add("a", Severity::Error, "two\n\u{1b}[31m".to_owned(), "kubectl y".to_owned());
        report.sort();
        assert!(report.text(true).starts_with("\u{1b}[31merror  \u{1b}[0m a: "));
        assert_eq!(
            report.text(false),
            "error   a: two\\n\\u{1b}[31m; kubectl y\ninfo    b: one; kubectl x\n1 error, 0 warnings\n"
        );
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["healthy"], false);
        assert_eq!(json["findings"][0]["severity"], "error");
    }
}
