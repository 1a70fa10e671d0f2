# shellcheck shell=bash
# What tests/images/run is made of; sourced in the repository's root. Moves to a scratch folder, which is removed at
# the end, as are the registries.

set -euo pipefail

scratch=$(mktemp -d)
declare -A pids=()
root=$PWD
# Everything that the program has said so far.
touch "$scratch/said"
finish() {
  local pid
  for pid in "${pids[@]}"; do stop "$pid"; done
  cd "$root"
  rm -rf "$scratch"
}
trap finish EXIT
cd "$scratch"
unset REGISTRY REGISTRY_MAP REGISTRY_AUTH_FILE IMAGE_PULL_SECRET

step() { echo "--- $*"; }
die() { fail "$*"; }

# status WANTED COMMAND...: it ends with that, its output is in `out` and `err`.
status() {
  local wanted=$1 is=0
  shift
  "$@" >out 2>err || is=$?
  cat out err >>said
  ((is == wanted)) || die "$*: exit status $is and not $wanted: $(cat out err)"
}

# counts STATE N: so many lines of the table have it.
counts() {
  local is
  is=$(grep -cE "  $1(:|  )" out || true)
  [[ $is == "$2" ]] || die "$is and not $2 images are $1: $(cat out)"
}

# start_registry NAME PORT [AUTH] [TLS]: and waits until it answers; AUTH and TLS are parts of its configuration.
start_registry() {
  local name=$1 port=$2 auth=${3-} tls=${4-} deadline=$((SECONDS + 20))
  cat >"$name.yml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $PWD/$name}}
http: {addr: 127.0.0.1:$port, tls: ${tls:-{\}}}
$auth
YAML
  docker-registry serve "$name.yml" >"$name.log" 2>&1 &
  pids[$name]=$!
  until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    kill -0 "${pids[$name]}" 2>/dev/null || die "the registry $name ended: $(cat "$name.log")"
    ((SECONDS < deadline)) || die "the registry $name does not answer: $(cat "$name.log")"
    sleep 0.1
  done
}

# make_image FOLDER: a layout with one image of one layer.
make_image() {
  local blobs=$1/blobs/sha256 layer config manifest
  mkdir -p "$blobs" empty
  printf '{"imageLayoutVersion": "1.0.0"}' >"$1/oci-layout"
  tar --create --file=layer.tar --directory=empty .
  layer=$(blob "$blobs" layer.tar)
  printf '{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["%s"]}}' "${layer%% *}" >config.json
  config=$(blob "$blobs" config.json)
  printf '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": %s, "layers": [%s]}' \
    "$(descriptor application/vnd.oci.image.config.v1+json "$config")" \
    "$(descriptor application/vnd.oci.image.layer.v1.tar "$layer")" >manifest.json
  manifest=$(blob "$blobs" manifest.json)
  printf '{"schemaVersion": 2, "manifests": [%s]}' "$(descriptor application/vnd.oci.image.manifest.v1+json "$manifest")" >"$1/index.json"
}

# blob FOLDER FILE: puts it there, and prints its digest and size.
blob() {
  local digest
  digest=$(sha256sum "$2" | cut -d' ' -f1)
  cp "$2" "$1/$digest"
  echo "sha256:$digest $(stat --format=%s "$2")"
}

descriptor() { printf '{"mediaType": "%s", "digest": "%s", "size": %s}' "$1" "${2% *}" "${2#* }"; }

# login HOST PASSWORD: as `docker login` writes it.
login() { printf '{"auths": {"%s": {"auth": "%s"}}}' "$1" "$(printf 'puller:%s' "$2" | base64 --wrap=0)"; }
