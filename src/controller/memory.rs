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

/// How long the text may be: all annotations of an object together have 256 KiB.
const LONGEST: usize = 64 * 1024;

/// What a copy says of the origin of its credentials.
#[derive(Deserialize, Serialize)]
struct Memory {
    registries: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

/// What is written on a copy of its origins. Where that would be too long, nothing is said of the largest of them.
#[must_use]
pub fn remember(origins: &BTreeMap<String, Origin>) -> String {
    let memory = |origin: &Origin| Memory {
        registries: origin.registries.clone(),
        expires: origin.expires.map(|expires| expires.to_string()),
    };
    let written = |(name, origin)| {
        let (name, memory) =
            (serde_json::to_string(name).ok()?, serde_json::to_string(&memory(origin)).ok()?);
        Some(format!("{name}:{memory}"))
    };
    let mut members: Vec<_> = origins.iter().filter_map(written).collect();
    members.sort_by_key(String::len);
    let mut length = "{}".len();
    members.retain(|member| {
        length += member.len() + ",".len();
        length <= LONGEST
    });
    // The same text, whatever their lengths are.
    members.sort_unstable();
    format!("{{{}}}", members.join(","))
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
