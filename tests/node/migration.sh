# shellcheck shell=bash
# Installations of other programs, moved to pullgate as docs/migration/ says. They come last and need nothing of the others but
# functions, those of controller.sh too; sourced by tests/node/run.
# shellcheck disable=SC2154 # variables of tests/node/run and lib.sh

# old_image PAGE: the one that the page goes back to.
old_image() {
  local back
  back=$(documented "$1" "Go back")
  back=${back%%$'\n'*}
  printf '%s\n' "${back##*=}"
}

# old_installation FIXTURE NAMESPACE IMAGE: as it was published, with the IMAGE that it had. That one cannot be pulled here, so
# what runs afterwards is pullgate. That its account may pull from our registry is all that is added.
old_installation() {
  everything "$scratch/before"
  may_be_pulled "$2"
  kubectl -n "$2" create serviceaccount "$2"
  kubectl -n "$2" patch serviceaccount "$2" --patch '{"imagePullSecrets": [{"name": "regcred"}]}'
  sed "s|image: registry.example/.*|image: $3|" "tests/fixtures/migration/controller/$1.yaml" >"$scratch/old.yaml"
  [[ $(grep -c "image: $3" "$scratch/old.yaml") == 1 ]] || die "$1.yaml has other images"
}

# serves NAMESPACE SECRET: a namespace that is made now gets copy and reference, and then a Pod in it pulls. Sets `took`.
serves() {
  local start
  start=$(now)
  kubectl create namespace "$1"
  until_ok 60 "copy and reference in $1" served "$1" "$2"
  took=$(seconds_since "$start")
  kubectl -n "$1" run app --image=registry.example/app:1 --image-pull-policy=Always
  kubectl -n "$1" wait --for=condition=Ready pod/app --timeout=60s
  pulls "$1 "
  ((failed_pulls == 0)) || die "a pull failed: $(cat "$scratch/pulls")"
  kubectl -n "$1" delete pod app --now
}

# cgroup_memory: of the container in which pullgate runs, in MiB: how much it may have, and the most that it had.
cgroup_memory() {
  # shellcheck disable=SC2016 # to be expanded inside
  scripts/cluster in sh -c '
    for process in /proc/[0-9]*; do
      [ "$(cat "$process/comm" 2>/dev/null)" = pullgate ] || continue
      group=/sys/fs/cgroup/memory$(sed -n "s/^[0-9]*:memory://p" "$process/cgroup")
      if [ -e "$group/memory.limit_in_bytes" ]; then
        cat "$group/memory.limit_in_bytes" "$group/memory.max_usage_in_bytes"
      else
        group=/sys/fs/cgroup$(sed -n "s/^0:://p" "$process/cgroup")
        cat "$group/memory.max" "$group/memory.peak"
      fi
    done' | awk '{ printf "%s%.1f", separator, $1 / 1048576; separator = " " } END { print "" }'
}

# within_30_mib WHAT: the limit of the example manifests holds, and pullgate with it.
within_30_mib() {
  local limit most
  read -r limit most < <(cgroup_memory)
  [[ $limit == 30.0 && $most =~ ^[0-9.]+$ ]] || die "not one container with a limit of 30 MiB: $limit and $most"
  [[ $(kubectl -n imagepullsecret-patcher get pods -o jsonpath='{.items[*].status.containerStatuses[0].restartCount}') == 0 ]] || die "it was restarted"
  measured "$1: memory" "at most $(replica_memory VmHWM) resident; $most of $limit MiB for the container"
}

