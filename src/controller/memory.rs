//! PURE: which credentials of a copy came from where, written on the copy itself: so they outlive the process where a
//! source fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret as ApiSecret;
use serde::{Deserialize, Serialize};

use super::copies::ORIGINS;
use super::credentials::KEY;
use super::entries::{Entries, Format};
use super::merge::{Given, Origin};

/// What a copy says of the origin of its credentials.
#[derive(Deserialize, Serialize)]
struct Memory {
    registries: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

/// Of all annotations of an object together, the API server takes 256 KiB.
const LONGEST: usize = 64 * 1024;

/// What is written on a copy of its origins. Sources with so many registries that it would be too long are left out, the
/// largest first: what they gave is forgotten where they fail as the process begins anew.
#[must_use]
pub fn remember(origins: &BTreeMap<String, Origin>) -> String {
    let mut kept = origins.clone();
    loop {
        let written = written(&kept);
        if written.len() <= LONGEST {
            return written;
        }
        let size = |origin: &Origin| origin.registries.iter().map(String::len).sum::<usize>();
        let largest = kept.iter().max_by_key(|(_, origin)| size(origin)).map(|(name, _)| name.clone());
        let Some(largest) = largest else { return written };
        kept.remove(&largest);
    }
}

fn written(origins: &BTreeMap<String, Origin>) -> String {
    let memory = |origin: &Origin| Memory {
        registries: origin.registries.clone(),
        expires: origin.expires.map(|expires| expires.to_string()),
    };
    let memories: BTreeMap<_, _> = origins.iter().map(|(name, origin)| (name, memory(origin))).collect();
    serde_json::to_string(&memories).unwrap_or_default()
}

/// What sources gave, by the copy that holds it.
#[must_use]
pub fn remembered(copy: &ApiSecret) -> Option<BTreeMap<String, Given>> {
    let memories = copy.metadata.annotations.as_ref()?.get(ORIGINS)?;
    let memories: BTreeMap<String, Memory> = serde_json::from_str(memories).ok()?;
    let content = copy.data.as_ref()?.get(KEY)?;
    let whole = Entries::read(Format::Config, &content.0).ok()?;
    let given = |memory: Memory| {
        let mut entries = whole.clone();
        entries.retain(|registry| memory.registries.iter().any(|known| known == registry));
        let expires = memory.expires.and_then(|expires| expires.parse().ok());
        Given { entries: Arc::new(entries), expires }
    };
    Some(memories.into_iter().map(|(name, memory)| (name, given(memory))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_too_long_leaves_out_the_largest_sources() {
        let origin = |count: usize| Origin {
            registries: (0..count).map(|n| format!("{n:0>100}.example")).collect(),
            expires: None,
        };
        let all = |counts: &[usize]| -> BTreeMap<_, _> {
            counts.iter().enumerate().map(|(n, count)| (format!("n.s{n}"), origin(*count))).collect()
        };
        let kept = |counts: &[usize]| -> Vec<String> {
            let text = remember(&all(counts));
            assert!(text.len() <= LONGEST);
            serde_json::from_str::<BTreeMap<String, Memory>>(&text).unwrap().into_keys().collect()
        };
        assert_eq!(kept(&[3, 1, 2]), ["n.s0", "n.s1", "n.s2"]);
        assert_eq!(kept(&[3, 5_000, 2]), ["n.s0", "n.s2"]);
        assert_eq!(kept(&[300, 310, 290]), ["n.s2"]);
        assert_eq!(kept(&[5_000]), Vec::<String>::new());
    }
}
