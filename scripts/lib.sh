# shellcheck shell=bash
# What scripts/try and scripts/test share; sourced, in the repository's root.

# say TEXT..., fail TEXT...: on standard error, as the script that runs.
say() { echo "${0##*/}: $*" >&2; }
fail() {
  say "$@"
  exit 1
}

# seconds_of N: "7 s", "3 min 5 s"
seconds_of() {
  if (($1 < 60)); then echo "$1 s"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi
}

# need COMMAND:PACKAGE...: each command that is missing is installed from its Debian package where that is possible
# (root, apt-get), and named otherwise. All at once, so that nobody mends one to hear of the next.
need() {
  local pair packages=()
  for pair; do
    command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
  done
  ((${#packages[@]})) || return 0
  # One pair may name several packages (`gcc+libc6-dev`).
  IFS=+ read -ra packages <<<"$(IFS=+; echo "${packages[*]}")"
  if ! command -v apt-get >/dev/null || (($(id -u) != 0)); then
    fail "missing: ${packages[*]}. Install them (Debian: sudo apt-get install ${packages[*]}) and run this again."
  fi
  say "installing ${packages[*]}"
  { # nothing that is there gives way for it
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends --no-remove "${packages[@]}"
  } </dev/null >/dev/null || fail "apt-get could not install ${packages[*]}: see above"
}

# need_faketime: installs libfaketime where that can be done. Where it cannot, who needs it says so.
need_faketime() {
  if [[ $(uname) == Linux && $(id -u) == 0 ]] && command -v apt-get >/dev/null; then need faketime:faketime; fi
}

# at_least WANTED IS: whether version IS is WANTED or newer; both are numbers with dots.
at_least() {
  local -a wanted is
  local i
  IFS=. read -ra wanted <<<"$1"
  IFS=. read -ra is <<<"${2%%[!0-9.]*}"
  for i in "${!wanted[@]}"; do
    ((${is[i]:-0} == wanted[i])) || { ((${is[i]:-0} > wanted[i])); return; }
  done
}

# need_rust: cargo must be there and new enough. A toolchain is nothing that a script should bring along unasked.
need_rust() {
  local wanted is
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin
  command -v cargo >/dev/null || fail "cargo is missing. Install Rust $wanted or newer (https://rustup.rs) and run this again."
  is=$(cargo --version </dev/null | cut -d' ' -f2)
  at_least "$wanted" "$is" || fail "cargo $is is too old. Install Rust $wanted or newer ('rustup update stable') and run this again."
}

# free_port: prints a TCP port of 127.0.0.1 that nothing listens on, below those that the system hands out itself.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# stop PID: ends a process that this script started, and waits for it.
stop() {
  kill "$1" 2>/dev/null || return 0
  wait "$1" 2>/dev/null || true
}

# cargo_version: prints the version that Cargo.toml gives to pullgate.
cargo_version() { sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1; }

# static_binary: compiles pullgate as the Dockerfile's builder stage does, for this machine, and prints the binary's path.
# The flags are read from the Dockerfile, and that it compiles by this command is checked.
static_binary() {
  local flags host
  flags=$(sed -n 's/^ENV RUSTFLAGS="\(.*\)"$/\1/p' Dockerfile)
  [[ -n $flags ]] || fail "Dockerfile has no line ENV RUSTFLAGS=\"…\""
  grep -qF "cargo build --release --locked --target" Dockerfile || fail "Dockerfile compiles by another command than $0"
  host=$(rustc -vV | sed -n 's/^host: //p')
  # In a command substitution `set -e` does not hold.
  RUSTFLAGS=$flags cargo build --release --locked --target "$host" </dev/null >&2 || fail "pullgate does not compile"
  echo "${CARGO_TARGET_DIR:-target}/$host/release/pullgate"
}
