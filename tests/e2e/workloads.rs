//! Pods that controllers make: they are changed, the templates they are made from are not.

use serde_json::Value;

use crate::existing::EVERYTHING;
use crate::space::{Space, images, pull_policies, pull_secrets};
use crate::wait::until;
use crate::webhook::all_rules;

const TEMPLATES: [(&str, &str); 4] = [
    ("deployment", "/spec/template/spec"),
    ("statefulset", "/spec/template/spec"),
    ("job", "/spec/template/spec"),
    ("cronjob", "/spec/jobTemplate/spec/template/spec"),
];

#[test]
fn pods_of_controllers_are_changed_and_their_templates_are_not() {
    let space = Space::new();
    // Called for the workloads too: it is the webhook that leaves them alone, not the registration.
    let _webhook = space.webhook_for(&all_rules(), &EVERYTHING);
    space.kubectl("create -f workloads.yaml").ok();
    // A last run long ago makes the next one due at once.
    let past = r#"--patch={"status":{"lastScheduleTime":"2020-01-01T00:00:00Z"}}"#;
    space.kubectl("patch cronjob cronjob --subresource=status --type=merge").word(past).ok();

    for (kind, template) in TEMPLATES {
        let pod = until(&format!("the Pod of the {kind}"), || {
            let list = space.kubectl(&format!("get pods -o json --selector=made-by={kind}")).json();
            list["items"].get(0).cloned()
        });
        assert_eq!(images(&pod), [("app", "registry.example/team/web:1")], "{kind}");
        assert_eq!(pull_policies(&pod), [("app", "Always")], "{kind}");
        assert_eq!(pull_secrets(&pod), ["regcred"], "{kind}");

        let stored = space.get(&format!("{kind}/{kind}"));
        let template = stored.pointer(template).expect("a template");
        assert_eq!(template["containers"][0]["image"], "quay.io/team/web:1", "{kind}");
        assert_eq!(template["containers"][0]["imagePullPolicy"], "IfNotPresent", "{kind}");
        assert_eq!(template["imagePullSecrets"], Value::Null, "{kind}");
        assert_eq!(stored["metadata"]["generation"], 1, "{kind}");
    }
}

#[test]
fn a_rollout_makes_pods_with_the_new_image_rewritten() {
    let space = Space::new();
    let _webhook = space.webhook(&EVERYTHING);
    space.kubectl("create deployment web --image=nginx:1").ok();
    space.kubectl("set image deployment/web nginx=nginx:2").ok();
    until("a Pod with the new image", || {
        let list = space.kubectl("get pods -o json --selector=app=web").json();
        let pods = list["items"].as_array()?;
        pods.iter().any(|pod| images(pod) == [("nginx", "registry.example/nginx:2")]).then_some(())
    });
    let stored = space.get("deployment/web");
    assert_eq!(stored["spec"]["template"]["spec"]["containers"][0]["image"], "nginx:2");
    assert_eq!(stored["metadata"]["generation"], 2, "by the user's own change");
}
