# shellcheck shell=bash
# The case of ImagePullSecret resources: it needs nothing of the others but functions, those of controller.sh too; sourced by
# tests/node/run.
# shellcheck disable=SC2154 # variables of tests/node/run and lib.sh

case_resource_merges_registries() { # docs/imagepullsecret.md: two registries in one resource: a Pod with an image of each runs
  local start before
  clear_away
  everything "$scratch/before"
  may_be_pulled pullgate
  typed "$(documented docs/imagepullsecret.md "ImagePullSecret resources")"
  kubectl -n pullgate rollout status deployment/pullgate-controller --timeout=60s
  kubectl create namespace registry-access
  pull_secret registry.example ours --namespace registry-access
  pull_secret vendor.example vendors --namespace registry-access
  kubectl create namespace merged-1
  kubectl label namespace merged-1 team=payments

  # One of the two sources is not enough: that, and nothing else, is what lets an image be pulled.
  resource_of ours
  until_ok 30 "copy and reference" served merged-1 registries
  pod_of_both first
  until_ok 60 "our image that runs, and the vendor's that cannot be pulled" only_ours_runs first
  grep -qi -e 'no basic auth credentials' -e '401 unauthorized' "$scratch/reason" || die "not for want of a password: $(cat "$scratch/reason")"
  note "the vendor's image, without the vendor's password: $(head -n 1 "$scratch/reason")"

  start=$(now)
  resource_of ours vendors
  kubectl -n merged-1 wait --for=condition=Ready pod/first --timeout=120s
  measured "resource: from another source to the Pod that waited for it" "Running after $(seconds_since "$start")"
  runs_at_once second
  [[ $(kubectl -n merged-1 get secrets -o jsonpath='{.items[*].metadata.name}') == registries ]] || die "merged-1 has other Secrets"

  before=$(registry vendor.example password)
  vendor_rotates rotated third
  vendor_rotates "$before" fourth
  kubectl get imps

  typed "$(documented docs/pull-secrets.md Uninstall)"
  [[ -z $(copies registries)$(references registries) ]] || die "copies or references are left: $(copies registries) $(references registries)"
  # The definition stays until somebody deletes it, and the resources with it.
  kubectl get imagepullsecret registries
  kubectl delete -f "$scratch/work/generated/crd/" --timeout=60s
  kubectl delete namespace merged-1 registry-access
  nothing_left
}

# vendor_rotates PASSWORD POD: a POD that is made when the source has it, runs.
vendor_rotates() {
  new_password vendor.example "$1"
  pull_secret vendor.example vendors --namespace registry-access --dry-run=client -o yaml | kubectl replace -f -
  runs_at_once "$2"
}

# resource_of SOURCE...: a resource that merges these, and is ready.
resource_of() {
  local credentials
  credentials=$(printf ', {name: %s, namespace: registry-access}' "$@")
  kubectl apply -f - <<YAML
apiVersion: images.banzaicloud.io/v1alpha1
kind: ImagePullSecret
metadata: {name: registries}
spec:
  registry: {credentials: [${credentials#, }]}
  target:
    secret: {name: registries}
    namespaces: {labels: [{matchLabels: {team: payments}}]}
    serviceAccounts: [default]
YAML
  until_ok 30 "the resource with these sources" sources_are "$@"
  kubectl wait --for=condition=Ready imps/registries --timeout=30s
}
sources_are() { [[ $(kubectl get imps registries -o jsonpath='{.status.sourceSecretStatus}') == "{$(printf ',"registry-access.%s":"Ok"' "$@" | cut -c2-)}" ]]; }

# pod_of_both NAME: an image of each registry, and not a word of a Secret. `Always`: each has to show a password.
pod_of_both() {
  kubectl -n merged-1 create -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: ours, image: "registry.example/app:1", imagePullPolicy: Always}
    - {name: vendors, image: "vendor.example/app:1", imagePullPolicy: Always}
YAML
  [[ $(kubectl -n merged-1 get pod "$1" -o jsonpath='{.spec.imagePullSecrets[*].name}') == registries ]] || die "the Pod has other pull secrets than its account"
}

# only_ours_runs POD: what the kubelet says of the other image becomes $scratch/reason.
only_ours_runs() {
  local seen
  seen=$(kubectl -n merged-1 get pod "$1" -o jsonpath='{range .status.containerStatuses[*]}{.name} {.ready} {.state.waiting.reason}{"\n"}{end}')
  grep -qx 'ours true ' <<<"$seen" && grep -qx -e 'vendors false ErrImagePull' -e 'vendors false ImagePullBackOff' <<<"$seen" || return 1
  kubectl -n merged-1 get events --field-selector "involvedObject.name=$1,reason=Failed" -o jsonpath='{range .items[*]}{.message}{"\n"}{end}' |
    grep 'Failed to pull image "vendor.example/app:1"' >"$scratch/reason"
}

# runs_at_once POD: no attempt to pull may fail.
runs_at_once() {
  local start
  start=$(now)
  pod_of_both "$1"
  kubectl -n merged-1 wait --for=condition=Ready "pod/$1" --timeout=60s
  measured "resource: a Pod with an image of each of two registries, $1" "Running after $(seconds_since "$start")"
  kubectl -n merged-1 get events --field-selector "involvedObject.name=$1" -o jsonpath='{range .items[*]}{.reason} {.message}{"\n"}{end}' >"$scratch/events"
  ! grep -e '^Failed' -e '^BackOff' "$scratch/events" || die "a pull failed"
}
