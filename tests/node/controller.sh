# shellcheck shell=bash
# The cases of the controller of pull secrets: they come after those of cases.sh, and need nothing of what these leave.
# The first two make what the others find; sourced by tests/node/run.
# shellcheck disable=SC2154 # variables of tests/node/run and lib.sh

# --- what these cases are made of --------------------------------------------------------------------

# new_apps NAMESPACE...: namespaces, and in each a Deployment of an image that wants a password, in one kubectl apply. Not
# a word of a Secret. `Always`, so that each Pod has to show a password for an image that is on the node already.
new_apps() {
  local name
  for name; do
    cat <<YAML
apiVersion: v1
kind: Namespace
metadata: {name: $name}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: $name}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: app, image: registry.example/app:1, imagePullPolicy: Always}]
---
YAML
  done | kubectl apply -f - >/dev/null
}
app_runs() { kubectl -n "$1" rollout status deployment/app --timeout=60s >/dev/null || die "the Pod of $1 does not run in a minute"; }

# pulls PREFIX: what the kubelet tells of namespaces whose names begin so. Sets `pulled`, the images that it pulled, `refused`,
# the attempts that failed, and `failed_pulls`, these and whatever else says that something is amiss.
pulls() {
  kubectl get events --all-namespaces -o jsonpath='{range .items[*]}{.metadata.namespace} {.reason} {.count} {.message}{"\n"}{end}' >"$scratch/events"
  grep "^$1" "$scratch/events" >"$scratch/pulls" || true
  read -r pulled refused failed_pulls < <(awk '
    $2 == "Pulled" { pulled += $3 }
    /Failed to pull image/ { refused += $3 }
    $2 == "Failed" || $2 == "BackOff" || $2 == "FailedToRetrieveImagePullSecret" { failed += $3 }
    END { print pulled + 0, refused + 0, failed + 0 }' "$scratch/pulls")
}
pulled() { pulls "$1"; ((pulled >= $2)); }

# spread: of microseconds, one a line.
spread() { sort -n | awk '{ took[NR] = $1 } END { printf "%.3f s in the middle, %.3f s at most", took[int((NR + 1) / 2)] / 1000000, took[NR] / 1000000 }'; }

# audited: the API server's own record of writes in this run, lines of: second of the day, user, verb, resource, namespace, name, status.
audited() {
  awk '
    function text(key, rest) {
      if (!(rest = index($0, "\"" key "\":\""))) return "-"
      rest = substr($0, rest + length(key) + 4)
      return substr(rest, 1, index(rest, "\"") - 1)
    }
    match($0, /"code":[0-9]+/) {
      code = substr($0, RSTART + 7, RLENGTH - 7)
      split(substr(text("stageTimestamp"), 12), time, /[:Z]/)
      print time[1] * 3600 + time[2] * 60 + time[3], text("username"), text("verb"), text("resource"), text("namespace"), text("name"), code
    }' CONVFMT=%.6f OFMT=%.6f <(tail -n "+$(cat "$scratch/audit.from")" "$PULLGATE_CLUSTER_AUDIT")
}
controller_user=system:serviceaccount:pullgate:pullgate-controller

# writes_of_controller RESOURCE PREFIX: how many there were in namespaces whose names begin so.
writes_of_controller() {
  audited | awk -v user=$controller_user -v resource="$1" -v prefix="$2" '$2 == user && $4 == resource && index($5, prefix) == 1 && $7 < 300 { count++ } END { print count + 0 }'
}

# copy_delays PREFIX: $scratch/delays becomes the microseconds from each namespace to its copy.
copy_delays() {
  audited | awk -v user=$controller_user -v prefix="$1" '
    $7 != 201 { next }
    $4 == "namespaces" && index($6, prefix) == 1 { made[$6] = $1; delete copied[$6] }
    $4 == "secrets" && $2 == user && !($5 in copied) { copied[$5] = $1 }
    END {
      for (name in made) {
        if (!(name in copied)) exit 1
        took = copied[name] - made[name]
        printf "%d\n", (took < 0 ? took + 86400 : took) * 1000000
      }
    }' >"$scratch/delays" || die "a namespace $1* has no copy"
  [[ -s $scratch/delays ]] || die "the audit log knows no namespace $1*"
}
# none_waited SECONDS: of these.
none_waited() { awk -v most="$1" '$1 > most * 1000000 { exit 1 }' "$scratch/delays" || die "a namespace had to wait for more than $1 s for its copy"; }

copies() { kubectl get secrets --all-namespaces --field-selector "metadata.name=$1" -o jsonpath='{range .items[*]}{.metadata.namespace}{"\n"}{end}'; }
copied_everywhere() { [[ $(copies "$1" | sort) == $(kubectl get namespaces -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}' | sort) ]]; }
# references SECRET: the accounts that have one.
references() { kubectl get serviceaccounts --all-namespaces -o jsonpath='{range .items[*]}{.metadata.namespace}/{.metadata.name} {.imagePullSecrets[*].name} {"\n"}{end}' | awk -v name="$1" 'index($0 " ", " " name " ") { print $1 }'; }
# served NAMESPACE SECRET
served() { copies "$2" | grep -x "$1" && references "$2" | grep -x "$1/default"; }
# Whether the webhook gives an account the reference that is taken from it.
accounts_are_admitted() { [[ $(kubectl -n load patch serviceaccount default --type merge --patch '{"imagePullSecrets": null}' --dry-run=server -o jsonpath='{.imagePullSecrets[*].name}') == "$1" ]]; }

# --- webhook and controller --------------------------------------------------------------------------

case_controller_install() { # docs/pull-secrets.md: webhook and controller beside each other; a copy in every namespace
  local start
  clear_away
  everything "$scratch/before"
  may_be_pulled pullgate
  start=$(now)
  typed "$(with_credentials "$(documented docs/pull-secrets.md "Set up")")"
  until_ok 60 "a copy in every namespace" copied_everywhere image-pull-secret
  measured "controller: from the commands to a copy in every namespace" "$(seconds_since "$start")"
  until_ok 60 "two replicas of the webhook" settled
  kubectl -n pullgate rollout status deployment/pullgate-controller --timeout=60s
  until_ok 10 "references on new accounts" accounts_are_admitted image-pull-secret
}

case_controller_with_admission() { # namespace and Deployment in one apply, no secret named: no pull fails; 10 times, then 20 at once
  local name start
  : >"$scratch/took"
  for name in fresh-{1..10}; do
    start=$(now)
    new_apps "$name"
    app_runs "$name"
    echo $(($(now) - start)) >>"$scratch/took"
  done
  until_ok 10 "word of 10 pulls" pulled fresh- 10
  measured "with admission: from kubectl apply to Running, 10 times" "$(spread <"$scratch/took"); $failed_pulls failed pulls"
  start=$(now)
  new_apps burst-{1..20}
  for name in burst-{1..20}; do app_runs "$name"; done
  measured "with admission: 20 namespaces in one kubectl apply" "all Running after $(seconds_since "$start")"
  until_ok 10 "word of 20 pulls" pulled burst- 20
  copy_delays fresh-
  measured "with admission: from a namespace to its copy, 10 times" "$(spread <"$scratch/delays")"
  copy_delays burst-
  measured "with admission: likewise, 20 in one kubectl apply" "$(spread <"$scratch/delays")"
  pulls '\(fresh\|burst\)-'
  ((failed_pulls == 0)) || die "pulls that failed: $(grep -e ' Failed ' -e ' FailedTo' "$scratch/pulls" | head -n 5)"
  # The reference was there with the account: nobody had to add it.
  [[ $(writes_of_controller serviceaccounts fresh-) == 0 ]] || die "accounts were created without the reference"
}

case_controller_busy_node() { # a neighbour takes all CPU time that it can get: copies are there within 2 s
  local number
  kubectl -n team run burner --image=registry.example/app:1 --overrides='{"spec": {"imagePullSecrets": [{"name": "regcred"}], "terminationGracePeriodSeconds": 1,
    "containers": [{"name": "burner", "image": "registry.example/app:1", "resources": {"requests": {"cpu": "1"}},
      "command": ["/busybox", "sh", "-c", "for i in 1 2 3 4; do while :; do :; done & done; wait"]}]}}'
  kubectl -n team wait --for=condition=Ready pod/burner --timeout=60s
  for number in {1..10}; do kubectl create namespace "busy-$number" >/dev/null; done
  until_ok 60 "a copy in every namespace" copied_everywhere image-pull-secret
  kubectl -n team delete pod burner --now
  copy_delays busy-
  measured "busy node: from a namespace to its copy, 10 times" "$(spread <"$scratch/delays")"
  none_waited 2
}

case_controller_rotation() { # the registry's password and the source are changed: new Pods everywhere pull within 5 s
  local before
  before=$(registry registry.example password)
  rotate rotated
  rotate "$before"
}
# rotate PASSWORD
rotate() {
  local name start spent
  new_password registry.example "$1"
  start=$(now)
  typed "$(with_credentials "$(documented docs/pull-secrets.md "Set up" 2)")"
  for name in fresh-{1..10}; do
    printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s","namespace":"%s","labels":{"with":"%s"}},' "$1" "$name" "$1"
    printf '"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"app","image":"registry.example/app:1","imagePullPolicy":"Always"}]}}\n'
  done | kubectl create -f - >/dev/null
  kubectl wait --for=condition=Ready pods --all-namespaces --selector "with=$1" --timeout=60s >/dev/null || die "a Pod does not run"
  spent=$(seconds_since "$start")
  pulls fresh-
  measured "rotation: from the command to a new Pod Running in each of 10 namespaces" "$spent; $failed_pulls failed pulls"
  ((failed_pulls == 0)) || die "pulls that failed: $(grep -e ' Failed ' -e ' FailedTo' "$scratch/pulls" | head -n 5)"
  ((${spent%.*} < 5)) || die "that is more than 5 s"
}

case_controller_restart() { # kubectl rollout restart: the Lease is handed over, and no namespace waits for its end
  local before number=0
  before=$(controllers)
  [[ $(wc -l <<<"$before") == 2 ]] || die "not two replicas: $before"
  kubectl -n pullgate rollout restart deployment/pullgate-controller
  until_ok 120 "two other replicas, of which one leads" handed_over
  until_ok 30 "a copy in every namespace" copied_everywhere image-pull-secret
  copy_delays restart-
  measured "rollout restart: from a namespace to its copy, $number times" "$(spread <"$scratch/delays")"
  none_waited 8 # a Lease that is not given away ends after 15 s
}
# With each look there is a namespace more.
handed_over() {
  local names
  kubectl create namespace "restart-$((++number))"
  names=$(controllers)
  [[ $(wc -l <<<"$names") == 2 ]] && ! grep -qxF "$before" <<<"$names" && grep -qx "$(leader)" <<<"$names"
}
controllers() { kubectl -n pullgate get pods -l app.kubernetes.io/component=controller -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}'; }
# The Pod that has the Lease.
leader() { kubectl -n pullgate get lease pullgate-controller -o jsonpath='{.spec.holderIdentity}' | sed 's/_.*//'; }

case_controller_alone() { # without admission: Pods run, or were earlier than the reference and run once they are created again
  local name start early=()
  typed "$(documented docs/install.md Disable 1)"
  until_ok 10 "accounts that pass unchanged" accounts_are_admitted ''
  # It takes a while.
  delete_namespaces '(burst|busy|restart)-.*' --wait=false
  a_pod_is_earlier

  : >"$scratch/took"
  for name in alone-{1..10}; do
    start=$(now)
    new_apps "$name"
    until_ok 60 "a Pod of $name that runs, or is earlier than the reference" runs_or_fails "$name"
    if [[ $outcome == runs ]]; then
      echo $(($(now) - start)) >>"$scratch/took"
    else
      early+=("$name")
    fi
  done
  measured "controller alone: Pods that were earlier than the reference" "${#early[@]} of 10"
  [[ ! -s $scratch/took ]] || measured "controller alone: from kubectl apply to Running, the others" "$(spread <"$scratch/took")"
  for name in ${early[@]+"${early[@]}"}; do created_again "$name"; done
  [[ $(writes_of_controller serviceaccounts alone-) == 10 ]] || die "the controller made $(writes_of_controller serviceaccounts alone-) writes to 10 accounts"
  typed "$(documented docs/install.md Disable 2)"
  until_ok 10 "references on new accounts" accounts_are_admitted image-pull-secret
}
# What becomes of such a Pod, for sure: the controller comes when it is there.
a_pod_is_earlier() {
  local before
  kubectl -n pullgate scale deployment/pullgate-controller --replicas=0
  kubectl -n pullgate wait --for=delete pods -l app.kubernetes.io/component=controller --timeout=60s
  new_apps early-1
  until_ok 60 "a Pod that fails to pull" runs_or_fails early-1
  [[ $outcome == early ]] || die "it runs without a reference"
  kubectl -n pullgate scale deployment/pullgate-controller --replicas=2
  until_ok 60 "copy and reference" served early-1 image-pull-secret
  pulls "early-1 "
  before=$refused
  until_ok 60 "another failure" fails_again early-1 "$before"
  created_again early-1
  measured "controller alone: a Pod that is earlier than the reference" "fails to pull again; created again, it runs"
}
fails_again() { pulls "$1 "; ((refused > $2)) && runs_or_fails "$1" && [[ $outcome == early ]]; }
created_again() {
  kubectl -n "$1" rollout restart deployment/app >/dev/null
  app_runs "$1"
}
# runs_or_fails NAMESPACE: sets `outcome`. Only a Pod without the reference may fail.
runs_or_fails() {
  local seen
  seen=$(kubectl -n "$1" get pods -o jsonpath='{.items[0].status.phase} {.items[0].status.containerStatuses[0].state.waiting.reason} {.items[0].spec.imagePullSecrets[*].name}')
  case $seen in
    "Running "*) outcome=runs ;;
    "Pending ErrImagePull " | "Pending ImagePullBackOff ") outcome=early ;;
    *) return 1 ;;
  esac
}

case_controller_uninstall() { # the documented commands take back copies and references, and leave nothing
  typed "$(documented docs/pull-secrets.md Uninstall)"
  [[ -z $(copies image-pull-secret) ]] || die "copies are left in: $(copies image-pull-secret)"
  [[ -z $(references image-pull-secret) ]] || die "references are left on: $(references image-pull-secret)"
  delete_namespaces '(fresh|burst|busy|restart|early|alone)-.*'
  nothing_left
}
