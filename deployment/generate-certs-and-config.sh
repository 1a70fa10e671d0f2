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
  --deployment-pull-secret NAME   Secret, in that namespace, with which the webhook's own image is pulled

Other options:
  --set NAME=VALUE                a setting of the webhook; wins over the variable NAME, empty unsets it
  --days N                        days that a new certificate is valid (365)
  --renew                         issue a new certificate from the same CA
  --renew-ca                      issue a new CA too; the one before it stays trusted
  --check                         write nothing; refuse what would be refused, else print the settings as they
                                  would reach the webhook
  -h, --help                      this text

Settings of the webhook, each taken from --set or from the variable of its name:
USAGE
  setting_names | fold -s -w 96 | sed 's/^/  /'
  cat <<'USAGE'

A second run keeps the CA, and the certificate while it is valid for the namespace: the same input
makes the same files. Private keys stay in FOLDER/certs, which `kubectl apply -f FOLDER` does not read.
USAGE
}

fail() { echo "generate-certs-and-config.sh: $*" >&2; exit 1; }
warn() { echo "generate-certs-and-config.sh: warning: $*" >&2; }

# --- settings and parameters -------------------------------------------------------------------------

# The webhook's settings, as lines for settings.awk. They are checked here too because a webhook that refuses its
# settings never starts, and under failurePolicy Fail no Pod would either. The ports are less free than there.
settings() {
  cat <<SETTINGS
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
PORT number 1024 65535 (not every node lets a container that is not root bind a lower port)
HEALTH_PORT number 1024 65535 (no lower one, see PORT, and not off, since the probes ask it)
SETTINGS
}

# The names alone, on one line.
setting_names() { settings | awk '{ printf "%s%s", separator, $1; separator = " " } END { print "" }'; }

# --set NAME=VALUE becomes the variable NAME.
set_setting() {
  local name=${1%%=*}
  [[ $1 == *=* ]] || fail "--set $1: expected NAME=VALUE"
  [[ $name =~ ^[A-Z_]+$ && " $(setting_names) TLS_CERT_FILE TLS_KEY_FILE TLS_SELF_SIGNED " == *" $name "* ]] || fail "--set $name: no such setting; there are: $(setting_names)"
  export "$name=${1#*=}"
}

# check NAME VALUE PATTERN WORDS
check() { [[ $2 =~ ^($3)$ ]] || fail "$1=\"${2//[!\ -~]/?}\": expected $4"; }

# Fixed by the manifests, which mount the certificate there.
check_fixed() { [ -z "${!1-}" ] || [ "${!1}" = "$2" ] || fail "$1=\"${!1}\": the manifests need it to be \"$2\"; unset it"; }

