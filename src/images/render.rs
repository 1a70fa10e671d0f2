//! PURE: lists for people and programs.

use std::collections::BTreeMap;

use serde_json::json;

use super::copies::{Copy, copies};
use super::listing::Row;
use crate::terminal::shown;

/// Users that a table names; the others are counted.
const FEW: usize = 3;
/// Users that JSON and the page name.
pub(super) const MORE: usize = 10;

/// A line for each image under a head line, and how many there are of each kind.
pub(super) fn table(rows: &[Row]) -> String {
    let is_checked = rows.iter().any(|row| row.target.is_some());
    let mut head = vec!["IMAGE", "BECOMES", "TARGET", "WHY", "USERS"];
    if !is_checked {
        head.remove(2);
    }
    let cells = |row: &Row| {
        let result = row.result.as_deref().map_or("(stays)".to_owned(), short);
        let mut cells = vec![short(&shown(&row.image)), result];
        if is_checked {
            cells.push(row.target.as_ref().map_or("-".to_owned(), |target| shown(&target.to_string())));
        }
        cells.extend([row.why.clone(), users(row, FEW)]);
        cells
    };
    let mut lines = vec![head.into_iter().map(str::to_owned).collect()];
    lines.extend(rows.iter().map(cells));
    format!("{}\n{}\n", aligned(&lines), summary(rows))
}

/// With as much of a digest as tells images apart.
fn short(image: &str) -> String {
    match image.split_once("@sha256:") {
        Some((name, digest)) if digest.len() == 64 => {
            format!("{name}@sha256:{}…", digest.get(..12).unwrap_or_default())
        }
        _ => image.to_owned(),
    }
}

/// `3: Deployment shop/web, Deployment shop/api, …`
pub(super) fn users(row: &Row, most: usize) -> String {
    let more = if row.users.len() > most { ", …" } else { "" };
    let named = &row.users[..row.users.len().min(most)];
    format!("{}: {}{more}", row.users.len(), named.join(", "))
}

/// `12 images: 4 at_target, 8 rewritten; targets: 12 present`
pub(super) fn summary(rows: &[Row]) -> String {
    let listed = |counts: BTreeMap<&str, usize>| {
        counts.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
    };
    let plural = if rows.len() == 1 { "" } else { "s" };
    let states = counted(rows.iter().filter_map(|row| Some(row.target.as_ref()?.as_str())));
    let targets = if states.is_empty() { String::new() } else { format!("; targets: {}", listed(states)) };
    format!("{} image{plural}: {}{targets}", rows.len(), listed(counted(rows.iter().map(|row| row.fate))))
}

fn counted<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// Columns as wide as their widest cell, two spaces between them.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let mut padding = 0;
        for (cell, width) in line.iter().zip(&widths) {
            text.extend(std::iter::repeat_n(' ', padding));
            text.push_str(cell);
            padding = width - cell.chars().count() + 2;
        }
        text.push('\n');
    }
    text
}

/// One object; docs/images.md has its schema.
pub(super) fn json(rows: &[Row]) -> String {
    let image = |row: &Row| {
        let copy = copies(std::slice::from_ref(row)).pop();
        json!({
            "image": row.image,
            "fate": row.fate,
            "why": row.why,
            "result": row.result,
            "copy": copy.map(|Copy { source, target }| json!({"source": source, "target": target})),
            "target": row.target.as_ref().map(|it| json!({"state": it.as_str(), "reason": it.reason()})),
            "users": {"count": row.users.len(), "first": row.users.iter().take(MORE).collect::<Vec<_>>()},
        })
    };
    let whole = json!({"images": rows.iter().map(image).collect::<Vec<_>>(), "summary": counted(rows.iter().map(|row| row.fate))});
    format!("{whole:#}\n")
}
