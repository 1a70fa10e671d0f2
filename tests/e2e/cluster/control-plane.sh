# shellcheck shell=bash
# The control plane: certificates, etcd, kube-apiserver, kube-controller-manager. Sourced by scripts/cluster.
# Everything listens on 127.0.0.1 or on a socket in $dir, and needs no root.
# shellcheck disable=SC2154 # $dir and $here are set by scripts/cluster

service_range=10.96.0.0/16
api_service_ip=10.96.0.1

# A cluster is for an hour of tests; whoever keeps one for longer has it made anew by `up`.
certificate_days=2

# free_port: prints a TCP port that nobody listens on. Below the ports that systems give to outgoing connections.
free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# issue NAME SUBJECT server|client: makes pki/NAME.key and pki/NAME.crt, signed by the cluster's own authority.
issue() {
  openssl ecparam -name prime256v1 -genkey -noout -out "pki/$1.key" &&
    openssl req -new -config pki/openssl.cnf -key "pki/$1.key" -subj "$2" -out "pki/$1.csr" &&
    openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -set_serial "0x$(openssl rand -hex 8)" \
      -days $certificate_days -extfile pki/openssl.cnf -extensions "$3" -out "pki/$1.crt" &&
    rm "pki/$1.csr"
}

make_certificates() {
  mkdir pki
  cat >pki/openssl.cnf <<CNF
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[server]
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, IP:$api_service_ip, DNS:localhost, DNS:kubernetes, DNS:kubernetes.default, DNS:kubernetes.default.svc
[client]
extendedKeyUsage = clientAuth
CNF
  openssl ecparam -name prime256v1 -genkey -noout -out pki/ca.key &&
    openssl req -x509 -new -config pki/openssl.cnf -extensions authority -key pki/ca.key -subj /CN=pullgate-e2e \
      -days $certificate_days -out pki/ca.crt &&
    openssl ecparam -name prime256v1 -genkey -noout -out pki/service-accounts.key &&
    issue api-server /CN=kube-apiserver server &&
    issue admin /O=system:masters/CN=e2e-admin client &&
    issue controller-manager /CN=system:kube-controller-manager client
}

# print_kubeconfig NAME PORT: prints a kubeconfig for the holder of pki/NAME.crt. It holds all it needs, so it can be copied.
print_kubeconfig() {
  data() { openssl base64 -A -in "pki/$1"; }
  cat <<YAML
apiVersion: v1
kind: Config
clusters:
- name: pullgate-e2e
  cluster: {server: "https://127.0.0.1:$2", certificate-authority-data: $(data ca.crt)}
users:
- name: $1
  user: {client-certificate-data: $(data "$1.crt"), client-key-data: $(data "$1.key")}
contexts:
- name: pullgate-e2e
  context: {cluster: pullgate-e2e, user: $1}
current-context: pullgate-e2e
YAML
}

# api PATH: asks the API server as administrator.
api() { "$dir/bin/kubectl" --kubeconfig "$dir/kubeconfig" --request-timeout 5s get --raw "$1"; }

# start_control_plane PORT [FLAG...]: returns when Pods can be created in the namespace `default`. Expects $dir with bin in it.
# PORT and FLAGs are for the API server.
start_control_plane() {
  local port=$1
  shift
  cd "$dir" || return
  make_certificates >openssl.log 2>&1 || give_up openssl "openssl could not make the certificates"
  print_kubeconfig admin "$port" >kubeconfig
  print_kubeconfig controller-manager "$port" >controller-manager.kubeconfig

  # The data is thrown away, so it need not reach the disk. Sockets instead of ports: nobody else
  # can reach or take them. Their paths are relative for their length is limited; etcd insists on the `:0`, a part of the name.
  start etcd --data-dir "$dir/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls unix://etcd.sock:0 --advertise-client-urls unix://etcd.sock:0 \
    --listen-peer-urls unix://peer.sock:0 --initial-advertise-peer-urls unix://peer.sock:0 --initial-cluster default=unix://peer.sock:0
  wait_for etcd 60 "socket of etcd" test -S etcd.sock:0

  # Aggregator routing makes the Service of a webhook resolve through its EndpointSlices, there being no kube-proxy.
  # A loopback address cannot be an endpoint of the Service `kubernetes`, hence no endpoint reconciler.
  start kube-apiserver --etcd-servers unix://etcd.sock:0 \
    --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$port" --endpoint-reconciler-type none \
    --tls-cert-file pki/api-server.crt --tls-private-key-file pki/api-server.key --client-ca-file pki/ca.crt \
    --authorization-mode Node,RBAC --allow-privileged --enable-aggregator-routing \
    --service-cluster-ip-range $service_range --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file pki/service-accounts.key --service-account-signing-key-file pki/service-accounts.key \
    --audit-policy-file "$here/audit-policy.yaml" --audit-log-path audit.log "$@"
  wait_for kube-apiserver 120 "ready API server" api /readyz

  if [[ ! -x bin/kube-controller-manager ]]; then
    say "no kube-controller-manager among the binaries: no ServiceAccounts are made (a Pod needs one), no Pods of Deployments, Jobs and the like"
    return
  fi
  # Its usual 20 calls a second would make each start 4 s slower, and the tests wait for its Pods.
  start kube-controller-manager --kubeconfig controller-manager.kubeconfig --use-service-account-credentials \
    --leader-elect=false --secure-port 0 --kube-api-qps 500 --kube-api-burst 1000 --flex-volume-plugin-dir "$dir/volume-plugins" \
    --root-ca-file pki/ca.crt --service-account-private-key-file pki/service-accounts.key \
    --cluster-signing-cert-file pki/ca.crt --cluster-signing-key-file pki/ca.key
  wait_for kube-controller-manager 120 "ServiceAccount in the namespace default" api /api/v1/namespaces/default/serviceaccounts/default
}
