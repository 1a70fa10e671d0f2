//! `tests/fixtures/image-references.tsv`, whose head describes it.

use std::path::Path;

/// One row under one configuration.
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) configuration: Vec<(String, String)>,
    pub(crate) image: String,
    pub(crate) dot: String,
    pub(crate) distribution: String,
    pub(crate) warns: bool,
}

/// All rows, in order.
pub(crate) fn rows() -> Vec<Row> {
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
