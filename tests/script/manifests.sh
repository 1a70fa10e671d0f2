# shellcheck shell=bash disable=SC2154,SC2034 # root and script are those of run
# What the manifests say. Cases for tests/script/run.

case_the_documented_flow_writes_all_manifests_in_the_order_of_their_need() {
  generate REGISTRY=registry.example IMAGE_PULL_SECRET=regcred IMAGE=registry.example/infra/pullgate:1
  [ "$(cd generated && echo *)" = "10-namespace.yaml 20-certificate.yaml 30-deployment.yaml 40-webhook-configuration.yaml certs" ]
  cat generated/*.yaml | sed -n 's/^kind: //p' > kinds
  [ "$(tr '\n' ' ' < kinds)" = "Namespace ResourceQuota Secret ServiceAccount Service PodDisruptionBudget Deployment MutatingWebhookConfiguration " ]
  has generated/30-deployment.yaml '          image: "registry.example/infra/pullgate:1"'
  has generated/30-deployment.yaml '            - name: REGISTRY'
  has generated/30-deployment.yaml '              value: "registry.example"'
  has generated/30-deployment.yaml '              value: "regcred"'
  [ "$(grep -c 'value: "' generated/30-deployment.yaml)" -eq 2 ]
  # Nothing of the templates' own language is left.
  # shellcheck disable=SC2016
  for manifest in generated/*.yaml; do lacks "$manifest" '${'; lacks "$manifest" '#if'; lacks "$manifest" '#end'; done
}

case_every_namespaced_object_is_in_the_namespace() {
  generate IMAGE=a/b:1 REGISTRY=r.example NAMESPACE=gate
  # Six objects and the reference of each webhook to its Service.
  [ "$(cat generated/*.yaml | grep -c '^ *namespace: "gate"$')" -eq 7 ]
  has generated/10-namespace.yaml '  name: "gate"'
  has generated/40-webhook-configuration.yaml '            - "gate"'
  lacks generated/40-webhook-configuration.yaml '"pullgate"'
}

case_a_namespace_that_yaml_would_read_as_a_number_is_quoted() {
  generate IMAGE=a/b:1 REGISTRY=r.example NAMESPACE=1234 DEPLOYMENT_PULL_SECRET=true
  not grep -E 'name(space)?: (1234|true)$' generated/*.yaml
}

case_defaults_are_as_documented() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  has generated/10-namespace.yaml '  name: "pullgate"'
  has generated/30-deployment.yaml '  replicas: 2'
  has generated/40-webhook-configuration.yaml '    failurePolicy: Fail'
  lacks generated/30-deployment.yaml imagePullSecrets
  generate IMAGE=a/b:1 -- --set REGISTRY= > log 2>&1
  lacks generated/30-deployment.yaml env:
}

# The value of each setting that the next case gives it.
sample() {
  case $1 in
    REGISTRY) echo '[fd00::1]:5000/mirror' ;;
    REGISTRY_MAP) echo 'docker.io=registry.example/hub,*=[fd00::1]:5000/mirror' ;;
    IGNORED_REGISTRIES) echo localhost:5000,registry.k8s.io/pause ;;
    IMAGE_PARSER) echo distribution ;;
    IMAGE_PULL_SECRET) echo regcred,second.one ;;
    *_APPEND | FORCE_* | CONFIG_ALL_* | CONFIG_IGNORE_*) echo true ;;
    *_TO_FORCE) echo IfNotPresent ;;
    DEFAULT_STORAGE_CLASS) echo rook-ceph-block ;;
    STORAGE_CLASS_MODE) echo force ;;
    EXCLUDE_NAMESPACES | CONFIG_EXCLUDE_NAMESPACES) echo kube-public,monitoring ;;
    CONFIG_SERVICE_ACCOUNTS) echo 'default,build-*' ;;
    CONFIG_*_NAME) echo image-pull-secret ;;
    CONFIG_*_NAMESPACE) echo credentials ;;
    LOG_LEVEL) echo debug ;;
    MODE) echo audit ;;
    LOG_FORMAT) echo json ;;
    SHUTDOWN_*) echo 7 ;;
    MAX_*) echo 104857600 ;;
    PORT) echo 9443 ;;
    HEALTH_PORT) echo 65535 ;;
    *) die "no sample for $1: add one" ;;
  esac
}

case_every_setting_of_the_help_reaches_the_deployment_quoted() {
  local names name variables=() flags=()
  names=$(generate -- --help | sed -n '/^Settings of/,/^$/p' | sed 1d)
  [ "$(echo "$names" | wc -w)" -eq 27 ]
  for name in $names; do
    variables+=("$name=$(sample "$name")")
    flags+=(--set "$name=$(sample "$name")")
  done
  generate IMAGE=a/b:1 "${variables[@]}"
  for name in $names; do
    has generated/30-deployment.yaml "            - name: $name"
    has generated/30-deployment.yaml "              value: \"$(sample "$name")\""
  done
  cp -R generated variables
  generate IMAGE=a/b:1 -- "${flags[@]}"
  diff -r variables generated
}

case_ports_follow_everywhere() {
  generate IMAGE=a/b:1 REGISTRY=r.example PORT=9443 HEALTH_PORT=9090
  has generated/30-deployment.yaml '              containerPort: 9443'
  has generated/30-deployment.yaml '              containerPort: 9090'
  has generated/30-deployment.yaml '      targetPort: https'
  [ "$(grep -c 'port: health' generated/30-deployment.yaml)" -eq 2 ]
  lacks generated/30-deployment.yaml 8443
  lacks generated/30-deployment.yaml 8080
}

case_grace_period_and_memory_follow_the_settings() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  has generated/30-deployment.yaml '      terminationGracePeriodSeconds: 35'
  has generated/30-deployment.yaml '              memory: 384Mi'
  generate IMAGE=a/b:1 REGISTRY=r.example SHUTDOWN_DELAY_SECONDS=30 SHUTDOWN_TIMEOUT_SECONDS=60 MAX_BUFFERED_BYTES=268435457
  has generated/30-deployment.yaml '      terminationGracePeriodSeconds: 95'
  has generated/30-deployment.yaml '              memory: 513Mi'
  generate IMAGE=a/b:1 REGISTRY=r.example MAX_BUFFERED_BYTES=25165824
  has generated/30-deployment.yaml '              memory: 128Mi'
}

case_excluded_namespaces_reach_the_selector_once_each() {
  generate IMAGE=a/b:1 REGISTRY=r.example EXCLUDE_NAMESPACES=' kube-public,, kube-system ,default,pullgate,'
  sed -n '/values:/,/#/p' generated/40-webhook-configuration.yaml | sed -n 's/^ *- "\(.*\)"$/\1/p' > values
  [ "$(tr '\n' ' ' < values)" = "pullgate kube-system kube-public default " ]
}

case_only_what_the_settings_can_change_is_sent_to_the_webhook() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  has generated/40-webhook-configuration.yaml '  - name: pods.pullgate.svc'
  lacks generated/40-webhook-configuration.yaml claims
  generate IMAGE=a/b:1 DEFAULT_STORAGE_CLASS=fast FORCE_IMAGE_PULL_POLICY=false
  has generated/40-webhook-configuration.yaml '  - name: claims.pullgate.svc'
  lacks generated/40-webhook-configuration.yaml pods
  generate IMAGE=a/b:1 DEFAULT_STORAGE_CLASS=fast FORCE_IMAGE_PULL_POLICY=yes
  has generated/40-webhook-configuration.yaml '  - name: claims.pullgate.svc'
  has generated/40-webhook-configuration.yaml '  - name: pods.pullgate.svc'
}

case_a_webhook_without_work_is_warned_of() {
  generate IMAGE=a/b:1 2> stderr
  grep -q 'warning: the webhook has nothing to do: set REGISTRY' stderr
  has generated/40-webhook-configuration.yaml '  - name: pods.pullgate.svc'
  generate IMAGE=a/b:1 REGISTRY=r.example 2> stderr
  [ ! -s stderr ]
}

case_a_template_with_an_unknown_name_is_refused() {
  cp -R "$root/deployment" deployment
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp -R generated first
  # shellcheck disable=SC2016
  echo 'x: ${no_such_name}' >> deployment/40-webhook-configuration.yaml.tmpl
  script=deployment/generate-certs-and-config.sh
  refused 'no value for no_such_name' generate IMAGE=other REGISTRY=r.example
  diff -r first generated
}

case_kubectl_reads_no_private_key_but_that_of_the_secret() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  [ "$(find generated -name '*.yaml' -o -name '*.yml' -o -name '*.json' | wc -l)" -eq 4 ]
  [ "$(grep -rlF 'PRIVATE KEY' generated | sort | tr '\n' ' ')" = "generated/certs/ca.key generated/certs/webhook-server-tls.key " ]
  [ "$(grep -lF "$(openssl base64 -A -in generated/certs/webhook-server-tls.key)" generated/*.yaml)" = generated/20-certificate.yaml ]
  not grep -F "$(openssl base64 -A -in generated/certs/ca.key)" generated/*.yaml
}

case_the_manifests_carry_the_certificates_of_the_folder() {
  generate IMAGE=a/b:1 REGISTRY=r.example DEFAULT_STORAGE_CLASS=fast
  sed -n 's/.*webhook-server-tls.crt: //p' generated/20-certificate.yaml | openssl base64 -d -A > crt
  sed -n 's/.*webhook-server-tls.key: //p' generated/20-certificate.yaml | openssl base64 -d -A > key
  ca_bundle generated | openssl base64 -d -A > ca
  same crt generated/certs/webhook-server-tls.crt
  same key generated/certs/webhook-server-tls.key
  same ca generated/certs/ca.crt
  [ "$(openssl pkey -in key -pubout)" = "$(openssl x509 -in crt -noout -pubkey)" ]
}
