# shellcheck shell=bash
# Background processes of one cluster, sourced by scripts/cluster.
#
# A component NAME runs as $dir/bin/NAME, writes $dir/NAME.log and has its process id in $dir/NAME.pid. Since that
# path is its own, argument 0 tells it from any other process, also from one that was given a reused process id.
# shellcheck disable=SC2154 # $dir and $components are set by scripts/cluster

# The words before a component's own command line: those that enter the namespaces of a node, where there is one.
enter=()

say() { echo "cluster: $*" >&2; }
fail() { say "$@"; exit 1; }

# argv0_of PID: sets `argv0`, empty when there is no such process. Linux needs no `ps`, which small images lack.
argv0_of() {
  argv0=
  if [[ -d /proc/self ]]; then
    { IFS= read -r -d '' argv0 <"/proc/$1/cmdline"; } 2>/dev/null || true
  else
    argv0=$(ps -ww -p "$1" -o comm= 2>/dev/null) || true
  fi
}

# pid_of NAME: prints the process id of the running component, or fails.
# Looks beyond the pid file because the folder may have been deleted under a running cluster (`cargo clean`).
pid_of() {
  local pid argv0
  for pid in $(cat "$dir/$1.pid" 2>/dev/null) $(ls /proc/*/cmdline 2>/dev/null || ps -A -o pid=); do
    pid=${pid#/proc/} pid=${pid%/cmdline}
    argv0_of "$pid"
    if [[ $argv0 == "$dir/bin/$1" ]]; then
      echo "$pid"
      return 0 # spelled out: a bare `return` under an EXIT trap returns the status of the exit
    fi
  done
  return 1
}

# start NAME ARGUMENT...: starts the component in $dir, in a process group of its own so that a Ctrl-C meant for the
# caller does not reach it, and without the proxies of the environment, which are not for calls within a cluster.
start() {
  local name=$1
  shift
  set -m
  (
    cd "$dir" || exit
    trap '' HUP
    unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy
    exec ${enter[@]+"${enter[@]}"} "$dir/bin/$name" "$@"
  ) </dev/null >"$dir/$name.log" 2>&1 &
  set +m
  disown
  echo $! >"$dir/$name.pid"
  until pid_of "$name" >/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.02; done # until exec is through
}

# stop NAME: ends the component, and fails if it cannot. Does nothing when it is not running.
stop() {
  local pid signal patience deadline
  for signal in TERM KILL; do
    # A killed process still ends what it waits for of a disk.
    case $signal in TERM) patience=5 ;; KILL) patience=30 ;; esac
    pid=$(pid_of "$1") || return 0
    kill -"$signal" "$pid" 2>/dev/null || true
    deadline=$((SECONDS + patience))
    while ((SECONDS < deadline)); do
      pid_of "$1" >/dev/null || return 0
      sleep 0.05
    done
  done
  fail "$1 (process $pid) does not end"
}

# give_up NAME WHAT...: fails with WHAT and the end of the component's log.
give_up() {
  local name=$1
  shift
  say "$*. The end of $dir/$name.log:"
  tail -n 20 "$dir/$name.log" | cut -c1-400 >&2
  exit 1
}

# wait_for NAME SECONDS WHAT COMMAND...: waits until COMMAND succeeds. NAME is the component whose work that is.
# Fails at the deadline, and at once when a started component has ended.
wait_for() {
  local name=$1 deadline=$((SECONDS + $2)) seconds=$2 what=$3 component
  shift 3
  until "$@" >/dev/null 2>&1; do
    for component in $components; do
      if [[ -e $dir/$component.pid ]] && ! pid_of "$component" >/dev/null; then
        give_up "$component" "$component ended while waiting for $what"
      fi
    done
    ((SECONDS < deadline)) || give_up "$name" "no $what after $seconds s: $name is at fault"
    sleep 0.2
  done
}
