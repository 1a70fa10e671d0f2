//! The table of image references, row by row, through configuration and rules as the webhook does it.

use std::ffi::OsString;
use std::path::Path;

use pullgate::config::load_policy;
use pullgate::image::{Decision, Kept, RegistryRules};

/// One row under one configuration.
struct Row {
    line: usize,
    configuration: Vec<(String, String)>,
    image: String,
    dot: String,
    distribution: String,
    warns: bool,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/image-references.tsv");
    let table = std::fs::read_to_string(path).unwrap();
    let (mut rows, mut configuration) = (Vec::new(), Vec::new());
    for (number, line) in table.lines().enumerate() {
        if let Some(assignments) = line.strip_prefix("#!") {
            let split = |pair: &str| pair.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap();
            configuration = assignments.split_whitespace().map(split).collect();
        } else if !line.starts_with('#') {
            let cells: Vec<_> = line.split('\t').map(unescape).collect();
            let [image, dot, distribution, warning] = cells.try_into().unwrap();
            let warns = warning == "warn";
            rows.push(Row {
                line: number + 1,
                configuration: configuration.clone(),
                image,
                dot,
                distribution,
                warns,
            });
        }
    }
    rows
}

/// `\n`, `\t`, `\\`, `\u{HEX}`, and `{TEXT*N}` for repetition.
fn unescape(cell: &str) -> String {
    let mut text = String::new();
    let mut rest = cell;
    while let Some(at) = rest.find(['\\', '{']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(hex) = rest.strip_prefix("\\u{") {
            let (hex, after) = hex.split_once('}').unwrap();
            text.push(char::from_u32(u32::from_str_radix(hex, 16).unwrap()).unwrap());
            rest = after;
        } else if let Some(after) = rest.strip_prefix('\\') {
            text.push(match after.chars().next().unwrap() {
                'n' => '\n',
                't' => '\t',
                '\\' => '\\',
                other => panic!("unknown escape \\{other}"),
            });
            rest = &after[1..];
        } else {
            let (repeated, after) = rest[1..].split_once('}').unwrap();
            let (unit, times) = repeated.split_once('*').unwrap();
            text.push_str(&unit.repeat(times.parse().unwrap()));
            rest = after;
        }
    }
    text + rest
}

fn rules(row: &Row, parser: &str) -> RegistryRules {
    let configuration = row.configuration.iter().cloned().chain([("IMAGE_PARSER".into(), parser.into())]);
    let environment = configuration.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load_policy(environment).unwrap_or_else(|errors| panic!("line {}: {errors:?}", row.line)).0.registries
}

#[test]
fn every_row_of_the_table_holds_for_both_parsers() {
    let rows = rows();
    assert!(rows.len() >= 200, "the table shrank to {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        for (parser, expected) in [("dot", &row.dot), ("distribution", &row.distribution)] {
            let rules = rules(row, parser);
            let (actual, warned) = match rules.decide(&row.image) {
                Decision::Rewrite { image, .. } => (image, row.warns),
                Decision::Keep(Kept::Malformed(_) | Kept::BadOutput(_)) => ("=".into(), true),
                Decision::Keep(_) => ("=".into(), false),
            };
            // The column about warnings speaks of untouched images only.
            if &actual != expected || (actual == "=" && warned != row.warns) {
                wrong.push(format!(
                    "line {} {parser}: {:.80} -> {actual:.80} (warned: {warned}), expected {expected:.80}",
                    row.line, row.image
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
