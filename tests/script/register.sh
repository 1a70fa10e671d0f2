# shellcheck shell=bash
# The two ways to register. Cases for tests/script/run.

# The text that the Job is given, taken out of its ConfigMap.
given() { awk '/^  webhook-configuration.yaml: \|$/ { inside = 1; next } /^---$/ { inside = 0 } inside { sub(/^    /, ""); print }' "$1/40-register.yaml"; }
job() { sed -n 's/^  name: \(pullgate-register-[0-9]*\)$/\1/p' "$1/40-register.yaml"; }

case_at_once_is_the_default() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp -R generated default
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=at-once > log 2>&1
  diff -r default generated
  lacks log warning
  lacks generated/30-deployment.yaml register
  lacks generated/30-deployment.yaml pullgate/registration
}

case_when_ready_the_registration_is_where_kubectl_does_not_look() {
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready
  [ "$(cd generated && echo *)" = "10-namespace.yaml 20-certificate.yaml 30-deployment.yaml 40-register.yaml certs registration" ]
  cat generated/*.yaml | sed -n 's/^kind: //p' > kinds
  [ "$(tr '\n' ' ' < kinds)" = "Namespace ResourceQuota Secret ServiceAccount Service PodDisruptionBudget Deployment MutatingWebhookConfiguration ConfigMap ServiceAccount Role RoleBinding ClusterRole ClusterRoleBinding Job " ]
  # The same registration, wherever it is.
  cp generated/registration/webhook-configuration.yaml later.yaml
  given generated > given.yaml
  generate IMAGE=a/b:1 REGISTRY=r.example 2> /dev/null
  same generated/40-webhook-configuration.yaml later.yaml
  same given.yaml later.yaml
}

case_the_other_way_to_register_takes_its_files_away() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp -R generated at-once
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready > log 2>&1
  lacks log warning
  cp -R generated when-ready
  [ ! -e generated/40-webhook-configuration.yaml ]
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready > log 2>&1
  diff -r when-ready generated
  # What the Job had is in the cluster, and no manifest speaks of it any more.
  generate IMAGE=a/b:1 REGISTRY=r.example > log 2>&1
  has log 'generate-certs-and-config.sh: warning: the way to register has changed: what was for the Job stays in the cluster; docs/install.md says how it is removed'
  diff -r at-once generated
}

case_files_of_others_in_the_folder_of_the_registration_stay() {
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready
  echo mine > generated/registration/mine.txt
  generate IMAGE=a/b:1 REGISTRY=r.example 2> /dev/null
  [ "$(cat generated/registration/mine.txt)" = mine ]
  [ ! -e generated/registration/webhook-configuration.yaml ]
}

case_the_job_follows_the_parameters() {
  generate IMAGE=a/b:1 REGISTRY=r.example NAMESPACE=gate REGISTER=when-ready
  has generated/40-register.yaml '          image: "a/b:1"'
  has generated/40-register.yaml '            - --namespace=gate'
  lacks generated/40-register.yaml imagePullSecrets
  lacks generated/40-register.yaml '"pullgate"'
  generate IMAGE=a/b:1 REGISTRY=r.example NAMESPACE=gate REGISTER=when-ready DEPLOYMENT_PULL_SECRET=own
  [ "$(grep -A1 imagePullSecrets generated/40-register.yaml | tail -n 1)" = '        - name: "own"' ]
}

case_what_the_job_fills_in_comes_with_the_manifests() {
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready
  awk '/^#/ { next } /^---$/ { exit } { print }' generated/40-register.yaml > stub
  # All of the registration that comes before its webhooks.
  awk '/^#/ { next } /^webhooks:$/ { exit } { print }' generated/registration/webhook-configuration.yaml > beginning
  same stub beginning
  has stub '  name: pullgate'
}

case_the_deployment_names_the_job_that_may_register() {
  local checksum
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready
  checksum=$(job generated)
  checksum=${checksum#pullgate-register-}
  [ -n "$checksum" ]
  has generated/40-register.yaml "            - --if-labelled=pullgate/registration=$checksum"
  has generated/30-deployment.yaml "    pullgate/registration: \"$checksum\""
  # Not of the template, which would replace all Pods: with nothing else does the manifest differ.
  cp generated/30-deployment.yaml when-ready.yaml
  generate IMAGE=a/b:1 REGISTRY=r.example 2> /dev/null
  diff generated/30-deployment.yaml when-ready.yaml > difference || true
  [ "$(sed -n 's/^> //p' difference)" = "    # Only the Job of this registration may register. No annotation: \`kubectl rollout undo\` would set it back, too.
    pullgate/registration: \"$checksum\"" ]
  not grep '^<' difference
}

case_a_job_with_any_other_content_has_another_name() {
  local first again
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready
  first=$(job generated)
  [ -n "$first" ]
  # Nothing in it changes: kubectl leaves one that still waits as it is.
  generate IMAGE=a/b:1 REGISTRY=r.example LOG_LEVEL=debug REGISTER=when-ready
  [ "$(job generated)" = "$first" ]
  for again in IMAGE=a/b:2 DEPLOYMENT_PULL_SECRET=own NAMESPACE=gate FAILURE_POLICY=Ignore EXCLUDE_NAMESPACES=other; do
    generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready "$again"
    [ "$(job generated)" != "$first" ] || die "the same name with $again"
  done
}

case_the_job_is_secured_as_the_deployment_is() {
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready
  for file in 30-deployment 40-register; do
    # Of the Pod, and of its container.
    awk '/^ *securityContext:$/ { match($0, /^ */); depth = RLENGTH; inside = 1; print; next }
      inside { match($0, /^ */); if (RLENGTH <= depth) inside = 0 } inside' "generated/$file.yaml" > "$file"
    [ "$(grep -c securityContext "$file")" -eq 2 ]
  done
  same 30-deployment 40-register
}
