# shellcheck shell=bash
# The node: private registries, containerd, kube-scheduler, kubelet. Sourced by scripts/cluster.
#
# The whole cluster then lives in a network, a mount and a process namespace of its own. They end with their first process,
# and with them all other processes, mounts and network interfaces: nothing has to be looked for and undone one by one.
# Within, /run, /var/lib and /var/log are empty and in memory, so that containerd, kubelet and network plugins can have
# their usual folders there, some of which cannot be configured. Two things know no such namespace: cgroups, see
# remove_cgroups, and the kernel's settings that kubelet changes, see node_settings.
# shellcheck disable=SC2154 # $dir, $components and more are set by scripts/cluster

pod_range=10.88.0.0/16
node_address=10.88.0.1 # of the bridge that Pods are attached to
# Likewise. A bridge without one takes that of a Pod, and another when Pods come and go: for seconds, what others send is lost.
node_mac=02:00:0a:58:00:01
registries="registry.example vendor.example" # what their images are called

# registry_of NAME: sets `address` and `user` of a registry, and the `password` that it wants at first.
registry_of() {
  case $1 in
    registry.example) address=127.0.0.1:5000 user=puller password=pullgate-e2e ;;
    vendor.example) address=127.0.0.1:5001 user=customer password=vendor-e2e ;;
    *) fail "'$1' is no registry: give one of $registries" ;;
  esac
}

# cannot WHAT...: ends with a status of its own, so that a caller can tell "not on this machine" from a failure.
cannot() { say "$@"; exit 3; }

# require_node: `cannot` where there can be no node; installs what is missing where that is possible.
require_node() {
  local pair absent=()
  if [[ $(uname) != Linux ]] || (($(id -u) != 0)); then
    cannot "--node makes namespaces and runs containers, which takes root on Linux. Elsewhere use any cluster with nodes:" \
      "KUBECONFIG_E2E=<kubeconfig of kind or k3d>. Without --node there is a control plane, which needs neither."
  fi
  case $dir/ in
    /run/* | /var/run/* | /var/lib/* | /var/log/*) fail "PULLGATE_CLUSTER_DIR=$dir cannot be seen on the node: name a folder outside /run, /var/lib and /var/log" ;;
  esac
  unshare --net --mount --pid --fork --mount-proc true 2>/dev/null ||
    cannot "this root may not make namespaces (a container without --privileged?): use KUBECONFIG_E2E=<kubeconfig of kind or k3d>"
  for pair in ip:iproute2 nsenter:util-linux openssl:openssl containerd:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins \
    docker-registry:docker-registry htpasswd:apache2-utils buildah:buildah busybox:busybox-static; do
    command -v "${pair%%:*}" >/dev/null || absent+=("$pair")
  done
  ((!${#absent[@]})) || (without_services "${absent[@]}")
  runs_alone "$(command -v busybox)" || fail "$(command -v busybox) needs libraries, which images made of it alone lack: install busybox-static"
}

# runs_alone FILE: whether it runs in a folder with nothing else, as in an image FROM scratch.
runs_alone() (
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  cp "$1" "$folder/busybox"
  chroot "$folder" /busybox true 2>/dev/null
)

# without_services PAIR...: as `need`, but the services of these packages do not start, now or when the machine does:
# ours are processes of the cluster. Called in a subshell.
without_services() {
  local pair
  policy=/usr/sbin/policy-rc.d # not local: the trap comes after the function
  if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  need "$@"
  command -v systemctl >/dev/null || return 0
  for pair; do
    case $pair in containerd:* | docker-registry:*) systemctl --quiet disable "${pair#*:}" 2>/dev/null || say "${pair#*:}.service could not be disabled" ;; esac
  done
}

# enter_node: from here on `start` and "${enter[@]}" run commands in the namespaces. Fails if they are gone.
enter_node() {
  local pid
  pid=$(pid_of node) || return
  umask 022 # containers of any user look into what containerd and kubelet create
  enter=(nsenter --target "$pid" --net --mount --pid env --chdir "$dir")
}

# What kubelet writes to /proc/sys of the whole machine unless it reads it there. In the node, files with these values lie over them.
node_settings="vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000"

# make_node BIN: makes $dir/bin of the binaries in BIN and the system's, and the namespaces.
make_node() {
  local name buildah
  mkdir "$dir/bin"
  for name in "$1"/*; do ln -s "$name" "$dir/bin/"; done
  ln -s "$(command -v containerd)" "$dir/bin/"
  for name in $registries; do ln -s "$(command -v docker-registry)" "$dir/bin/$name"; done
  ln -s "$(command -v bash)" "$dir/bin/node"

  enter=(unshare --net --mount --pid --fork --mount-proc)
  # shellcheck disable=SC2016 # to be expanded inside
  start node -c '
    set -e
    for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 pullgate-e2e "$folder"; done
    for setting in $3; do
      [ -e "/proc/sys/${setting%=*}" ] || continue
      file=/run/sys/${setting%=*}
      mkdir -p "${file%/*}"
      echo "${setting#*=}" >"$file"
      mount --bind "$file" "/proc/sys/${setting%=*}"
    done
    ip link set lo up
    ip address add "$4/32" dev lo
    ip link add pods0 address "$5" type bridge
    ip address add "$1" dev pods0
    ip link set pods0 up
    trap exit TERM
    touch "$2/node.ready"
    while :; do sleep 86400 & wait $!; done # as the first process it also buries those whose parents are gone
  ' node "$node_address/${pod_range#*/}" "$dir" "$node_settings" "$api_service_ip" "$node_mac"
  wait_for node 20 "namespaces" test -e "$dir/node.ready"
  enter_node

  # For callers outside: a kubectl that finds the API server, and a buildah whose images go away with the cluster.
  rm "$dir/bin/kubectl"
  cat >"$dir/bin/kubectl" <<SH
