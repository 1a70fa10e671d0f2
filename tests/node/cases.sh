# shellcheck shell=bash
# The cases, in the order in which they run; sourced by tests/node/run. From install_at_once on each leaves pullgate as
# installed, but for the last.
# shellcheck disable=SC2154 # variables of tests/node/run and lib.sh

export DEPLOYMENT_PULL_SECRET=regcred # the webhook's own image is in the registry that wants a password, too

secret_of_the_webhook() {
  typed "$(with_credentials "$(documented docs/install.md Parameters)")"
}

# everything FILE: lists there what there is, but for what comes and goes by itself.
everything() {
  local kind
  kubectl api-resources --verbs=list -o name | sort -u | grep -vx -e events -e events.events.k8s.io -e leases.coordination.k8s.io >"$scratch/kinds"
  while read -r kind; do
    kubectl get "$kind" --all-namespaces --ignore-not-found \
      -o jsonpath="{range .items[*]}$kind {.metadata.namespace}/{.metadata.name}{'\n'}{end}"
  done <"$scratch/kinds" | grep -v -e '^pods[^ ]* load/' | sort >"$1"
  grep -qx 'namespaces /kube-system' "$1" || die "the list of everything lacks the namespace kube-system"
}

nothing_left() {
  everything "$scratch/after"
  diff "$scratch/before" "$scratch/after" || die "the uninstallation left or took something (see the difference)"
}

case_install_register_last() { # docs/install.md: the order in which no Pod is refused, then all of it away again
  local install register uninstall
  everything "$scratch/before"
  install=$(documented docs/install.md "Install, upgrade, disable, uninstall")
  typed "${install%%$'\n'*}"
  secret_of_the_webhook
  register=$(documented docs/install.md "When it is registered" 1)
  begin_load
  typed "$register"
  until_ok 5 "the webhook" mutates
  end_load 1
  measured "registered last" "$requests Pods in $((load_took / 1000000)) s, $failed refused"
  ((failed == 0)) || die "$failed Pods were refused"
  uninstall=$(documented docs/install.md Uninstall)
  typed "$uninstall"
  nothing_left
  note "nothing is left among $(wc -l <"$scratch/kinds") kinds: $(tr '\n' ' ' <"$scratch/kinds")"
}

