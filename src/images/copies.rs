//! PURE: what has to be copied before the rules are switched on, as mirroring tools read it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::listing::{Row, Target};
use crate::image::Reference;
use crate::offline::yaml::print;

/// One image to copy. Both are complete: registry, path, and either a digest or a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Copy {
    /// Where it is.
    pub(super) source: String,
    /// Where it is going to be pulled from.
    pub(super) target: String,
}

impl Copy {
    /// Registry and path of the target, without the last word of its name.
    fn folder(&self) -> &str {
        let name = self.target.split('@').next().unwrap_or_default();
        name.rsplit_once('/').map_or(name, |(folder, _)| folder)
    }
}

/// Everything that is rewritten and not known to be at its target, sorted, each once.
pub(super) fn copies(rows: &[Row]) -> Vec<Copy> {
    moved(rows.iter().filter(|row| row.target != Some(Target::Present)))
}

/// From where to where rewritten images go, sorted, each once.
fn moved<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Copy> {
    let copy =
        |row: &Row| Some(Copy { source: complete(&row.image)?, target: complete(row.result.as_deref()?)? });
    let mut moved: Vec<_> = rows.filter_map(copy).collect();
    moved.sort();
    moved.dedup();
    moved
}

/// The reference that a registry is asked for. A digest says which image, and a tag beside it nothing more: to a
/// kubelet, and to tools that refuse to take both.
pub(super) fn complete(image: &str) -> Option<String> {
    let reference = Reference::parse(image).ok()?;
    let suffix = match reference.suffix.split_once('@') {
        Some((_, digest)) => format!("@{digest}"),
        None if reference.suffix.is_empty() => ":latest".to_owned(),
        None => reference.suffix.to_owned(),
    };
    Some(reference.key() + &suffix)
}

/// What a registry is asked for: its host, the repository, and a tag or digest.
pub(super) fn split(complete: &str) -> Option<(&str, &str, &str)> {
    let (host, rest) = complete.split_once('/')?;
    let (path, version) = rest.split_once('@').or_else(|| rest.rsplit_once(':'))?;
    Some((host, path, version))
}

/// Whether a registry is one of `--plain-http`.
pub(super) fn is_plain(plain: &[String], host: &str) -> bool {
    plain.iter().any(|plain| plain.eq_ignore_ascii_case(host))
}

/// Targets that several images would have, which cannot all be there: a warning for each. Also where something is at
/// the target already, since that is one of them at best.
pub(super) fn collisions(rows: &[Row]) -> Vec<String> {
    let moved = moved(rows.iter());
    let mut sources: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Copy { source, target } in moved.iter().filter(|copy| !copy.target.contains('@')) {
        sources.entry(target).or_default().push(source);
    }
    let collide = sources.into_iter().filter(|(_, sources)| sources.len() > 1);
    collide
        .map(|(target, sources)| {
            format!("{} all become {target}, which only one can be: a source each in REGISTRY_MAP keeps them apart", sources.join(" and "))
        })
        .collect()
}

/// A line for each: source, space, target.
pub(super) fn pairs(rows: &[Row]) -> String {
    let line = |Copy { source, target }: &Copy| [source, " ", target, "\n"].concat();
    copies(rows).iter().map(line).collect()
}

/// The configuration of `regsync`.
pub(super) fn regsync(rows: &[Row]) -> String {
    let step = |Copy { source, target }: &Copy| json!({"source": source, "target": target, "type": "image"});
    let sync: Vec<_> = copies(rows).iter().map(step).collect();
    print(&json!({"version": 1, "sync": sync}))
}

/// The list of `skopeo sync`, which copies everything on it below one registry and path: `destination`, or the only
/// one there is. Registries of `plain` are asked without TLS.
///
/// # Errors
/// There are several destinations and none is chosen, or no image goes there.
pub(super) fn skopeo(rows: &[Row], destination: Option<&str>, plain: &[String]) -> Result<String, String> {
    const NOTHING: &str = "# nothing is to be copied\n{}\n";
    let copies = copies(rows);
    let mut by_destination: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for copy in &copies {
        by_destination.entry(copy.folder()).or_default().push(&copy.source);
    }
    let is_filled = |folder: &str| moved(rows.iter()).iter().any(|copy| copy.folder() == folder);
    let all: Vec<_> = by_destination.keys().copied().collect();
    let (destination, sources) = match (destination.map(|it| it.trim_end_matches('/')), all.as_slice()) {
        (None, []) => return Ok(NOTHING.to_owned()),
        (None, [only]) => (*only, &by_destination[only]),
        (None, _) => {
            return Err(format!(
                "skopeo copies a list into one place, and there are several: give --destination with one of {}",
                all.join(", ")
            ));
        }
        (Some(chosen), _) => match by_destination.get_key_value(chosen) {
            Some((destination, sources)) => (*destination, sources),
            None if is_filled(chosen) => return Ok(NOTHING.to_owned()),
            None if all.is_empty() => return Err(format!("--destination {chosen}: nothing is to be copied")),
            None => {
                return Err(format!(
                    "--destination {chosen}: nothing is to be copied there; accepted: {}",
                    all.join(", ")
                ));
            }
        },
    };
    let mut registries: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for (host, path, version) in sources.iter().filter_map(|source| split(source)) {
        registries.entry(host).or_default().entry(path).or_default().push(version);
    }
    let entry = |(host, images): (&str, BTreeMap<&str, Vec<&str>>)| {
        let mut entry = json!({ "images": images });
        if is_plain(plain, host) {
            entry["tls-verify"] = Value::Bool(false);
        }
        (host.to_owned(), entry)
    };
    let list: serde_json::Map<_, _> = registries.into_iter().map(entry).collect();
    Ok(format!(
        "# skopeo sync --all --src yaml --dest docker THIS-FILE {destination}\n{}",
        print(&Value::Object(list))
    ))
}
