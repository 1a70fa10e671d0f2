//! PURE: one page that needs nothing but itself: a table to filter, and a picture of where images flow.
//!
//! Names come from manifests, so every text is escaped; and the page's own policy lets no script and no style run but
//! the two that are named by their digests, and nothing be loaded at all.

mod flow;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use super::listing::{Row, Target};
use super::render::{MORE, summary, users};
use crate::terminal::shown;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page.
pub(super) fn page(rows: &[Row]) -> String {
    let source = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        source(STYLE),
        source(SCRIPT)
    );
    let is_checked = rows.iter().any(|row| row.target.is_some());
    let fates: BTreeSet<_> = rows.iter().map(|row| row.fate).collect();
    let options: String = fates.iter().map(|fate| ["<option>", fate, "</option>"].concat()).collect();
    let target = if is_checked { "<th>Target</th>" } else { "" };
    let body: String = rows.iter().map(|row| line(row, is_checked)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Images and where they come from</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>Images and where they come from</h1>\n<p>{}</p>\n{}\
         <form><input id=\"words\" type=\"search\" placeholder=\"Filter\" aria-label=\"Filter\">\
         <select id=\"fate\" aria-label=\"Kind\"><option value=\"\">all</option>{options}</select>\
         <output id=\"shown\"></output></form>\n\
         <table>\n<thead><tr><th>Image</th><th>Becomes</th>{target}<th>Why</th><th>Users</th></tr></thead>\n\
         <tbody>\n{body}</tbody>\n</table>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        escaped(&summary(rows)),
        flow::picture(rows),
    )
}

fn line(row: &Row, is_checked: bool) -> String {
    let trouble = if row.is_trouble() { " class=\"trouble\"" } else { "" };
    let mut line = format!("<tr data-fate=\"{}\"{trouble}><td>{}</td>", row.fate, escaped(&row.image));
    let mut cell = |class: &str, text: &str| {
        let _ = write!(line, "<td{class}>{}</td>", escaped(text));
    };
    match &row.result {
        Some(result) => cell("", result),
        None => cell(" class=\"none\"", "(stays)"),
    }
    if is_checked {
        match &row.target {
            Some(Target::Present) => cell("", "present"),
            Some(target) => cell(" class=\"bad\"", &target.to_string()),
            None => cell(" class=\"none\"", ""),
        }
    }
    cell("", &row.why);
    cell("", &users(row, MORE));
    line + "</tr>\n"
}

/// Text as it may stand between tags and in an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in shown(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(image: &str, result: Option<&str>) -> Row {
        Row {
            image: image.to_owned(),
            fate: if result.is_some() { "rewritten" } else { "unparsable" },
            why: format!("because of {image}"),
            result: result.map(str::to_owned),
            into: result.map(|_| "r.example/<b>".to_owned()),
            users: vec![format!("Pod default/{image}")],
            target: Some(Target::Unreachable(format!("it says {image}"))),
        }
    }

    #[test]
    fn no_text_becomes_a_tag_or_leaves_an_attribute() {
        for hostile in [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "</table>",
            "' onclick='x",
            "\u{1b}[2J&lt;",
        ] {
            let page = page(&[row(hostile, None), row(hostile, Some("r.example/a:1"))]);
            assert_eq!(page.matches("<script>").count(), 1, "{hostile}");
            assert_eq!(page.matches("</table>").count(), 1, "{hostile}");
            assert!(!page.contains("<img") && !page.contains("<b>") && !page.contains('\u{1b}'), "{hostile}");
            assert_eq!(page.matches(hostile).count(), self::page(&[]).matches(hostile).count(), "{hostile}");
        }
        assert_eq!(escaped("<a b=\"c\" d='e'>&\u{7}"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;\\u{7}");
    }

    #[test]
    fn the_page_names_no_other_address() {
        let page = page(&[row("docker.io/library/nginx:1", Some("r.example/hub/nginx:1"))]);
        for word in ["://", "src=", "href", "url(", "@import", "fetch(", "XMLHttp", "javascript:"] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn its_policy_names_its_own_script_and_style() {
        let page = page(&[]);
        let inside = |start: &str, end: &str| {
            let rest = page.split_once(start).unwrap().1;
            STANDARD.encode(digest(&SHA256, rest.split_once(end).unwrap().0.as_bytes()))
        };
        assert!(page.contains(&format!("style-src 'sha256-{}'", inside("<style>", "</style>"))));
        assert!(page.contains(&format!("script-src 'sha256-{}'", inside("<script>", "</script>"))));
    }
}
