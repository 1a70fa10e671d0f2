#!/usr/bin/env bash
# Writes certificates and manifests from the templates beside this file. Made for bash 3.2 and any openssl
# (OpenSSL 1.1 and 3, LibreSSL), with POSIX tools and nothing else: it runs on macOS as it is.
set -euo pipefail
export LC_ALL=C
umask 077
unset CDPATH
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'USAGE'
Usage: generate-certs-and-config.sh [options]

Writes a CA, a certificate and the manifests of the pullgate webhook, ready for `kubectl apply -f`:

  REGISTRY=registry.example IMAGE_PULL_SECRET=regcred IMAGE=registry.example/infra/pullgate:1 \
    deployment/generate-certs-and-config.sh && kubectl apply -f generated/

Options that may also be given as a variable (IMAGE, NAMESPACE, REPLICAS, OUT, ...):
  --image IMAGE                   image of the webhook (required)
  --namespace NAME                namespace for the webhook and nothing else (pullgate)
  --replicas N                    replicas (2)
  --out FOLDER                    where to write, relative to the current folder (generated)
  --failure-policy Fail|Ignore    what becomes of a Pod while no replica answers (Fail)
  --register at-once|when-ready   by `kubectl apply` itself, or by a Job that waits for a replica (at-once)
  --deployment-pull-secret NAME   Secret, in that namespace, with which pullgate's own image is pulled
  --controller no|yes|only        also the controller, which puts a pull secret into namespaces; or that alone (no)
  --resources no|yes              also what the controller may do for ImagePullSecret resources (no)
  --certificates script|self-managed|cert-manager|csr
                                  who issues and renews the certificate: you, by this script; pullgate's controller, by
                                  an authority of its own or by requests to CERTIFICATES_SIGNER_NAME; or cert-manager
                                  (script)

Other options:
  --set NAME=VALUE                a setting; wins over the variable NAME, empty unsets it
  --days N                        days that a new certificate is valid (365)
  --renew                         issue a new certificate from the same CA
  --renew-ca                      issue a new CA too; the one before it stays trusted
  --check                         write nothing; refuse what would be refused, else print the settings as they
                                  would reach webhook and controller
  -h, --help                      this text

Settings of the webhook, each taken from --set or from the variable of its name:
USAGE
  names_of settings | fold -s -w 96 | sed 's/^/  /'
  cat <<'USAGE'

Those of the controller, and of both, likewise:
USAGE
  names_of controller_settings | fold -s -w 96 | sed 's/^/  /'
  cat <<'USAGE'

Those of the controller for certificates, likewise:
USAGE
  names_of certificates_settings | fold -s -w 96 | sed 's/^/  /'
  cat <<'USAGE'

A second run keeps the CA, and the certificate while it is valid for the namespace: the same input
makes the same files. Private keys stay in FOLDER/certs, which `kubectl apply -f FOLDER` does not read.
USAGE
}

# shellcheck source=deployment/certificates.sh
source "$here/certificates.sh"

fail() { echo "generate-certs-and-config.sh: $*" >&2; exit 1; }
warn() { echo "generate-certs-and-config.sh: warning: $*" >&2; }

# --- settings and parameters -------------------------------------------------------------------------

