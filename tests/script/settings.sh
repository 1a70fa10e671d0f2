# shellcheck shell=bash disable=SC2154 # root is that of run
# What is taken as a parameter or a setting, and what is refused. Cases for tests/script/run.

case_each_parameter_is_a_variable_and_a_flag_in_both_spellings() {
  generate IMAGE=a/b:1 NAMESPACE=gate REPLICAS=3 OUT=out FAILURE_POLICY=Ignore DEPLOYMENT_PULL_SECRET=own REGISTRY=r.example
  cp -R out variables
  has out/30-deployment.yaml '          image: "a/b:1"'
  has out/30-deployment.yaml '  replicas: 3'
  has out/30-deployment.yaml '        - name: "own"'
  has out/40-webhook-configuration.yaml '    failurePolicy: Ignore'
  generate IMAGE=no NAMESPACE=no REPLICAS=9 OUT=no FAILURE_POLICY=Fail DEPLOYMENT_PULL_SECRET=no REGISTRY=no -- \
    --image a/b:1 --namespace gate --replicas 3 --out out --failure-policy Ignore --deployment-pull-secret own --set REGISTRY=r.example
  diff -r variables out
  generate -- --image=a/b:1 --namespace=gate --replicas=3 --out=out --failure-policy=Ignore --deployment-pull-secret=own --set=REGISTRY=r.example
  diff -r variables out
  [ ! -e no ]
}

case_the_way_to_register_is_a_variable_and_a_flag_in_both_spellings() {
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready
  cp -R generated variable
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=at-once -- --register when-ready
  diff -r variable generated
  generate IMAGE=a/b:1 REGISTRY=r.example -- --register=when-ready
  diff -r variable generated
}

case_the_settings_are_the_variables_of_the_program() {
  # All but those that the manifests fix.
  sed -n 's/^ *[a-z_]* = "\([A-Z_]*\)",$/\1/p' "$root/src/config/raw.rs" | grep -v '^TLS_' | sort > program
  generate -- --help | sed -n '/^Settings of/,/^$/p' | sed 1d | tr -s ' ' '\n' | sed '/^$/d' | sort > script
  [ -s program ]
  diff program script
}

case_set_wins_over_the_variable_and_empty_unsets() {
  generate IMAGE=a/b:1 REGISTRY=from.variable LOG_LEVEL=debug PORT= -- --set REGISTRY=from.flag --set LOG_LEVEL=
  has generated/30-deployment.yaml '              value: "from.flag"'
  lacks generated/30-deployment.yaml from.variable
  lacks generated/30-deployment.yaml LOG_LEVEL
  lacks generated/30-deployment.yaml 'name: PORT'
}

case_the_output_names_the_settings_that_were_taken() {
  generate IMAGE=a/b:1 REGISTRY=r.example LOG_LEVEL=warn > log
  has log 'settings: REGISTRY LOG_LEVEL'
}

case_wrong_parameters_are_refused_and_nothing_is_written() {
  refused 'IMAGE is not set: name the image' generate REGISTRY=r.example
  refused 'IMAGE="a b": expected an image such as' generate IMAGE='a b'
  refused 'IMAGE="a"b": expected' generate IMAGE='a"b'
  for namespace in Upper under_score -x x- a.b '' "$(printf 'n%.0s' $(seq 64))" 'a b' 'a"b' $'a\nb'; do
    refused "NAMESPACE=\"" generate IMAGE=a/b:1 -- --namespace "$namespace"
  done
  for namespace in default kube-system kube-public kube-node-lease; do
    refused "NAMESPACE=\"$namespace\": expected a namespace for the webhook alone" generate IMAGE=a/b:1 NAMESPACE="$namespace"
  done
  for replicas in 0 -1 two 1.5 01 1000; do refused "REPLICAS=\"$replicas\": expected a number from 1 to 999" generate IMAGE=a/b:1 REPLICAS="$replicas"; done
  refused 'FAILURE_POLICY="fail": expected Fail or Ignore' generate IMAGE=a/b:1 FAILURE_POLICY=fail
  for register in later at-onc 'at-once|when-ready' $'when-ready\n'; do refused "REGISTER=\"" generate IMAGE=a/b:1 REGISTER="$register"; done
  refused 'REGISTER="later": expected at-once or when-ready' generate IMAGE=a/b:1 -- --register later
  for controller in true '' Yes 'yes|only'; do refused "CONTROLLER=\"$controller\": expected no, yes or only" generate IMAGE=a/b:1 -- --controller "$controller"; done
  refused 'DEPLOYMENT_PULL_SECRET="a: b": expected the name of a Secret' generate IMAGE=a/b:1 DEPLOYMENT_PULL_SECRET='a: b'
  refused 'DEPLOYMENT_PULL_SECRET="a..b": expected' generate IMAGE=a/b:1 DEPLOYMENT_PULL_SECRET=a..b
  refused '--days="0": expected a number' generate IMAGE=a/b:1 -- --days 0
  refused 'OUT is empty' generate IMAGE=a/b:1 -- --out=
  [ ! -e generated ]
}