case_from_patcher() { # docs/migration: imagepullsecret-patcher's example manifests, by their image and then by ours
  local page=docs/migration/imagepullsecret-patcher.md change
  old_installation imagepullsecret-patcher imagepullsecret-patcher "$(old_image $page)"
  kubectl apply -f "$scratch/old.yaml"
  change=$(documented $page "By its image")
  typed "${change#*$'\n'}" # the image is built already
  kubectl -n imagepullsecret-patcher rollout status deployment/imagepullsecret-patcher --timeout=60s
  serves patched-1 image-pull-secret
  measured "patcher's manifests: from a namespace to copy and reference" "$took; it may not watch, and looks every 10 s"
  within_30_mib "patcher's manifests"

  clear_away
  may_be_pulled pullgate
  typed "$(documented $page "By our manifests")"
  serves patched-2 image-pull-secret
  typed "$(documented docs/pull-secrets.md Uninstall)"
  kubectl delete -f "$scratch/old.yaml"
  [[ -z $(copies image-pull-secret)$(references image-pull-secret) ]] || die "copies or references are left: $(copies image-pull-secret) $(references image-pull-secret)"
  kubectl delete namespace patched-1 patched-2
  nothing_left
}

case_from_patcher_chart() { # the chart of its fork, whose source has the name of the copies, by its image
  local page=docs/migration/imagepullsecret-patcher.md change copy
  old_installation imagepullsecret-patcher-chart imagepullsecret-patcher "$(old_image $page)"
  kubectl apply -f "$scratch/old.yaml"
  change=$(documented $page "By its image")
  typed "${change#*$'\n'}"
  kubectl -n imagepullsecret-patcher rollout status deployment/imagepullsecret-patcher --timeout=60s
  serves charted-1 image-pull-secret
  measured "chart of its fork: from a namespace to copy and reference" "$took"
  within_30_mib "chart of its fork"
  kubectl delete -f "$scratch/old.yaml"
  # Nobody is left who would take these back.
  for copy in $(copies image-pull-secret); do kubectl -n "$copy" delete secret image-pull-secret; done
  kubectl delete namespace imagepullsecret-patcher charted-1
  nothing_left
}

case_from_injector() { # docs/migration: imagepullsecret-injector's chart by its image, with the controller: no pull fails
  local page=docs/migration/imagepullsecret-injector.md host=ips-injector-svc.imagepullsecret-injector.svc certificate=$scratch/injector name
  clear_away
  old_installation imagepullsecret-injector imagepullsecret-injector "$(old_image $page)"
  # What the chart leaves to others: a certificate, and a source of the type that its README makes.
  mkdir -p "$certificate"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$host" -addext "subjectAltName=DNS:$host" -keyout "$certificate/key.pem" -out "$certificate/cert.pem" 2>/dev/null
  kubectl -n imagepullsecret-injector create secret generic imagepullsecret-injector-webhook-certs --from-file="$certificate"
  kubectl -n imagepullsecret-injector create secret generic acr-dockerconfigjson-source \
    --from-literal=.dockerconfigjson="{\"auths\":{\"registry.example\":{\"username\":\"$(registry registry.example user)\",\"password\":\"$(registry registry.example password)\"}}}"
  sed -i "s|caBundle: Cg==|caBundle: $(openssl base64 -A -in "$certificate/cert.pem")|" "$scratch/old.yaml"
  kubectl apply -f "$scratch/old.yaml"

  may_be_pulled pullgate
  typed "$(documented $page "By its image")"
  kubectl -n imagepullsecret-injector rollout status deployment/imagepullsecret-injector-webhook-deployment --timeout=60s
  until_ok 30 "references on new accounts" accounts_are_admitted acr-dockerconfigjson
  for name in injected-{1..3}; do
    new_apps "$name"
    app_runs "$name"
  done
  until_ok 10 "word of 3 pulls" pulled injected- 3
  ((failed_pulls == 0)) || die "a pull failed: $(cat "$scratch/pulls")"
  [[ $(writes_of_controller serviceaccounts injected-) == 0 ]] || die "accounts were created without the reference"
  measured "injector's chart and the controller: 3 namespaces with Deployments" "Running, 0 failed pulls"

  kubectl delete -f "$scratch/old.yaml"
  typed "$(documented docs/pull-secrets.md Uninstall)"
  [[ -z $(copies acr-dockerconfigjson)$(references acr-dockerconfigjson) ]] || die "copies or references are left"
  kubectl delete namespace imagepullsecret-injector injected-{1..3}
  nothing_left
}