#!/bin/sh
exec nsenter --target $(pid_of node) --net "$1/kubectl" "\$@"
SH
  # buildah writes to /run and /var/lib, whatever store it is given: let these be the node's.
  while read -r buildah; do # not that of another cluster whose `env` is in PATH
    [[ -e ${buildah%/bin/buildah}/${marker##*/} ]] || break
  done < <(type -ap buildah)
  cat >"$dir/bin/buildah" <<SH
#!/bin/sh
exec nsenter --target $(pid_of node) --mount --pid env --chdir "\$PWD" "$buildah" "\$@"
SH
  chmod +x "$dir/bin/kubectl" "$dir/bin/buildah"
  # Within, there is nothing to enter.
  mkdir "$dir/within"
  ln -s "$1/kubectl" "$buildah" "$dir/within/"
  printf '[network]\nnetwork_config_dir = "%s"\n' "$dir/images/networks" >"$dir/containers.conf"
  cat >"$dir/storage.conf" <<TOML
[storage]
driver = "vfs"
graphroot = "$dir/images"
runroot = "$dir/images/run"
TOML
}

# For `env` and for commands in the node.
node_environment() {
  printf 'export CONTAINERS_STORAGE_CONF=%q CONTAINERS_CONF=%q BUILDAH_ISOLATION=chroot\n' "$dir/storage.conf" "$dir/containers.conf"
}

# start_registry NAME: and containerd will find it by its name.
start_registry() {
  local address user password folder=registries/$1
  registry_of "$1"
  mkdir -p "$folder"
  set_registry_password "$password" "$1"
  cat >"$folder/config.yml" <<YAML
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $dir/$folder/data}}
http: {addr: "$address"}
auth: {htpasswd: {realm: e2e, path: $dir/$folder/htpasswd}}
YAML
  # Images are named as if the registry had a certificate and a public name.
  cat >"$folder/hosts.toml" <<TOML
server = "http://$address"
[host."http://$address"]
capabilities = ["pull", "resolve"]
TOML
  start "$1" serve "$dir/$folder/config.yml"
  # Asked without a password it refuses, and is up.
  wait_for "$1" 30 "answer of the registry" "${enter[@]}" bash -c ": <>/dev/tcp/${address/://}"
}