case_install_when_ready() { # docs/install.md: one kubectl apply and a Job that registers; no Pod is refused, whatever the image
  local install
  install=$(documented docs/install.md "When it is registered" 2)
  typed "${install%%$'\n'*}"
  secret_of_the_webhook
  none_refused "${install#*$'\n'}" mutates
  measured "registered when ready: refused before a replica was ready" "0 of $requests Pods"
  measured "from kubectl apply to the first mutated Pod" "$mutated"
  until_ok 60 "two replicas that are ready" settled

  typed "$(documented docs/install.md Disable 1)"
  until_ok 2 "Pods that are not changed" does_not_mutate
  until_ok 10 "the Job to be gone" no_jobs
  none_refused "$(documented docs/install.md Disable 3)" mutates
  measured "the same, applied again after it was disabled" "$mutated"
  typed "$(documented docs/install.md Uninstall 2)"
  nothing_left

  # The registration goes with the rest, also without the first of the two commands.
  typed "${install%%$'\n'*}"
  secret_of_the_webhook
  none_refused "${install#*$'\n'}" mutates
  typed "kubectl delete -f generated/ --ignore-not-found"
  nothing_left

  # An image that is not there: nobody else notices. With the right one it is as if nothing had been.
  typed "${install%%$'\n'*}"
  secret_of_the_webhook
  none_refused "${install//pullgate:1/pullgate:none}" cannot_be_pulled
  [[ $(kubectl get mutatingwebhookconfiguration --no-headers | awk '{ print $1, $2 }') == "pullgate 0" ]] || die "registered without a replica"
  none_refused "$install" mutates
  until_ok 60 "two replicas, and no others" settled
  [[ -n $(kubectl -n pullgate get jobs -o name) ]] || die "the Job that cannot start is gone by itself: docs/install.md says otherwise"
  typed "$(documented docs/install.md "When it is registered" 4)"
  until_ok 10 "the Job to be gone" no_jobs
  typed "$(documented docs/install.md Uninstall 2)"
  nothing_left
}
# none_refused COMMANDS CONDITION: while Pods are created, until CONDITION. Sets `mutated`, the time until the first was.
none_refused() {
  local start
  begin_load
  sleep 1 # load before, so that there is something to lose
  start=$(now)
  typed "$1"
  until_ok 60 "the condition $2" "$2"
  end_load 1
  ((requests > 0 && failed == 0)) || die "$failed of $requests Pods were refused"
  note "$requests Pods, 0 refused, $unmutated from before the registration"
  # Once one was mutated, all are that are asked for afterwards.
  mutated=$(awk -v start="$start" '
    index($0, "\"image\":\"registry.example/app:1\"") { if (!end) end = $1 + $3; next }
    end && $1 > end { late++ }
    END { if (late) exit 1; printf "%.2f s", (end - start) / 1000000 }' "$scratch/load.all") || die "a Pod was created unchanged after one that was mutated"
}
no_jobs() { [[ -z $(kubectl -n pullgate get jobs -o name) ]]; }
# All of them, the Job's as well.
cannot_be_pulled() {
  local reasons
  reasons=$(kubectl -n pullgate get pods -o jsonpath='{range .items[*]}{.status.containerStatuses[0].state.waiting.reason}{"\n"}{end}')
  [[ $(grep -cx -e ErrImagePull -e ImagePullBackOff <<<"$reasons") == 3 && $(wc -l <<<"$reasons") == 3 ]]
}

case_install_at_once() { # README: script and kubectl apply in one line; 2 ready replicas within a minute
  local ready mutated start
  rm -rf "$scratch/work/generated"
  # Only since this registry wants a password.
  may_be_pulled pullgate
  begin_load
  start=$(now)
  typed "$(readme_install)"
  until_ok 60 "two replicas that are ready" settled
  ready=$(seconds_since "$start")
  rolled_out 60s
  until_ok 10 "the webhook" mutates
  end_load 1
  mutated=$(grep -F '"image":"registry.example/app:1"' "$scratch/load.all" | awk -v start="$start" 'NR == 1 { printf "%.2f s", ($1 + $3 - start) / 1000000 }')
  # kubectl apply cannot wait, so this window is there, and docs/install.md says so. It must end by itself.
  measured "registered at once: refused before a replica was ready" "$failed of $requests Pods, within $window"
  ((${window%.*} < 15)) || die "Pods were refused for $window"
  measured "from the command to the first mutated Pod" "$mutated"
  measured "from the command to two ready replicas" "$ready"
  measured "memory of the replicas at rest" "$(replica_memory VmRSS)"
}

case_pods_run() { # images from the private registry, by the injected secret; not without the webhook, nor without the secret
  [[ $(registry_answers registry.example) == 401 ]] || die "the registry wants no password"
  kubectl -n team run plain --image=docker.io/library/app:1
  kubectl -n team create deployment web --image=app:1
  kubectl -n team wait --for=condition=Ready pod/plain --timeout=30s
  kubectl -n team rollout status deployment/web --timeout=30s
  [[ $(kubectl -n team get pod plain -o jsonpath='{.spec.containers[0].image} {.spec.imagePullSecrets[*].name}') == "registry.example/library/app:1 regcred" ]] || die "plain: other image or secret"
  [[ $(kubectl -n team get pods -l app=web -o jsonpath='{.items[*].spec.containers[0].image}') == registry.example/app:1 ]] || die "web: another image"

  typed "$(documented docs/install.md Disable 1)"
  until_ok 5 "Pods that are not changed" does_not_mutate
  kubectl -n team run unchanged --image=docker.io/library/app:1
  kubectl -n team run nosecret --image=registry.example/tools:1 --image-pull-policy=Always
  until_ok 60 "ImagePullBackOff without the webhook" waiting_for unchanged ImagePullBackOff
  until_ok 60 "ImagePullBackOff without the secret" waiting_for nosecret ImagePullBackOff
  kubectl -n team get events --field-selector involvedObject.name=nosecret -o jsonpath='{.items[*].message}' >"$scratch/events"
  grep -qi -e 'no basic auth credentials' -e '401 unauthorized' "$scratch/events" || die "not for want of a password: $(cat "$scratch/events")"
  typed "$(documented docs/install.md Disable 2)"
  until_ok 10 "the webhook" mutates
  kubectl -n team delete pod unchanged nosecret --grace-period=0 --force 2>/dev/null
}

# waiting_for POD REASON
waiting_for() { [[ $(kubectl -n team get pod "$1" -o jsonpath='{.status.containerStatuses[0].state.waiting.reason}') == "$2" ]]; }

case_debug_container() { # kubectl debug: an ephemeral container with a private image runs
  local name
  kubectl -n team debug plain --image=tools:1 --container=helper
  until_ok 30 "the ephemeral container" helper_runs
  name=$(kubectl -n team get pod plain -o jsonpath='{.spec.ephemeralContainers[0].image}')
  [[ $name == registry.example/tools:1 ]] || die "its image is $name"
}
helper_runs() { [[ -n $(kubectl -n team get pod plain -o jsonpath='{.status.ephemeralContainerStatuses[0].state.running.startedAt}') ]]; }

case_image_volume() { # an image volume is rewritten and pulled; mounted where the runtime can
  local problem
  kubectl -n team create -f - <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: volume}
spec:
  containers: [{name: app, image: app:1, volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, image: {reference: quay.io/data:1}}]
YAML
  [[ $(kubectl -n team get pod volume -o jsonpath='{.spec.volumes[?(@.name=="data")].image.reference}') == registry.example/data:1 ]] || die "the volume's image is not rewritten"
  until_ok 30 "the image of the volume being pulled" volume_pulled
  if kubectl -n team wait --for=condition=Ready pod/volume --timeout=15s >/dev/null 2>&1; then
    kubectl -n team exec volume -- /busybox test -x /data/busybox || die "the volume is not the image"
    measured "image volumes" "mounted"
  else
    problem=$(kubectl -n team get pod volume -o jsonpath='{.status.containerStatuses[0].state.waiting.reason}')
    [[ $(containerd --version | cut -d' ' -f3) == 1.* && $problem == CreateContainerError ]] || die "a containerd that knows image volumes does not mount it: $problem"
    measured "image volumes" "rewritten and pulled; containerd 1 cannot mount them"
  fi
  kubectl -n team delete pod volume --grace-period=0 --force 2>/dev/null
}
volume_pulled() { kubectl -n team get events --field-selector involvedObject.name=volume -o jsonpath='{.items[*].message}' | grep -F 'pulled image "registry.example/data:1"'; }

