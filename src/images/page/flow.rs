//! PURE: the picture of which registries flow into which target.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::copies::complete;
use super::super::listing::Row;
use super::escaped;

const WIDTH: usize = 900;
/// Where lines begin and end.
const LEFT: usize = 300;
const RIGHT: usize = 560;
/// From one name to the next.
const STEP: usize = 34;
/// The widest line.
const THICK: usize = 22;
/// Characters of a name.
const LONGEST: usize = 36;
/// Names on a side; the others share one.
const MOST: usize = 15;
const OTHERS: &str = "others";
const STAYS: &str = "stays where it is";

/// Registries on the left, targets on the right, and a line for images between them, the wider the more; empty where
/// there is none.
pub(super) fn picture(rows: &[Row]) -> String {
    let mut flows: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in rows {
        if let Some(image) = complete(&row.image) {
            let registry = image.split('/').next().unwrap_or_default().to_owned();
            let target = row.into.clone().unwrap_or_else(|| STAYS.to_owned());
            *flows.entry((registry, target)).or_default() += 1;
        }
    }
    let (registries, targets) = (side(&flows, |(registry, _)| registry), side(&flows, |(_, target)| target));
    let mut lines: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for ((registry, target), count) in &flows {
        *lines.entry((place(&registries, registry), place(&targets, target))).or_default() += count;
    }
    let Some(most) = lines.values().max() else { return String::new() };
    let height = registries.len().max(targets.len()) * STEP;
    // The shorter side stands in the middle.
    let y =
        |side: &[(String, usize)], place: usize| (height - side.len() * STEP) / 2 + place * STEP + STEP / 2;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" role=\"img\" aria-label=\"Which registries flow into which target\">\n"
    );
    for ((from, to), count) in &lines {
        let (start, end) = (y(&registries, *from), y(&targets, *to));
        let class = if targets[*to].0 == STAYS { " class=\"stays\"" } else { "" };
        let (width, middle) = (2 + (THICK - 2) * count / most, usize::midpoint(LEFT, RIGHT));
        let _ = writeln!(
            svg,
            "<path{class} stroke-width=\"{width}\" d=\"M{LEFT} {start} C{middle} {start} {middle} {end} {RIGHT} {end}\"/>"
        );
    }
    for (names, x, anchor) in [(&registries, LEFT - 8, "end"), (&targets, RIGHT + 8, "start")] {
        for (place, (name, count)) in names.iter().enumerate() {
            let y = y(names, place);
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" dy=\".35em\" text-anchor=\"{anchor}\"><title>{}</title>{} ({count})</text>",
                escaped(name),
                escaped(&shortened(name))
            );
        }
    }
    svg + "</svg>\n"
}

/// What there is room for: both ends of a name, which tell accounts and paths apart.
fn shortened(name: &str) -> String {
    let characters: Vec<_> = name.chars().collect();
    let Some(rest) = characters.len().checked_sub(LONGEST + 1) else { return name.to_owned() };
    let (head, tail) = characters.split_at(LONGEST / 2);
    head.iter().chain(&['…']).chain(&tail[rest + 2..]).collect()
}

/// The names of one side with their images, those with the most first; what stays is last.
fn side(
    flows: &BTreeMap<(String, String), usize>,
    name: impl Fn(&(String, String)) -> &String,
) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for (ends, count) in flows {
        *counts.entry(name(ends)).or_default() += count;
    }
    let mut names: Vec<_> = counts.into_iter().map(|(name, count)| (name.clone(), count)).collect();
    names.sort_by_key(|(name, count)| (name == STAYS, std::cmp::Reverse(*count)));
    if names.len() > MOST {
        let rest = names.split_off(MOST - 1);
        names.push((OTHERS.to_owned(), rest.iter().map(|(_, count)| count).sum()));
    }
    names
}

fn place(side: &[(String, usize)], name: &str) -> usize {
    side.iter().position(|(it, _)| it == name).unwrap_or(side.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(image: &str, into: Option<&str>) -> Row {
        Row {
            image: image.to_owned(),
            fate: "rewritten",
            why: String::new(),
            result: None,
            into: into.map(str::to_owned),
            users: Vec::new(),
            target: None,
        }
    }

    #[test]
    fn every_registry_has_a_line_to_its_target() {
        let svg = picture(&[
            row("nginx:1", Some("r.example/hub")),
            row("docker.io/acme/app", Some("r.example/hub")),
            row("quay.io/a/b:1", Some("r.example/quay")),
            row("ghcr.io/a/b:1", None),
            row("not an image", None),
        ]);
        assert_eq!(svg.matches("<path").count(), 3);
        assert_eq!(svg.matches("class=\"stays\"").count(), 1);
        for name in [
            "docker.io (2)",
            "quay.io (1)",
            "ghcr.io (1)",
            "r.example/hub (2)",
            "r.example/quay (1)",
            "stays where it is (1)",
        ] {
            assert!(svg.contains(&format!("</title>{name}<")), "{name}: {svg}");
        }
        assert!(svg.contains("stroke-width=\"22\"") && svg.contains("stroke-width=\"12\""), "{svg}");
    }

    #[test]
    fn of_long_names_both_ends_are_shown() {
        for length in [1, LONGEST, LONGEST + 1, 200] {
            let name: String = ('a'..='z').cycle().take(length).collect();
            let short = shortened(&name);
            assert_eq!(short.chars().count(), length.min(LONGEST));
            let (head, tail) = short.split_once('…').unwrap_or((&name, ""));
            assert!(
                name.starts_with(head) && name.ends_with(tail) && (tail.is_empty() == (length <= LONGEST))
            );
        }
        let [one, two] = ["111111111111", "222222222222"]
            .map(|account| format!("{account}.dkr.ecr.ap-southeast-2.amazonaws.com/hub"));
        let svg = picture(&[row("nginx", Some(&one)), row("quay.io/a/b", Some(&two))]);
        assert!(
            svg.contains("</title>111111111111.dkr.e") && svg.contains(&format!("<title>{two}</title>")),
            "{svg}"
        );
    }

    #[test]
    fn many_registries_share_a_line() {
        let rows: Vec<_> = (0..40).map(|i| row(&format!("r{i}.example/a:1"), Some("t.example"))).collect();
        let svg = picture(&rows);
        assert_eq!(svg.matches("<path").count(), MOST);
        assert!(svg.contains("</title>others (26)<"), "{svg}");
        assert_eq!(picture(&[]), "");
    }
}