# The webhook's settings, as lines for settings.awk. They are checked here too because a webhook that refuses its
# settings never starts, and under failurePolicy Fail no Pod would either. The ports are less free than there.
settings() {
  cat <<SETTINGS
MODE word enforce audit
REGISTRY registry
REGISTRY_MAP pairs
IGNORED_REGISTRIES registries
IMAGE_PARSER word dot distribution
IMAGE_PULL_SECRET secrets
IMAGE_PULL_SECRET_APPEND boolean
FORCE_IMAGE_PULL_POLICY boolean
IMAGE_PULL_POLICY_TO_FORCE word Always IfNotPresent Never
DEFAULT_STORAGE_CLASS class
STORAGE_CLASS_MODE word default force
EXCLUDE_NAMESPACES namespaces
LOG_LEVEL any_case trace debug info warn error fatal
LOG_FORMAT any_case text json
SHUTDOWN_DELAY_SECONDS number 0 3600
SHUTDOWN_TIMEOUT_SECONDS number 0 3600
MAX_BODY_BYTES number 1 1073741824
MAX_BUFFERED_BYTES number 1 68719476736
CONFIG_TARGET_IMAGE_PULL_SECRET_NAME secret
CONFIG_SERVICE_ACCOUNTS accounts
CONFIG_ALL_SERVICE_ACCOUNTS boolean
CONFIG_EXCLUDE_NAMESPACES namespaces
CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME secret
CONFIG_SOURCE_IMAGE_PULL_SECRET_NAMESPACE namespace
CONFIG_IGNORE_SECRET_CREATION_ERROR boolean
PORT number 1024 65535 (not every node lets a container that is not root bind a lower port)
HEALTH_PORT number 1024 65535 (no lower one, see PORT, and not off, since the probes ask it)
SETTINGS
}

# The controller's. It has others, but neither a file nor a literal with credentials belongs into these manifests.
controller_settings() {
  cat <<CONTROLLER_SETTINGS
CONFIG_SECRETNAME secret
CONFIG_SECRET_NAMESPACE namespace
CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME secret
CONFIG_SERVICEACCOUNTS accounts
CONFIG_ALLSERVICEACCOUNT boolean
CONFIG_EXCLUDED_NAMESPACES namespaces
CONFIG_FORCE boolean
CONFIG_MANAGEDONLY boolean
LOG_LEVEL any_case trace debug info warn error fatal
LOG_FORMAT any_case text json
HEALTH_PORT number 1024 65535 (the probes ask it)
CONTROLLER_SETTINGS
}

# Those of the controller that are about the webhook's certificate.
certificates_settings() {
  cat <<CERTIFICATES_SETTINGS
CERTIFICATES_VALIDITY duration
CERTIFICATES_CA_VALIDITY duration
CERTIFICATES_OVERLAP duration
CERTIFICATES_SIGNER_NAME signer
CERTIFICATES_SETTINGS
}

# What the webhook calls a setting of the controller.
counterpart() {
  case $1 in
    (CONFIG_SECRETNAME) echo CONFIG_TARGET_IMAGE_PULL_SECRET_NAME ;;
    (CONFIG_SECRET_NAMESPACE) echo CONFIG_SOURCE_IMAGE_PULL_SECRET_NAMESPACE ;;
    (CONFIG_SERVICEACCOUNTS) echo CONFIG_SERVICE_ACCOUNTS ;;
    (CONFIG_ALLSERVICEACCOUNT) echo CONFIG_ALL_SERVICE_ACCOUNTS ;;
    (CONFIG_EXCLUDED_NAMESPACES) echo CONFIG_EXCLUDE_NAMESPACES ;;
  esac
}

# The names alone, on one line: names_of settings.
names_of() { "$1" | awk '{ printf "%s%s", separator, $1; separator = " " } END { print "" }'; }

# --set NAME=VALUE becomes the variable NAME.
set_setting() {
  local name=${1%%=*} known
  known="$(names_of settings) $(names_of controller_settings) $(names_of certificates_settings)"
  [[ $1 == *=* ]] || fail "--set $1: expected NAME=VALUE"
  [[ $name =~ ^[A-Z_]+$ && " $known TLS_CERT_FILE TLS_KEY_FILE TLS_SELF_SIGNED " == *" $name "* ]] || fail "--set $name: no such setting; there are: $known"
  export "$name=${1#*=}"
}

# check NAME VALUE PATTERN WORDS
check() { [[ $2 =~ ^($3)$ ]] || fail "$1=\"${2//[!\ -~]/?}\": expected $4"; }