# set_registry_password PASSWORD [NAME]: what a registry wants from now on. It reads the file again when that is newer.
set_registry_password() {
  local address user password folder
  registry_of "${2:-registry.example}"
  folder=$dir/registries/${2:-registry.example}
  printf %s "$1" >"$folder/password"
  htpasswd -iBn "$user" <<<"$1" >"$folder/htpasswd.new"
  mv "$folder/htpasswd.new" "$folder/htpasswd"
}

# print_registries: a line of each: name, address, user, the password that it wants now.
print_registries() {
  local name address user password
  for name in $registries; do
    registry_of "$name"
    echo "$name $address $user $(cat "$dir/registries/$name/password")"
  done
}

configure_containerd() {
  mkdir cni
  # AppArmor profiles would stay in the kernel. Not every root may raise the priority of a process over its own (CAP_SYS_RESOURCE).
  cat >containerd.toml <<TOML
version = 2
[plugins."io.containerd.internal.v1.opt"]
path = "/var/lib/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$dir/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "$dir/registries"
TOML
  cat >cni/10-pods.conflist <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{
  "type": "bridge", "bridge": "pods0", "isGateway": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pod_range"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
}

start_containerd() {
  start containerd --config "$dir/containerd.toml"
  wait_for containerd 60 "answer of containerd" "${enter[@]}" ctr version
}

# Every Pod has a container that holds its namespaces and does nothing.
import_pause_image() {
  mkdir pause
  cp "$(command -v busybox)" pause/
  printf 'FROM scratch\nCOPY busybox /\nENTRYPOINT ["/busybox", "sleep", "1000000"]\n' >pause/Dockerfile
  buildah_ build --quiet --tag localhost/pause:1 pause &&
    buildah_ push --quiet localhost/pause:1 docker-archive:pause/image.tar:localhost/pause:1 &&
    "${enter[@]}" ctr --namespace k8s.io images import "$dir/pause/image.tar"
}

buildah_() {
  "${enter[@]}" env CONTAINERS_STORAGE_CONF="$dir/storage.conf" CONTAINERS_CONF="$dir/containers.conf" BUILDAH_ISOLATION=chroot "$dir/within/buildah" "$@"
}

# push_image IMAGE [NAME]: an image of this cluster's own store becomes registry.example/NAME, or NAME where that begins with a registry.
push_image() {
  local address user password name=${2:-${1#localhost/}} file=$dir/push.log
  local registry=${name%%/*}
  [[ " $registries " == *" $registry "* ]] || registry=registry.example
  registry_of "$registry"
  name=${name#"$registry/"}
  buildah_ push --quiet --tls-verify=false \
    --creds "$user:$(cat "$dir/registries/$registry/password")" "$1" "docker://$address/$name" >"$file" 2>&1 || {
    cat "$file" >&2
    fail "'$1' could not be pushed: is it among those of 'eval \"\$(scripts/cluster env)\"; buildah images'?"
  }
  echo "$registry/$name"
}

# The cgroups of all Pods are below one of the cluster's own, in each hierarchy (cgroup v1 has several, v2 one).
cgroup_name=pullgate-e2e-$(cksum <<<"$dir" | cut -d' ' -f1)
cgroup_hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }

make_cgroups() {
  local hierarchy controller controllers
  while read -r hierarchy; do
    # v2: a controller is there in a cgroup only if its parent hands it down.
    if [[ -w $hierarchy/cgroup.subtree_control ]]; then
      read -ra controllers <"$hierarchy/cgroup.controllers" || true
      for controller in "${controllers[@]}"; do
        echo "+$controller" >"$hierarchy/cgroup.subtree_control" || true
      done 2>/dev/null
    fi
    mkdir -p "$hierarchy/$cgroup_name"
    # v1: the share that kubelet gives to all Pods together, which counts one level below this one.
    [[ ! -e $hierarchy/$cgroup_name/cpu.shares ]] || echo $((1024 * $(nproc))) >"$hierarchy/$cgroup_name/cpu.shares"
  done < <(cgroup_hierarchies)
}

# Expects that all processes have been ended; the last of them may take a moment to be gone.
remove_cgroups() {
  local hierarchy deadline=$((SECONDS + 10))
  [[ -e /proc/mounts ]] || return 0
  while read -r hierarchy; do
    [[ -d $hierarchy/$cgroup_name ]] || continue
    until find "$hierarchy/$cgroup_name" -depth -type d -exec rmdir {} + 2>/dev/null; do
      ((SECONDS < deadline)) || fail "$hierarchy/$cgroup_name cannot be removed: a process is left in it"
      sleep 0.1
    done
  done < <(cgroup_hierarchies)
}

configure_kubelet() {
  cat >kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $node_address
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $dir/pki/ca.crt}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup_name
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
resolvConf: ""
volumePluginDir: /var/lib/kubelet/volume-plugins
# The node has no disk of its own to watch, and what it has in memory must not be thrown away.
localStorageCapacityIsolation: false
evictionHard: {memory.available: 100Mi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
# Tests make many Pods at once.
maxPods: 250
kubeAPIQPS: 500
kubeAPIBurst: 1000
registryPullQPS: 0
YAML
}

start_kubelet() {
  start kubelet --config "$dir/kubelet.yaml" --kubeconfig "$dir/kubelet.kubeconfig" --hostname-override node --node-ip $node_address
}

# The kubelet itself is asked too: a node stays Ready for a while when it has gone.
node_is_ready() {
  api /api/v1/nodes/node/proxy/healthz &&
    KUBECACHEDIR=$dir/kubectl-cache "$dir/bin/kubectl" --kubeconfig "$dir/kubeconfig" wait --for=condition=Ready node/node --timeout 1s
}

# start_node: returns when Pods run. Expects the namespaces.
start_node() {
  local name port=443
  # Pods look for the API server at the address and port of the Service `kubernetes`. There being no proxy, it listens there.
  # For logs, exec and attach it asks the kubelet.
  start_control_plane $port --bind-address 0.0.0.0 --kubelet-client-certificate pki/admin.crt --kubelet-client-key pki/admin.key \
    --kubelet-preferred-address-types InternalIP --enable-admission-plugins NodeRestriction
  { issue scheduler /CN=system:kube-scheduler client && issue kubelet /O=system:nodes/CN=system:node:node client; } >>openssl.log 2>&1 ||
    give_up openssl "openssl could not make the certificates"
  print_kubeconfig scheduler $port >scheduler.kubeconfig
  print_kubeconfig kubelet $port >kubelet.kubeconfig

  start kube-scheduler --kubeconfig scheduler.kubeconfig --leader-elect=false --secure-port 0
  for name in $registries; do start_registry "$name"; done
  configure_containerd
  start_containerd
  import_pause_image >pause.log 2>&1 || give_up pause "the image that every Pod needs could not be made"
  configure_kubelet
  make_cgroups
  start_kubelet
  wait_for kubelet 60 "node that is ready" node_is_ready
}

# restart_node: as if its machine's services were restarted; containers go on running meanwhile.
restart_node() {
  local attempt
  stop kubelet
  stop containerd
  start_containerd
  # Where it ends by itself, or hangs, a machine starts its kubelet again. This one does so twice.
  for attempt in 1 2; do
    start_kubelet
    if (wait_for kubelet 60 "node that is ready" node_is_ready); then return 0; fi
    say "the kubelet is started again, after attempt $attempt"
    stop kubelet
  done
  start_kubelet
  wait_for kubelet 60 "node that is ready" node_is_ready
}