# Leaves in each setting what the webhook would read, and makes $given (the names of those that are set) and $env
# (their entries in the Deployment).
read_settings() {
  local checked line name value
  checked=$(settings | awk -f "$here/settings.awk") || fail "${checked:-settings.awk, beside this script, cannot be run}"
  given=''
  while IFS= read -r line; do
    name=${line%%=*} value=${line#*=}
    printf -v "$name" %s "$value"
    [ -z "$value" ] || given="$given $name"
  done <<< "$checked"
  env=$(for name in $given; do printf -- '- name: %s\n  value: "%s"\n' "$name" "${!name}"; done)
  [ "${PORT:-8443}" != "${HEALTH_PORT:-8080}" ] || fail "PORT and HEALTH_PORT are both ${PORT:-8443}: they must differ"
  check_fixed TLS_CERT_FILE /run/secrets/tls/webhook-server-tls.crt
  check_fixed TLS_KEY_FILE /run/secrets/tls/webhook-server-tls.key
  check_fixed TLS_SELF_SIGNED false
}

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
      (--image=* | --namespace=* | --replicas=* | --out=* | --failure-policy=* | --register=* | --deployment-pull-secret=* | --days=* | --set=*) value=${option#*=} option=${option%%=*} ;;
      (--image | --namespace | --replicas | --out | --failure-policy | --register | --deployment-pull-secret | --days | --set)
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
  [ -z "$pull_secret" ] || check DEPLOYMENT_PULL_SECRET "$pull_secret" "$label(\.$label)*" "the name of a Secret"
  check --days "$days" '[1-9][0-9]{0,3}' "a number from 1 to 9999"
  [ -n "$out" ] || fail "OUT is empty: name the folder to write"
  case $out in (-*) out=./$out ;; esac
  check_folder
}

# --- certificates ------------------------------------------------------------------------------------

# Runs openssl silently; shows what it said only when it fails.
ssl() { openssl "$@" 2> "$work/openssl.log" || { cat "$work/openssl.log" >&2; fail "openssl $1 failed"; }; }

new_key() { ssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -pkeyopt ec_param_enc:named_curve -out "$1"; }

# 128 random bits but for the first four, which keep the number positive and its length the same.
new_serial() { echo "0x4$(openssl rand -hex 16 | cut -c 2-32)"; }

# A configuration of our own instead of -addext and -subj: the same with every openssl, with or without an openssl.cnf.
openssl_config() { # COMMON_NAME
  cat <<CONFIG
[req]
prompt = no
distinguished_name = name
[name]
CN = $1
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = DNS:$host, DNS:$host.cluster.local, DNS:pullgate.$namespace, DNS:pullgate
CONFIG
}

# same_key KEY CERTIFICATE
same_key() { [ -s "$1" ] && [ -s "$2" ] && [ "$(openssl pkey -in "$1" -pubout 2> /dev/null)" = "$(openssl x509 -in "$2" -noout -pubkey 2> /dev/null)" ]; }

# In $work/ca.crt the present CA comes first; the one before it follows while it is valid.
issue_ca() {
  local serial
  serial=$(new_serial)
  new_key "$work/ca.key"
  openssl_config "pullgate webhook CA ${serial#0x}" > "$work/ca.cnf"
  ssl req -x509 -new -sha256 -config "$work/ca.cnf" -extensions authority -key "$work/ca.key" -set_serial "$serial" -days 3650 -out "$work/ca.new"
  if openssl x509 -in "$work/ca.crt" -noout -checkend 0 > /dev/null 2>&1; then openssl x509 -in "$work/ca.crt" >> "$work/ca.new"; fi
  mv "$work/ca.new" "$work/ca.crt"
}

issue_certificate() {
  new_key "$work/$key"
  openssl_config pullgate > "$work/server.cnf"
  ssl req -new -sha256 -config "$work/server.cnf" -key "$work/$key" -out "$work/server.csr"
  ssl x509 -req -sha256 -in "$work/server.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -set_serial "$(new_serial)" -days "$days" \
    -extfile "$work/server.cnf" -extensions server -out "$work/$certificate"
}

# Why the certificate in $work cannot stay; empty if it can.
why_reissue() {
  local margin=$((days / 3 < 30 ? days / 3 : 30))
  if [ ! -s "$work/$certificate" ]; then echo "there was none"
  elif [ -n "$renew" ]; then echo "renewed"
  elif ! same_key "$work/$key" "$work/$certificate"; then echo "its private key is another or missing"
  elif ! openssl x509 -in "$work/$certificate" -noout -checkend 0 > /dev/null 2>&1; then echo "it has expired"
  elif ! openssl x509 -in "$work/$certificate" -noout -checkend $((margin * 86400)) > /dev/null 2>&1; then echo "it expires in less than $margin days"
  elif ! openssl x509 -in "$work/$certificate" -noout -text | tr -d ' ' | tr ',' '\n' | grep -qxF "DNS:$host"; then echo "it was for another namespace"
  elif [ "$(openssl verify -CAfile "$work/ca.crt" "$work/$certificate" 2> /dev/null)" != "$work/$certificate: OK" ]; then echo "it is not of this CA"
  fi
}

# Leaves ca.key, ca.crt and the webhook's pair in $work, those of the last run where they still hold.
certificates() {
  local file reason
  for file in ca.key ca.crt "$key" "$certificate"; do
    [ ! -e "$out/certs/$file" ] || cp "$out/certs/$file" "$work/$file" || fail "OUT=\"$out\": certs/$file cannot be read"
  done
  if [ "$renew" = ca ] || [ ! -s "$work/ca.crt" ]; then
    issue_ca
    echo "CA: new, valid 10 years"
  else
    openssl x509 -in "$work/ca.crt" -noout -checkend 0 > /dev/null 2>&1 || fail "$out/certs/ca.crt has expired or is no certificate: --renew-ca issues a new one"
    openssl x509 -in "$work/ca.crt" -noout -checkend $((days * 86400)) > /dev/null 2>&1 || warn "the CA ends before a certificate of $days days does: --renew-ca issues a new one"
    echo "CA: kept"
  fi
  reason=$(why_reissue)
  if [ -n "$reason" ]; then
    same_key "$work/ca.key" "$work/ca.crt" || fail "a new certificate is needed ($reason), but $out/certs/ca.key is missing or not the key of ca.crt: put it back, or use --renew-ca"
    issue_certificate
    echo "certificate: new ($reason), valid $days days for $host"
  else
    echo "certificate: kept, $(openssl x509 -in "$work/$certificate" -noout -enddate | sed 's/notAfter=/valid until /')"
  fi
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
    /^#if / { dropping = (value($2) == ""); next }
    /^#end$/ { dropping = 0; next }
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

# The variables of the templates, from settings, parameters and certificates.
template_variables() {
  local bytes=${MAX_BUFFERED_BYTES:-201326592} # 192 MiB, as the webhook has it
  export namespace replicas image pull_secret failure_policy env
  export tls_crt tls_key ca_bundle port health_port grace_period memory_limit excluded_namespaces pods claims
  tls_crt=$(openssl base64 -A -in "$work/$certificate")
  tls_key=$(openssl base64 -A -in "$work/$key")
  ca_bundle=$(openssl base64 -A -in "$work/ca.crt")
  port=${PORT:-8443}
  health_port=${HEALTH_PORT:-8080}
  # The drain and its hard bound are over before the kubelet kills.
  grace_period=$((${SHUTDOWN_DELAY_SECONDS:-10} + ${SHUTDOWN_TIMEOUT_SECONDS:-20} + 5))
  # Twice the bodies that may be in memory at a time: what is decoded from them needs room too.
  memory_limit=$(((bytes + 524287) / 524288))
  [ "$memory_limit" -ge 128 ] || memory_limit=128
  excluded_namespaces=$({ printf '%s\n' "$namespace" kube-system; tr ',' '\n' <<< "$EXCLUDE_NAMESPACES"; } | awk '$0 != "" && !seen[$0]++ { print "- \"" $0 "\"" }')
  # Only what the settings can change is sent to the webhook.
  claims=$DEFAULT_STORAGE_CLASS
  pods=$REGISTRY$REGISTRY_MAP$IMAGE_PULL_SECRET
  [ "$FORCE_IMAGE_PULL_POLICY" != true ] || pods=yes
  if [ -z "$pods$claims" ]; then
    warn "the webhook has nothing to do: set REGISTRY, REGISTRY_MAP, IMAGE_PULL_SECRET, FORCE_IMAGE_PULL_POLICY or DEFAULT_STORAGE_CLASS"
    pods=yes
  fi
}

# manifest NAME: from its template, in $work.
manifest() { fill "$here/$1.yaml.tmpl" > "$work/$1.yaml"; }

# The registration is a manifest like the others, or what a Job is given to apply when a replica is ready.
manifests() {
  export registration='' checksum=''
  manifest 10-namespace
  manifest 20-certificate
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
  local file
  for file in ca.key ca.crt "$key" "$certificate"; do [ ! -e "$work/$file" ] || mv -f "$work/$file" "$out/certs/$file"; done
  # What only the other way to register has.
  if [ "$register" = when-ready ]; then
    rm -f "$out/40-webhook-configuration.yaml"
    mkdir -p "$out/registration"
    mv -f "$work/$registration_file" "$out/$registration_file"
  elif [ -e "$out/40-register.yaml" ]; then
    rm -f "$out/40-register.yaml" "$out/$registration_file"
    rmdir "$out/registration" 2> /dev/null || true
    warn "the way to register has changed: what was for the Job stays in the cluster; docs/install.md says how it is removed"
  fi
  for file in "$work"/*.yaml; do mv -f "$file" "$out/"; done
}

image=${IMAGE-} namespace=${NAMESPACE:-pullgate} replicas=${REPLICAS:-2} out=${OUT-generated}
failure_policy=${FAILURE_POLICY:-Fail} register=${REGISTER:-at-once} pull_secret=${DEPLOYMENT_PULL_SECRET-} days=365 renew='' check_only=''
key=webhook-server-tls.key certificate=webhook-server-tls.crt registration_file=registration/webhook-configuration.yaml
read_options "$@"
check_parameters
read_settings
if [ -n "$check_only" ]; then
  for name in $given; do printf '%s=%s\n' "$name" "${!name}"; done
  exit
fi
host=pullgate.$namespace.svc
command -v openssl > /dev/null || fail "openssl is not installed: it makes the certificates"
open_folder
certificates
template_variables
manifests
move_into_place
echo "settings:${given:- none}"
echo "manifests: $out, for kubectl apply -f"