case_upgrade() { # kubectl set image while Pods are created: none fails, none slips through
  local upgrade
  upgrade=$(documented docs/install.md "Upgrade and change settings")
  under_load "set image" typed "$upgrade"
  [[ $(each_replica '{.spec.containers[0].image}' | sort -u) == registry.example/infra/pullgate:2 ]] || die "a replica has another image"
}

case_restart() { # kubectl rollout restart, likewise
  under_load "rollout restart" restart
}
restart() {
  kubectl -n pullgate rollout restart deployment/pullgate
  rolled_out 120s
}

case_delete_replica() { # kubectl delete pod of one replica, likewise
  under_load "delete of a replica" delete_one
}
delete_one() { kubectl -n pullgate delete "$(replicas | head -n 1)"; }

case_evict() { # eviction of both as by kubectl drain: the second only when the first has been replaced
  under_load "eviction" evict_both
}
evict_both() {
  local names
  mapfile -t names < <(replicas)
  evict "${names[0]}" || die "the first eviction is refused: $(cat "$scratch/eviction")"
  ! evict "${names[1]}" || die "both replicas could be evicted at a time"
  grep -q "disruption budget" "$scratch/eviction" || die "refused for another reason: $(cat "$scratch/eviction")"
  until_ok 90 "leave to evict the second replica" evict "${names[1]}"
}
evict() {
  local name=${1#pod/}
  kubectl create --raw "/api/v1/namespaces/pullgate/pods/$name/eviction" -f - >"$scratch/eviction" 2>&1 <<JSON
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$name", "namespace": "pullgate"}}
JSON
}

case_renew() { # --renew and apply while Pods are created: the new certificate is served, nobody restarts, none fails
  local before after text
  before=$(each_replica '{.metadata.name} {.status.containerStatuses[0].restartCount}')
  text=$(documented docs/certificates.md Renew 1)
  under_load "renewal of the certificate" renew_certificate "${text//…/}"
  after=$(each_replica '{.metadata.name} {.status.containerStatuses[0].restartCount}')
  [[ $before == "$after" ]] || die "replicas were replaced or restarted: $before / $after"
}
renew_certificate() {
  local start old serial certificate=$scratch/work/generated/certs/webhook-server-tls.crt
  old=$(openssl x509 -in "$certificate" -noout -serial)
  all_serve "$old" || die "not every replica serves the certificate that was generated: $old"
  start=$(now)
  IMAGE_PULL_SECRET=regcred typed "$1"
  serial=$(openssl x509 -in "$certificate" -noout -serial)
  [[ $serial != "$old" ]] || die "--renew renewed nothing: still $old"
  until_ok 180 "the new certificate at every replica" all_serve "$serial"
  measured "from the renewal to both replicas serving it" "$(seconds_since "$start")"
}
all_serve() {
  local address addresses
  mapfile -t addresses < <(each_replica '{.status.podIP}')
  ((${#addresses[@]} == 2)) || return 1
  for address in "${addresses[@]}"; do
    [[ $(scripts/cluster in sh -c "openssl s_client -connect $address:8443 </dev/null 2>/dev/null | openssl x509 -noout -serial") == "$1" ]] || return 1
  done
}

case_memory() { # a replica has taken no more than 12 MiB after all that
  local goal=12 most
  most=$(replica_memory VmHWM)
  measured "memory of the replicas after the last load" "$(replica_memory VmRSS); at most $most (goal: $goal MiB)"
  # Two, and those of replicas that were deleted and still serve for a moment.
  [[ $most == *[0-9]" and "[0-9]* ]] || die "not a figure of each replica: $most"
  awk -v goal="$goal" '{ for (i = 1; i <= NF; i += 2) if ($i > goal) exit 1 }' <<<"${most% MiB}" || die "that is more than $goal MiB"
}

case_disable() { # deleting the registration ends mutation within 2 s, applying it resumes it
  local start
  start=$(now)
  typed "$(documented docs/install.md Disable 1)"
  until_ok 2 "Pods that are not changed" does_not_mutate
  measured "from the command that disables to the first unchanged Pod" "$(seconds_since "$start")"
  rolled_out 1s # what is installed stays
  begin_load
  sleep 2
  end_load 2
  ((requests > 0 && failed == 0 && unmutated == requests)) || die "of $requests Pods $failed failed and $((requests - failed - unmutated)) were changed without a registration"
  start=$(now)
  typed "$(documented docs/install.md Disable 2)"
  until_ok 10 "the webhook" mutates
  measured "from applying it again to the first mutated Pod" "$(seconds_since "$start")"
}

kube_system_is_free() {
  post kube-system '?dryRun=All'
  [[ $code == 201 ]] || die "a Pod of kube-system was refused: $code $body"
}

case_no_replicas() { # no replica at all: refused elsewhere, never in kube-system
  outage "scaled to none and back" scale_to_none_and_back
  some_refused
}
scale_to_none_and_back() {
  kubectl -n pullgate scale deployment/pullgate --replicas=0
  until_ok 60 "the refusal" refuses
  kube_system_is_free
  kubectl -n pullgate scale deployment/pullgate --replicas=2
}

case_force_delete() { # all replicas deleted with force
  outage "all replicas deleted with force" force_delete
}
force_delete() {
  kubectl -n pullgate delete pods --all --force --grace-period=0 2>/dev/null
  kube_system_is_free
}

case_node_restart() { # kubelet and containerd restarted; then with all containers dead, as after a power cut
  outage "kubelet and containerd restarted" restart_node
  outage "all containers killed, kubelet and containerd restarted" power_cut
}
restart_node() {
  scripts/cluster restart-node
  kube_system_is_free
}
power_cut() {
  # shellcheck disable=SC2016 # to be expanded inside
  scripts/cluster in sh -c 'for id in $(ctr --namespace k8s.io tasks list --quiet); do ctr --namespace k8s.io tasks kill --signal SIGKILL "$id"; done'
  restart_node
}

case_namespace_deleted() { # the namespace deleted and applied again, under the registration
  outage "namespace deleted and applied again" delete_namespace_and_apply
  some_refused
}
delete_namespace_and_apply() {
  kubectl delete namespace pullgate
  until_ok 10 "the refusal" refuses
  kube_system_is_free
  secret_of_the_webhook
  typed 'kubectl apply -f generated/'
}

case_uninstall() { # the documented commands leave nothing
  kubectl -n team delete deployment,pod --all --now
  typed "$(documented docs/install.md Uninstall)"
  until_ok 60 "the team's Pods to be gone" no_pods
  nothing_left
}
no_pods() { [[ -z $(kubectl -n team get pods -o name) ]]; }
