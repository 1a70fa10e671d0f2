//! PURE: what an image reference is ([`mod@reference`]), where rules send it ([`rules`]), and whether the rules
//! make sense together ([`analysis`]).
//!
//! ```text
//! image --Reference::parse--> Reference --RegistryRules::decide--> Decision
//! REGISTRY, REGISTRY_MAP, IGNORED_REGISTRIES --RegistryRules::new--> rules, or every error; plus notices
//! ```

pub mod analysis;
pub mod reference;
pub mod rules;

pub use reference::{Malformed, Reference};
pub use rules::{Decision, Kept, Parser, RegistryRules};
