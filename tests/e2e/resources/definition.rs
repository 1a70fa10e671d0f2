//! The definition, and manifests of IMPS.

use super::case::install;
use crate::kubectl::kubectl;
use crate::space::Space;

/// As in its documents.
#[test]
fn manifests_of_imps_are_taken_as_they_are() {
    let _space = Space::new();
    install();
    for name in ["annotations.yaml", "names.yaml", "rules.yaml"] {
        let path = format!("{}/tests/fixtures/migration/imps/{name}", env!("CARGO_MANIFEST_DIR"));
        kubectl("apply --dry-run=server --validate=strict -f").word(&path).ok();
    }
}
