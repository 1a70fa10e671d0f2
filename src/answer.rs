//! PURE: from the body of a call to the body of its answer, for the server and for `pullgate mutate --review`.

use crate::admit::{Outcome, Resource, Verb, admit};
use crate::mutate::Verdict;
use crate::policy::{Mode, Policy};
use crate::review::{self, BadReview, Decoded, Denial, Request};

/// What a call was about and how it ended, for the log and the metrics.
#[derive(Debug)]
pub struct Admitted<'a> {
    /// Identifies the call.
    pub uid: &'a str,
    /// The question.
    pub request: &'a Request<'a>,
    /// What it is about.
    pub resource: Resource,
    /// What is being done.
    pub verb: Verb,
    /// How it ended.
    pub outcome: Outcome,
    /// The patch and all that goes with it.
    pub verdict: &'a Verdict<'a>,
    /// Why it was refused.
    pub denial: Option<&'a Denial>,
}

/// Answers one call; `observe` is told about it where there was a review to answer.
///
/// # Errors
/// The body is no AdmissionReview with a uid.
pub fn answer(
    policy: &Policy,
    body: &[u8],
    observe: impl FnOnce(&Admitted<'_>),
) -> Result<Vec<u8>, BadReview> {
    let Decoded { uid, request, unreadable } = review::decode(body)?;
    let (resource, verb) = (Resource::of(&request), Verb::of(&request));
    let (mut outcome, mut verdict) = admit(policy, &request, (resource, verb));
    // An account is never refused; one that cannot be read is left alone.
    if unreadable.is_some() && resource == Resource::ServiceAccounts {
        (outcome, verdict) = (Outcome::Unsupported, Verdict::default());
    }
    // Only an object that rules are about has to be readable.
    let ours = !matches!(outcome, Outcome::Unsupported | Outcome::Excluded);
    let denial = unreadable.filter(|_| ours).map(|problem| Denial {
        code: 400,
        reason: "BadRequest",
        message: format!("pullgate cannot read the object: {problem}"),
    });
    let is_audit = policy.mode == Mode::Audit;
    if is_audit && outcome == Outcome::Patched {
        verdict.withhold();
        outcome = Outcome::WouldPatch;
    }
    let written = match &denial {
        Some(denial) if is_audit => {
            (outcome, verdict) = (Outcome::WouldDeny, Verdict::default());
            verdict.warnings.push(&format!("audit: would be refused: {}", denial.message));
            review::encode_allowed(&uid, &verdict)
        }
        Some(denial) => {
            // Nothing is done, so nothing is counted and logged as done.
            (outcome, verdict) = (Outcome::Denied, Verdict::default());
            review::encode_denied(&uid, denial)
        }
        None => review::encode_allowed(&uid, &verdict),
    };
    observe(&Admitted {
        uid: &uid,
        resource,
        verb,
        request: &request,
        outcome,
        verdict: &verdict,
        denial: denial.as_ref(),
    });
    written.map_err(|error| BadReview::Json(error.to_string()))
}
