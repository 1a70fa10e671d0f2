# shellcheck shell=bash
# The cases of chart and kustomize: they come after the others, and need nothing of what these leave but functions; sourced
# by tests/node/run.
# shellcheck disable=SC2154 # variables of tests/node/run and lib.sh

# with_secret COMMANDS: documented ones, for a registry that wants a password for pullgate's own image, too.
with_secret() { printf '%s\n' "${1//--set image.tag=1/--set image.tag=1 --set imagePullSecrets=\{regcred\}}"; }

# installed COMMANDS WAY: what is typed installs pullgate; two minutes are what a user is promised.
installed() {
  local start mutated
  start=$(now)
  typed "$1"
  until_ok 120 "the webhook" mutates
  mutated=$(seconds_since "$start")
  measured "$2: from the command to a mutated Pod" "$mutated"
  until_ok 60 "two replicas, and no others" settled
}

case_chart_install() { # docs/helm.md: installed by Helm, tested, certificates by the controller; a Pod runs
  clear_away
  # The API server of a node is in its network namespace.
  printf '#!/usr/bin/env bash\nexec %q in %q "$@"\n' "$root/scripts/cluster" "$(scripts/helm)" >"$scratch/bin/helm"
  chmod +x "$scratch/bin/helm"
  everything "$scratch/before"
  may_be_pulled pullgate
  installed "$(with_secret "$(documented docs/helm.md Install 1)")" "chart"
  kubectl get mutatingwebhookconfiguration pullgate -o jsonpath='{.webhooks[0].clientConfig.caBundle}' | openssl base64 -d -A | openssl x509 -noout -subject
  kubectl -n team run charted --image=docker.io/library/app:1
  kubectl -n team wait --for=condition=Ready pod/charted --timeout=30s
  kubectl -n team delete pod charted --grace-period=0 --force 2>/dev/null
}

case_chart_upgrade() { # helm upgrade to another image and setting, and helm rollback, while Pods are created: none fails
  # Shorter than in cases.sh, where the same is done for longer.
  # shellcheck disable=SC2034 # under_load reads it
  local upgrade ca seconds=20
  cat >"$scratch/work/my-values.yaml" <<'YAML'
image: {repository: registry.example/infra/pullgate, tag: "1"}
imagePullSecrets: [regcred]
settings: {REGISTRY: registry.example, IMAGE_PULL_SECRET: [regcred], LOG_LEVEL: debug}
YAML
  ca=$(kubectl get mutatingwebhookconfiguration pullgate -o jsonpath='{.webhooks[*].clientConfig.caBundle}')
  upgrade=$(documented docs/helm.md Upgrade)
  under_load "helm upgrade" typed "$upgrade"
  [[ $(each_replica '{.spec.containers[0].image} {.spec.containers[0].env[*].value}' | sort -u) == "registry.example/infra/pullgate:2 regcred debug registry.example" ]] || die "a replica has another image or other settings: $(each_replica '{.spec.containers[0].image} {.spec.containers[0].env[*].value}')"
  under_load "helm rollback" typed "helm rollback pullgate --namespace pullgate"
  [[ $(each_replica '{.spec.containers[0].image}' | sort -u) == registry.example/infra/pullgate:1 ]] || die "a replica has another image"
  [[ $(kubectl get mutatingwebhookconfiguration pullgate -o jsonpath='{.webhooks[*].clientConfig.caBundle}') == "$ca" ]] || die "caBundle is another one"
  typed "helm -n pullgate test pullgate --logs"
}

case_chart_uninstall() { # with pull secrets: these are taken back by the documented Job, then all of it; nothing is left
  local commands
  cat >>"$scratch/work/my-values.yaml" <<'YAML'
controller: {enabled: true}
YAML
  pull_secret registry.example image-pull-secret --namespace pullgate
  typed "helm upgrade pullgate deployment/helm/pullgate --namespace pullgate --values my-values.yaml"
  until_ok 60 "a copy in every namespace" copied_everywhere image-pull-secret
  commands=$(documented docs/helm.md Uninstall 2)
  typed "$commands"
  [[ $(copies image-pull-secret) == pullgate && -z $(references image-pull-secret) ]] || die "copies or references are left: $(copies image-pull-secret) $(references image-pull-secret)"
  typed "$(documented docs/helm.md Uninstall 1)"
  nothing_left
}

case_kustomize() { # docs/kustomize.md: the example, installed and removed
  local commands
  clear_away
  everything "$scratch/before"
  may_be_pulled pullgate
  # The example with what this registry wants, and what `mutates` looks for.
  mkdir -p "$scratch/work/overlay"
  cat >"$scratch/work/overlay/kustomization.yaml" <<'YAML'
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../deployment/kustomize/example]
# Again, for the component that comes in the end.
images: [{name: pullgate, newName: registry.example/infra/pullgate, newTag: "1"}]
configMapGenerator:
  - {name: pullgate-settings, behavior: merge, literals: [IMAGE_PULL_SECRET=regcred]}
patches:
  - target: {kind: Deployment|Job}
    patch: |-
      - {op: add, path: /spec/template/spec/imagePullSecrets, value: [{name: regcred}]}
YAML
  # kustomize takes no link for a folder.
  cp -R "$root/deployment" "$scratch/work/copied"
  sed -i 's,\.\./deployment,../copied,' "$scratch/work/overlay/kustomization.yaml"
  commands=$(with_credentials "$(documented docs/kustomize.md Install)")
  installed "${commands//deployment\/kustomize\/example/overlay}" "kustomize"
  until_ok 60 "a copy in every namespace" copied_everywhere image-pull-secret
  echo 'components: [../copied/kustomize/components/uninstall]' >>"$scratch/work/overlay/kustomization.yaml"
  commands=$(documented docs/kustomize.md Uninstall 2)
  typed "${commands//deployment\/kustomize\/example/overlay}"
  [[ $(copies image-pull-secret) == pullgate && -z $(references image-pull-secret) ]] || die "copies or references are left: $(copies image-pull-secret) $(references image-pull-secret)"
  commands=$(documented docs/kustomize.md Uninstall 1)
  typed "${commands//deployment\/kustomize\/example/overlay}"
  nothing_left
}
