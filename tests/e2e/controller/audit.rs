//! What a controller wrote, by the API server's own records.

use serde_json::Value;

use crate::controller::case::Controller;

/// One request that would change something.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) verb: String,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    /// The status of the answer.
    pub(crate) code: u64,
}

impl Write {
    /// Whether something was changed.
    pub(crate) fn was_taken(&self) -> bool {
        self.code < 300
    }

    /// `delete secrets`, in short.
    pub(crate) fn what(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }
}

/// What this controller has asked for so far, in order; renewals of its Lease are among it.
#[track_caller]
pub(crate) fn writes(controller: &Controller) -> Vec<Write> {
    writes_of(&controller.user)
}

/// The same by the name of its user.
#[track_caller]
pub(crate) fn writes_of(user: &str) -> Vec<Write> {
    let Some(path) = std::env::var_os("PULLGATE_CLUSTER_AUDIT") else {
        panic!(
            "not run: no PULLGATE_CLUSTER_AUDIT. The audit log of a cluster of scripts/cluster is needed as a witness"
        );
    };
    let log = std::fs::read_to_string(&path).expect("the audit log");
    // The last line may be half written.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let events = whole.lines().filter(|line| line.contains(user)).map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("audit log: {error}: {line}"))
    });
    events
        .filter(|event| event["impersonatedUser"]["username"] == user)
        .map(|event| write_of(&event))
        .collect()
}

fn write_of(event: &Value) -> Write {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    Write {
        verb: text(&event["verb"]),
        resource: text(&object["resource"]),
        namespace: text(&object["namespace"]),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
    }
}
