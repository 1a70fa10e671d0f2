//! The table of image references, row by row, through configuration and rules as the webhook does it.

use std::ffi::OsString;

use pullgate::config::load_policy;
use pullgate::image::{Decision, Kept, RegistryRules};

use crate::reference_table::{Row, rows};

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