# Which values are refused is a table in tests/it/script_parity.rs; here are one of each kind, and what would break the YAML.
case_wrong_settings_are_refused_and_nothing_is_written() {
  local setting
  # shellcheck disable=SC2016
  for setting in REGISTRY=https://r.example REGISTRY='a"b' REGISTRY=$'a\nb' REGISTRY=$'a\tb' REGISTRY='a\b' REGISTRY='$(PORT)' REGISTRY='a: b' REGISTRY=é \
    REGISTRY_MAP='a=b c=d' IGNORED_REGISTRIES=a/ IMAGE_PULL_SECRET='a"b' FORCE_IMAGE_PULL_POLICY=maybe DEFAULT_STORAGE_CLASS=a_b \
    EXCLUDE_NAMESPACES=kube-* LOG_LEVEL=$'info\n' SHUTDOWN_DELAY_SECONDS=10s MAX_BODY_BYTES=20Mi HEALTH_PORT=tcp://10.0.0.1:80; do
    refused "${setting%%=*}=\"" generate IMAGE=a/b:1 "$setting"
    refused "${setting%%=*}=\"" generate IMAGE=a/b:1 -- --set "$setting"
  done
  [ ! -e generated ]
}

case_a_refusal_says_what_is_accepted() {
  refused 'IMAGE_PARSER="docker": expected dot or distribution' generate IMAGE=a/b:1 IMAGE_PARSER=docker
  refused 'IMAGE_PULL_SECRET="a..b": expected names of Secrets' generate IMAGE=a/b:1 IMAGE_PULL_SECRET=regcred,a..b
  refused 'REGISTRY="r.example:0": expected host[:port][/path]' generate IMAGE=a/b:1 REGISTRY=r.example:0
  refused 'REGISTRY_MAP="docker.io": expected source=target' generate IMAGE=a/b:1 REGISTRY_MAP=docker.io
  refused 'MAX_BODY_BYTES="1073741825": expected a whole number from 1 to 1073741824' generate IMAGE=a/b:1 MAX_BODY_BYTES=1073741825
  refused 'PORT="443": expected a whole number from 1024 to 65535 (not every node' generate IMAGE=a/b:1 PORT=443
  refused 'HEALTH_PORT="0": expected a whole number from 1024 to 65535 (' generate IMAGE=a/b:1 HEALTH_PORT=0
  refused 'they must differ' generate IMAGE=a/b:1 PORT=9000 HEALTH_PORT=9000
  refused 'they must differ' generate IMAGE=a/b:1 PORT=8080
}

case_rules_that_contradict_each_other_are_named() {
  refused 'the target docker.io/x is matched again by the source Docker.io:443, a loop' generate IMAGE=a/b:1 REGISTRY_MAP=Docker.io:443=docker.io/x
  refused 'the source a.b is named twice' generate IMAGE=a/b:1 REGISTRY_MAP=a.b=c.d,A.b=e.f
  refused 'the source * is named twice' generate IMAGE=a/b:1 'REGISTRY_MAP=*=c.d,*=c.d'
  refused 'REGISTRY_MAP="*=q.example": REGISTRY="r.example" is another fallback' generate IMAGE=a/b:1 REGISTRY=r.example 'REGISTRY_MAP=*=q.example'
}

case_check_prints_the_settings_as_the_webhook_reads_them_and_writes_nothing() {
  generate IMAGE=a/b:1 REGISTRY_MAP=$'\n ghcr.io = r.example/g ,\n*=r.example,\n' IMAGE_PULL_SECRET=' a , b,a' FORCE_IMAGE_PULL_POLICY=' Yes ' LOG_LEVEL=WARN PORT=' +09443' IMAGE_PARSER=' ' -- --check > checked
  printf '%s\n' 'REGISTRY_MAP=ghcr.io=r.example/g,*=r.example' IMAGE_PULL_SECRET=a,b FORCE_IMAGE_PULL_POLICY=true LOG_LEVEL=warn PORT=9443 > expected
  diff expected checked
  refused 'REGISTRY="a..b"' generate IMAGE=a/b:1 REGISTRY=a..b -- --check
  refused 'IMAGE is not set' generate -- --check
  echo content > file
  refused 'OUT="file": not a folder' generate IMAGE=a/b:1 OUT=file -- --check
  [ ! -e generated ]
}

case_what_the_manifests_fix_is_refused() {
  refused 'TLS_CERT_FILE="/x": the manifests need it to be "/run/secrets/tls/webhook-server-tls.crt"' generate IMAGE=a/b:1 TLS_CERT_FILE=/x
  refused 'TLS_KEY_FILE="/x": the manifests need' generate IMAGE=a/b:1 -- --set TLS_KEY_FILE=/x
  refused 'TLS_SELF_SIGNED="true": the manifests need it to be "false"' generate IMAGE=a/b:1 TLS_SELF_SIGNED=true
  generate IMAGE=a/b:1 REGISTRY=r.example TLS_SELF_SIGNED=false TLS_CERT_FILE=/run/secrets/tls/webhook-server-tls.crt
  lacks generated/30-deployment.yaml TLS_
}

case_unknown_options_and_settings_are_named() {
  refused '--set REGISTRI: no such setting; there are: MODE REGISTRY REGISTRY_MAP' generate IMAGE=a/b:1 -- --set REGISTRI=x
  refused '--set PATH: no such setting' generate IMAGE=a/b:1 -- --set PATH=/x
  refused '--set PORT HEALTH_PORT: no such setting' generate IMAGE=a/b:1 -- --set 'PORT HEALTH_PORT=9000'
  refused '--set REGISTRY: expected NAME=VALUE' generate IMAGE=a/b:1 -- --set REGISTRY
  refused '--registry: no such option; --help lists them' generate IMAGE=a/b:1 -- --registry x
  refused 'x: no such option' generate IMAGE=a/b:1 -- x
  refused '--image: expected a value after it' generate -- --image
  [ ! -e generated ]
}

case_help_says_how_and_writes_nothing() {
  generate -- --help > long
  generate -- -h > short
  same long short
  for word in --image --namespace --replicas --out --failure-policy --register --deployment-pull-secret --controller --set --days --renew --renew-ca --check; do grep -qF -e "  $word" long; done
  [ ! -e generated ]
}
