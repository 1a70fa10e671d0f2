# shellcheck shell=bash disable=SC2154 # what is not set here is set by the script
# The CA and the webhook's certificate; sourced by generate-certs-and-config.sh.

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
