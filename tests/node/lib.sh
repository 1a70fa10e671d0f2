# shellcheck shell=bash
# What the cases are made of; sourced by tests/node/run, in the repository's root.
# shellcheck disable=SC2154 # $root, $scratch and $seconds are set by tests/node/run

die() { echo "FAILED: $*" >&2; exit 1; }
note() { echo "  $*"; }
# measured WHAT FIGURE: printed now and, together, at the end.
measured() { printf '%-62s %s\n' "$1" "$2" | tee -a "$scratch/measured" | sed 's/^/  /'; }

now() { echo "${EPOCHREALTIME/[.,]/}"; } # microseconds
seconds_since() { local us=$(($(now) - $1)); printf '%d.%02d s\n' $((us / 1000000)) $((us / 10000 % 100)); }

# until_ok SECONDS WHAT COMMAND...: waits until COMMAND succeeds.
until_ok() {
  local deadline=$(($(now) + $1 * 1000000)) what=$2
  shift 2
  until "$@" >"$scratch/until" 2>&1; do
    (($(now) < deadline)) || { tail -n 20 "$scratch/until"; die "waited in vain for $what"; }
    sleep 0.1
  done
}

# --- what users are told to type ---------------------------------------------------------------------

# documented FILE HEADING [N]: the N-th block of shell commands under a heading of a document.
documented() {
  local text
  text=$(awk -v heading="$2" -v wanted="${3:-1}" '
    /^```/ { fenced = !fenced; if (fenced && inside && $0 == "```sh") block++; next }
    !fenced && sub(/^#+ /, "") { inside = $0 == heading }
    fenced && inside && block == wanted' "$root/$1")
  [[ -n $text ]] || die "$1 has no block ${3:-1} of commands under '$2'"
  printf '%s\n' "$text"
}

# readme_install: the line that README gives for the installation.
readme_install() {
  local text
  text=$(awk '/^## / { inside = $0 == "## Install" } inside && /generate-certs-and-config.sh/ { sub(/^ +/, ""); print; exit }' "$root/README.md")
  [[ -n $text ]] || die "README.md has no command that installs"
  printf '%s\n' "$text"
}

# typed COMMANDS: runs them as a user would, in a folder with `deployment` in it.
typed() {
  (cd "$scratch/work" && printf '%s\n' "$1" | sed 's/^/  $ /' && bash -euo pipefail -c "$1") || die "typed as documented, this failed: $1"
}

# delete_namespaces PATTERN [OPTION]: those whose whole names it fits, if any.
delete_namespaces() {
  kubectl get namespaces -o name | awk -v pattern="^namespace/($1)\$" '$0 ~ pattern' | xargs -r kubectl delete ${2+"$2"} >/dev/null
}

# clear_away: what cases leave that were chosen without the one that uninstalls.
clear_away() {
  kubectl delete mutatingwebhookconfiguration pullgate --ignore-not-found
  kubectl delete namespace pullgate --ignore-not-found
  kubectl delete clusterrole,clusterrolebinding -l app.kubernetes.io/part-of=pullgate --ignore-not-found
  kubectl delete secrets --all-namespaces -l app.kubernetes.io/managed-by=pullgate
  # Nobody is there any more who would take their finalizers away.
  { kubectl get imps -o name || true; } 2>/dev/null | xargs -rI{} kubectl patch {} --type=merge --patch='{"metadata": {"finalizers": null}}'
  kubectl delete crd imagepullsecrets.images.banzaicloud.io --ignore-not-found
  rm -rf "$scratch/work/generated"
}

# --- registries that want a password -----------------------------------------------------------------

# registry NAME address|user|password: of one of the node's registries, as it is now.
registry() {
  scripts/cluster registries | awk -v name="$1" -v what="$2" '
    BEGIN { field["address"] = 2; field["user"] = 3; field["password"] = 4 }
    $1 == name { print $field[what]; found = 1 }
    END { exit !found }' || die "there is no registry $1"
}

# registry_answers NAME [PASSWORD]: the HTTP status for its user with a password, or for nobody.
registry_answers() {
  local user
  user=$(registry "$1" user)
  scripts/cluster in curl --silent --output "$scratch/registry" --write-out '%{http_code}' ${2+--user "$user:$2"} "http://$(registry "$1" address)/v2/"
}

# new_password REGISTRY PASSWORD: it wants that one, and the one before no more.
new_password() {
  local before
  before=$(registry "$1" password)
  scripts/cluster registry-password "$2" "$1"
  [[ $(registry_answers "$1" "$before") == 401 && $(registry_answers "$1" "$2") == 200 ]] || die "$1 does not take the new password, or takes the old one"
}

# pull_secret REGISTRY NAME [OPTION...]: a Secret with which its images can be pulled, as users make it.
pull_secret() {
  kubectl create secret docker-registry "$2" --docker-server="$1" --docker-username="$(registry "$1" user)" --docker-password="$(registry "$1" password)" "${@:3}"
}

# with_credentials COMMANDS: documented ones, with what they leave to the reader: who may pull from registry.example.
with_credentials() {
  local text=${1//--docker-username=…/--docker-username=$(registry registry.example user)}
  printf '%s\n' "${text//--docker-password=…/--docker-password=$(registry registry.example password)}"
}

# may_be_pulled NAMESPACE: makes it, and a Secret there with which the program's own image is pulled, before anything distributes any.
may_be_pulled() {
  kubectl create namespace "$1"
  pull_secret registry.example regcred --namespace "$1"
}

# --- looking -----------------------------------------------------------------------------------------

# pod IMAGE: a Pod that nobody will schedule, for real Pods by the thousand are not what is tested.
pod() { printf '{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"load-"},"spec":{"schedulerName":"nobody","containers":[{"name":"app","image":"%s"}]}}' "$1"; }

# post NAMESPACE QUERY: creates such a Pod; sets `code` and `body`. A process of curl takes a tenth of kubectl's time.
post() {
  body=$(curl --silent --max-time 30 --user-agent e2e --unix-socket "$scratch/api.sock" --header 'Content-Type: application/json' \
    --data "$(pod app:1)" --write-out '%{http_code}' "http://localhost/api/v1/namespaces/$1/pods$2") || true
  code=${body: -3}
  body=${body%???}
  body=${body//$'\n'/}
}

# What the API server stored is what the settings ask for.
is_mutated() { [[ $1 == *'"image":"registry.example/app:1"'* && $1 == *'"imagePullSecrets":[{"name":"regcred"}]'* ]]; }

mutates() { post default '?dryRun=All'; [[ $code == 201 ]] && is_mutated "$body"; }
does_not_mutate() { post default '?dryRun=All'; [[ $code == 201 ]] && ! is_mutated "$body"; }
refuses() { post default '?dryRun=All'; [[ $code == 500 && $body == *pods.pullgate.svc* ]]; }

replicas() { kubectl -n pullgate get pods -l app.kubernetes.io/component=webhook -o name; }
# each_replica JSONPATH: a line of each.
each_replica() { kubectl -n pullgate get pods -l app.kubernetes.io/component=webhook -o jsonpath="{range .items[*]}$1{'\n'}{end}"; }
rolled_out() { kubectl -n pullgate rollout status deployment/pullgate --timeout "$1" >/dev/null || die "not rolled out in $1"; }
# Two that are ready, and none that is still going.
settled() { [[ $(each_replica '{.metadata.deletionTimestamp} {.status.conditions[?(@.type=="Ready")].status}') == $' True\n True' ]]; }

# replica_memory FIELD: MiB of each replica, from the kernel. FIELD is VmRSS (now) or VmHWM (the most there ever was).
replica_memory() {
  # shellcheck disable=SC2016 # to be expanded inside
  scripts/cluster in sh -c '
    for process in /proc/[0-9]*; do
      if [ "$(cat "$process/comm" 2>/dev/null)" = pullgate ]; then sed -n "s/^$1: *//p" "$process/status"; fi
    done' sh "$1" | awk '{ printf "%s%.1f", separator, $1 / 1024; separator = " and " } END { print " MiB" }'
}

# --- load --------------------------------------------------------------------------------------------

# worker FILE: creates Pods in the namespace `load`, 15 a second, until told to stop. A line for each: start, HTTP status, microseconds, answer.
worker() {
  local start next rest code body
  next=$(now)
  until [[ -e $scratch/load.stop || ! -d $scratch ]]; do
    start=$(now)
    post load ''
    echo "$start $code $(($(now) - start)) $body" >>"$1"
    next=$((next + 66000))
    rest=$((next - $(now)))
    # Late ones are made up for, but not in a burst.
    if ((rest > 0)); then sleep "0.$(printf %06d "$rest")"; elif ((rest < -1000000)); then next=$(now); fi
  done
}

# begin_load: two clients create Pods, 30 a second together, so that one slow answer is no pause.
begin_load() {
  rm -f "$scratch"/load.*
  load_began=$(now)
  worker "$scratch/load.1" &
  workers=($!)
  worker "$scratch/load.2" &
  workers+=($!)
}

# end_load SECONDS: ends it, that long after it began at the earliest, and makes $scratch/load.all of what came.
end_load() {
  while (($(now) - load_began < $1 * 1000000)); do sleep 0.2; done
  touch "$scratch/load.stop"
  wait "${workers[@]}"
  load_took=$(($(now) - load_began))
  sort -n "$scratch"/load.[12] >"$scratch/load.all"
  # Three counts: all, those not created, those created without what the webhook does.
  read -r requests failed unmutated < <(awk '
    $2 != 201 { failed++ }
    $2 == 201 && !(index($0, "\"image\":\"registry.example/app:1\"") && index($0, "\"imagePullSecrets\":[{\"name\":\"regcred\"}]")) { unmutated++ }
    END { print NR, failed + 0, unmutated + 0 }' "$scratch/load.all")
  kubectl -n load get pods -o jsonpath='{range .items[*]}{.spec.containers[0].image}{"\n"}{end}' >"$scratch/stored"
  listed=$(wc -l <"$scratch/stored")
  stored=$(grep -cvx 'registry.example/app:1' "$scratch/stored" || true)
  # From the start of the first that failed to the end of the last.
  window=$(awk '$2 != 201 { if (!first) first = $1; last = $1 + $3 } END { printf "%.2f s", (last - first) / 1000000 }' "$scratch/load.all")
  slowest=$(awk '$3 > most { most = $3 } END { printf "%d ms", most / 1000 }' "$scratch/load.all")
  curl --silent --unix-socket "$scratch/api.sock" -X DELETE 'http://localhost/api/v1/namespaces/load/pods?gracePeriodSeconds=0' >/dev/null
}

# fails_closed: after end_load: what was not refused has what the webhook does.
fails_closed() {
  ((unmutated == 0 && stored == 0)) || die "$unmutated answers ($stored stored Pods) without what the webhook does"
  ((listed == requests - failed)) || die "$((requests - failed)) Pods were created, $listed are stored"
}

# some_refused: after an outage in which there certainly was no replica: the load notices one.
some_refused() { ((failed > 0)) || die "no Pod was refused while there was no replica"; }

# none_lost WHAT: after end_load: no Pod failed, none slipped through, and there was load.
none_lost() {
  measured "$1" "$requests Pods in $((load_took / 1000000)) s, $failed failed, $unmutated unmutated; slowest $slowest"
  ((failed == 0)) || { awk '$2 != 201' "$scratch/load.all" | cut -c1-400 | head -n 3; die "$failed Pods could not be created"; }
  fails_closed
  ((requests * 1000000 / load_took >= 20)) || die "that is less than 20 Pods a second: it says nothing"
}

# under_load WHAT COMMAND...: COMMAND, and all it entails, while Pods are created for $seconds at least.
under_load() {
  local what=$1
  shift
  begin_load
  sleep 2 # load before, so that there is something to lose
  "$@"
  until_ok 120 "two replicas, and no others" settled
  end_load "$seconds"
  none_lost "$what"
}

# outage WHAT COMMAND...: COMMAND takes the webhook away while Pods are created; it must come back by itself, and until
# then refuse rather than let pass. What was refused is printed, for it depends on the machine.
outage() {
  local what=$1
  shift
  begin_load
  sleep 1
  "$@"
  until_ok 120 "the webhook to come back" mutates
  until_ok 120 "two replicas, and no others" settled
  end_load 1
  measured "$what" "$failed of $requests Pods refused, within $window"
  fails_closed
}