# Fixed by the manifests, which mount the certificate there.
check_fixed() { [ -z "${!1-}" ] || [ "${!1}" = "$2" ] || fail "$1=\"${!1}\": the manifests need it to be \"$2\"; unset it"; }

# take LIST: leaves in each of its settings what the program would read, and in $taken the names of those that are set.
take() {
  local checked line name value
  checked=$("$1" | awk -f "$here/settings.awk") || fail "${checked:-settings.awk, beside this script, cannot be run}"
  taken=''
  while IFS= read -r line; do
    name=${line%%=*} value=${line#*=}
    printf -v "$name" %s "$value"
    [ -z "$value" ] || taken="$taken $name"
  done <<< "$checked"
}

# Makes $given (the settings of the webhook) and $controller_given.
read_settings() {
  given='' controller_given=''
  take settings
  [ "$controller" = only ] || given=$taken
  [ "${PORT:-8443}" != "${HEALTH_PORT:-8080}" ] || fail "PORT and HEALTH_PORT are both ${PORT:-8443}: they must differ"
  check_fixed TLS_CERT_FILE "/run/secrets/tls/$certificate"
  check_fixed TLS_KEY_FILE "/run/secrets/tls/$key"
  check_fixed TLS_SELF_SIGNED false
  # Where they are called otherwise than the webhook expects.
  if [ "$certificates" = cert-manager ]; then
    export TLS_CERT_FILE=/run/secrets/tls/$certificate TLS_KEY_FILE=/run/secrets/tls/$key
    given="$given TLS_CERT_FILE TLS_KEY_FILE"
  fi
  [ "$controller" = no ] || read_controller_settings
  [ -z "$keeps_certificates" ] || read_certificates_settings
}

# Without pull secrets, what is not about them is left.
read_certificates_settings() {
  local name common="LOG_LEVEL LOG_FORMAT HEALTH_PORT"
  export PULL_SECRETS=true
  if [ "$controller" = no ]; then
    PULL_SECRETS=false
    controller_given=' PULL_SECRETS'
    for name in $common; do [ -z "${!name}" ] || controller_given="$controller_given $name"; done
  fi
  take certificates_settings
  [ "$certificates" != csr ] || [ -n "$CERTIFICATES_SIGNER_NAME" ] || fail "CERTIFICATES=\"csr\": a signer has to be named; expected CERTIFICATES_SIGNER_NAME with it, such as example.com/webhooks"
  [ "$certificates" = csr ] || [ -z "$CERTIFICATES_SIGNER_NAME" ] || fail "CERTIFICATES_SIGNER_NAME=\"$CERTIFICATES_SIGNER_NAME\": nobody is asked with CERTIFICATES=\"$certificates\"; expected CERTIFICATES=csr with it"
  # Not exported before: CERTIFICATES is a parameter here.
  CERTIFICATES=$certificates
  controller_given="$controller_given CERTIFICATES$taken"
}

# What webhook and controller have to agree about needs to be said only once, under either name.
read_controller_settings() {
  local name other
  take controller_settings
  for name in $(names_of controller_settings); do
    other=$(counterpart "$name")
    [ -n "$other" ] || continue
    [ -z "${!name}" ] || [ -z "${!other}" ] || [ "${!name}" = "${!other}" ] || fail "$name=\"${!name}\": $other=\"${!other}\" is the same setting; expected one of them, or the same value"
    if [ -z "${!name}" ]; then
      printf -v "$name" %s "${!other}"
    elif [ -z "${!other}" ] && [ -n "$CONFIG_TARGET_IMAGE_PULL_SECRET_NAME" ] && [ -n "$given" ]; then
      printf -v "$other" %s "${!name}"
      given="$given $other"
    fi
  done
  CONFIG_SECRETNAME=${CONFIG_SECRETNAME:-image-pull-secret}
  CONFIG_SECRET_NAMESPACE=${CONFIG_SECRET_NAMESPACE:-$namespace}
  for name in $(names_of controller_settings); do [ -z "${!name}" ] || controller_given="$controller_given $name"; done
}

# The entries of a container's environment.
environment() { for name in $1; do printf -- '- name: %s\n  value: "%s"\n' "$name" "${!name}"; done; }

read_options() {
  local option value
  while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
      (-h | --help) usage; exit ;;
      (--renew) renew=certificate; continue ;;
      (--renew-ca) renew=ca; continue ;;
      (--check) check_only=yes; continue ;;
      (--image=* | --namespace=* | --replicas=* | --out=* | --failure-policy=* | --register=* | --deployment-pull-secret=* | --controller=* | --resources=* | --certificates=* | --days=* | --set=*) value=${option#*=} option=${option%%=*} ;;
      (--image | --namespace | --replicas | --out | --failure-policy | --register | --deployment-pull-secret | --controller | --resources | --certificates | --days | --set)
        [ $# -gt 0 ] || fail "$option: expected a value after it"
        value=$1
        shift ;;
      (*) fail "$option: no such option; --help lists them" ;;
    esac
    case $option in
      (--image) image=$value ;;
      (--namespace) namespace=$value ;;
      (--replicas) replicas=$value ;;
      (--out) out=$value ;;
      (--failure-policy) failure_policy=$value ;;
      (--register) register=$value ;;
      (--deployment-pull-secret) pull_secret=$value ;;
      (--controller) controller=$value ;;
      (--resources) resources=$value ;;
      (--certificates) certificates=$value ;;
      (--days) days=$value ;;
      (--set) set_setting "$value" ;;
    esac
  done
}

check_parameters() {
  local label='[a-z0-9]([-a-z0-9]*[a-z0-9])?'
  [ -n "$image" ] || fail "IMAGE is not set: name the image of the webhook, for example IMAGE=registry.example/infra/pullgate:1"
  check IMAGE "$image" '[A-Za-z0-9][A-Za-z0-9._:/@-]*' "an image such as registry.example/infra/pullgate:1"
  check NAMESPACE "$namespace" '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?' "a namespace: up to 63 of a-z, 0-9 and -, not at its ends"
  case $namespace in
    (default | kube-system | kube-public | kube-node-lease) fail "NAMESPACE=\"$namespace\": expected a namespace for the webhook alone, since no Pod of that namespace is changed and the uninstallation removes it" ;;
  esac
  check REPLICAS "$replicas" '[1-9][0-9]{0,2}' "a number from 1 to 999"
  check FAILURE_POLICY "$failure_policy" 'Fail|Ignore' "Fail or Ignore"
  check REGISTER "$register" 'at-once|when-ready' "at-once or when-ready"
  check CONTROLLER "$controller" 'no|yes|only' "no, yes or only"
  check RESOURCES "$resources" 'no|yes' "no or yes"
  check CERTIFICATES "$certificates" 'script|self-managed|cert-manager|csr' "script, self-managed, cert-manager or csr"
  case $certificates in
    (script) ;;
    (*)
      [ "$controller" != only ] || fail "CERTIFICATES=\"$certificates\": without the webhook there is no certificate; expected CONTROLLER=yes or no with it"
      [ "$register" = at-once ] || fail "CERTIFICATES=\"$certificates\": a Job that registers would take out the authority that others write; expected REGISTER=at-once with it"
      [ -z "$renew" ] || fail "--renew and --renew-ca: nothing to renew with CERTIFICATES=\"$certificates\"; expected CERTIFICATES=script with them" ;;
  esac
  case $certificates in
    (self-managed | csr) keeps_certificates=yes ;;
    (cert-manager) certificate=tls.crt key=tls.key ;;
  esac
  [ "$resources$controller" != yesno ] || fail "RESOURCES=\"yes\": they are looked after by the controller; expected CONTROLLER=yes or CONTROLLER=only with it"
  [ -z "$pull_secret" ] || check DEPLOYMENT_PULL_SECRET "$pull_secret" "$label(\.$label)*" "the name of a Secret"
  check --days "$days" '[1-9][0-9]{0,3}' "a number from 1 to 9999"
  [ -n "$out" ] || fail "OUT is empty: name the folder to write"
  case $out in (-*) out=./$out ;; esac
  check_folder
}

# --- manifests ---------------------------------------------------------------------------------------

# Fills a template: ${name} is the exported variable; alone on its line it may have several lines, each indented alike.
# What stands between `#if name` and `#end` stays when the variable is not empty.
fill() {
  awk '
    function value(name) {
      if (!(name in ENVIRON)) { print FILENAME ": no value for " name > "/dev/stderr"; failed = 1; exit 1 }
      return ENVIRON[name]
    }
    /^#if / { depth++; if (!dropping && value($2) == "") dropping = depth; next }
    /^#end$/ { if (dropping == depth) dropping = 0; depth--; next }
    dropping { next }
    /^ *\$\{[a-z_]+\}$/ {
      match($0, /^ */)
      indent = substr($0, 1, RLENGTH)
      count = split(value(substr($0, RLENGTH + 3, length($0) - RLENGTH - 3)), lines, "\n")
      for (i = 1; i <= count; i++) print indent lines[i]
      next
    }
    {
      rest = $0
      line = ""
      while (match(rest, /\$\{[a-z_]+\}/)) {
        line = line substr(rest, 1, RSTART - 1) value(substr(rest, RSTART + 2, RLENGTH - 3))
        rest = substr(rest, RSTART + RLENGTH)
      }
      print line rest
    }
    END { exit failed }
  ' "$1"
}

# The variables of the templates of the webhook, from settings, parameters and certificates.
webhook_variables() {
  local bytes=${MAX_BUFFERED_BYTES:-201326592} # 192 MiB, as the webhook has it
  export replicas failure_policy env tls_crt tls_key ca_bundle port grace_period memory_limit
  export excluded_namespaces accounts_excluded_namespaces pods claims accounts
  env=$(environment "$given")
  export cert_manager='' host
  tls_crt='' tls_key='' ca_bundle=''
  [ "$certificates" != cert-manager ] || cert_manager=yes
  if [ "$certificates" = script ]; then
    tls_crt=$(openssl base64 -A -in "$work/$certificate")
    tls_key=$(openssl base64 -A -in "$work/$key")
    ca_bundle=$(openssl base64 -A -in "$work/ca.crt")
  fi
  port=${PORT:-8443}
  # The drain and its hard bound are over before the kubelet kills.
  grace_period=$((${SHUTDOWN_DELAY_SECONDS:-10} + ${SHUTDOWN_TIMEOUT_SECONDS:-20} + 5))
  # Twice the bodies that may be in memory at a time: what is decoded from them needs room too.
  memory_limit=$(((bytes + 524287) / 524288))
  [ "$memory_limit" -ge 128 ] || memory_limit=128
  excluded_namespaces=$(list_of "$namespace,kube-system,$EXCLUDE_NAMESPACES")
  accounts_excluded_namespaces=$(list_of "$namespace,${CONFIG_EXCLUDE_NAMESPACES:-kube-system,kube-public}")
  # Only what the settings can change is sent to the webhook.
  claims=$DEFAULT_STORAGE_CLASS
  accounts=$CONFIG_TARGET_IMAGE_PULL_SECRET_NAME
  pods=$REGISTRY$REGISTRY_MAP$IMAGE_PULL_SECRET
  [ "$FORCE_IMAGE_PULL_POLICY" != true ] || pods=yes
  if [ -z "$pods$claims$accounts" ]; then
    warn "the webhook has nothing to do: set REGISTRY, REGISTRY_MAP, IMAGE_PULL_SECRET, FORCE_IMAGE_PULL_POLICY, DEFAULT_STORAGE_CLASS or CONFIG_TARGET_IMAGE_PULL_SECRET_NAME"
    pods=yes
  fi
}

# Those of the templates of the controller.
controller_variables() {
  export controller_replicas controller_env controller_secret='' controller_account='' controller_source='' controller_source_namespace=''
  export pull_secrets='' signer=${CERTIFICATES_SIGNER_NAME-}
  controller_env=$(environment "$controller_given"; printf -- '- name: ENABLE_LEADER_ELECTION\n  value: "true"\n')
  # More than two would only wait.
  controller_replicas=$((replicas < 2 ? replicas : 2))
  [ "$controller" != no ] || return 0
  pull_secrets=yes
  controller_secret=$CONFIG_SECRETNAME
  controller_source_namespace=$CONFIG_SECRET_NAMESPACE
  [ "${CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME:-$CONFIG_SECRETNAME}" = "$CONFIG_SECRETNAME" ] || controller_source=$CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME
  # Where one account is named, rights to all are not needed.
  case $CONFIG_ALLSERVICEACCOUNT${CONFIG_SERVICEACCOUNTS:-default} in
    (true* | *[,*?]*) ;;
    (*) controller_account=${CONFIG_SERVICEACCOUNTS:-default} ;;
  esac
}

# list_of A,B,A: a list of YAML, each once.
list_of() { tr ',' '\n' <<< "$1" | awk '$0 != "" && !seen[$0]++ { print "- \"" $0 "\"" }'; }

# manifest NAME [FILE]: from its template, in $work.
manifest() { fill "$here/$1.yaml.tmpl" > "$work/${2:-$1.yaml}"; }

manifests() {
  export namespace image pull_secret health_port=${HEALTH_PORT:-8080} webhook=''
  [ "$controller" = only ] || webhook=yes
  manifest 10-namespace
  [ -z "$webhook" ] || webhook_manifests
  [ "$controller$keeps_certificates" = no ] || controller_manifests
}

# The registration is a manifest like the others, or what a Job is given to apply when a replica is ready.
webhook_manifests() {
  export registration='' checksum=''
  webhook_variables
  [ "$certificates" != script ] || manifest 20-certificate
  [ "$certificates" != cert-manager ] || manifest 20-cert-manager
  manifest 40-webhook-configuration
  if [ "$register" = when-ready ]; then
    mkdir "$work/registration"
    mv "$work/40-webhook-configuration.yaml" "$work/$registration_file"
    registration=$(cat "$work/$registration_file")
    # Of all that is in the Job: another content, another Job.
    checksum=$({ cat "$here/40-register.yaml.tmpl"; printf '%s\n' "$registration" "$image" "$pull_secret"; } | cksum | cut -d ' ' -f 1)
    manifest 40-register
  fi
  manifest 30-deployment
}

controller_manifests() {
  controller_variables
  manifest 35-controller
  [ -z "$keeps_certificates" ] || manifest 37-certificates
  [ "$controller" != no ] || return 0
  mkdir "$work/uninstall"
  manifest uninstall-controller "$uninstall_file"
  [ "$resources" = yes ] || return 0
  manifest 36-resources
  mkdir "$work/crd"
  cp "$here/crd.yaml" "$work/$crd_file"
}

# --- the folder --------------------------------------------------------------------------------------

# Never writes into a folder that holds something else: its .gitignore hides all, and kubectl would apply the rest.
check_folder() {
  if [ -e "$out" ] && [ ! -d "$out" ]; then fail "OUT=\"$out\": not a folder"; fi
  if [ -d "$out" ] && [ "$(cat "$out/.gitignore" 2> /dev/null)" != '*' ] && [ -n "$(ls -A "$out" 2> /dev/null)" ]; then
    fail "OUT=\"$out\": the folder holds something that this script did not write; name a new or an empty one"
  fi
}

open_folder() {
  { mkdir -p "$out" && echo '*' > "$out/.gitignore" && mkdir -p "$out/certs" && work=$(mktemp -d "$out/.new.XXXXXX"); } 2> /dev/null || fail "OUT=\"$out\": cannot be written"
  trap 'rm -rf "$work"' EXIT
}

# All is made in $work first and then renamed into place, so that a run that fails leaves the files of the last one.
move_into_place() {
  local file left=''
  for file in ca.key ca.crt "$key" "$certificate"; do [ ! -e "$work/$file" ] || mv -f "$work/$file" "$out/certs/$file"; done
  for file in 10-namespace.yaml 20-certificate.yaml 20-cert-manager.yaml 30-deployment.yaml 35-controller.yaml 36-resources.yaml 37-certificates.yaml 40-register.yaml 40-webhook-configuration.yaml "$registration_file" "$uninstall_file" "$crd_file"; do
    if [ -e "$work/$file" ]; then
      case $file in (*/*) mkdir -p "$out/${file%/*}" ;; esac
      mv -f "$work/$file" "$out/$file"
    elif [ -e "$out/$file" ]; then
      # Of an earlier run with other options.
      rm -f "$out/$file"
      case $file in (*/*) rmdir "$out/${file%/*}" 2> /dev/null || true ;; esac
      left="$left $file"
    fi
  done
  case $left in
    (*30-deployment.yaml*) warn "the webhook is left out: what is in the cluster of it stays; docs/install.md says how it is removed" ;;
    (*40-register.yaml*) warn "the way to register has changed: what was for the Job stays in the cluster; docs/install.md says how it is removed" ;;
  esac
  case $left in (*37-certificates.yaml*) warn "certificates are not kept by the controller any more: its rights to them stay in the cluster, until 'kubectl delete clusterrole,clusterrolebinding pullgate-controller-certificates'" ;; esac
  case $left in (*36-resources.yaml*) warn "the rights for ImagePullSecret resources are left out: those in the cluster stay, until 'kubectl delete clusterrole,clusterrolebinding pullgate-controller-resources'" ;; esac
  case $left in (*35-controller.yaml*) warn "the controller is left out: what is in the cluster of it stays, and so do its copies; docs/install.md says how they are removed" ;; esac
}

image=${IMAGE-} namespace=${NAMESPACE:-pullgate} replicas=${REPLICAS:-2} out=${OUT-generated}
failure_policy=${FAILURE_POLICY:-Fail} register=${REGISTER:-at-once} controller=${CONTROLLER:-no} resources=${RESOURCES:-no} certificates=${CERTIFICATES:-script} keeps_certificates='' pull_secret=${DEPLOYMENT_PULL_SECRET-} days=365 renew='' check_only=''
key=webhook-server-tls.key certificate=webhook-server-tls.crt registration_file=registration/webhook-configuration.yaml uninstall_file=uninstall/controller.yaml crd_file=crd/imagepullsecrets.yaml
read_options "$@"
check_parameters
read_settings
if [ -n "$check_only" ]; then
  # Both have some of them.
  for name in $given $controller_given; do printf '%s=%s\n' "$name" "${!name}"; done | awk '!seen[$0]++'
  exit
fi
host=pullgate.$namespace.svc
# Whether certificates are made here.
makes_certificates() { [ "$certificates" = script ] && [ "$controller" != only ]; }
if makes_certificates; then command -v openssl > /dev/null || fail "openssl is not installed: it makes the certificates"; fi
open_folder
if makes_certificates; then certificates; fi
manifests
move_into_place
echo "settings:${given:- none}"
[ "$controller$keeps_certificates" = no ] || echo "settings of the controller:$controller_given"
[ "$resources" = no ] || echo "the definition of ImagePullSecret, to be applied first: $out/$crd_file"
echo "manifests: $out, for kubectl apply -f"
