# shellcheck shell=bash
# Certificates: what they are for, when they stay and when they are issued again. Cases for tests/script/run.

case_the_certificate_verifies_for_each_name_of_the_service() {
  local long name
  long=$(printf 'n%.0s' $(seq 63))
  for namespace in pullgate "$long"; do
    generate IMAGE=a/b:1 REGISTRY=r.example NAMESPACE="$namespace"
    for name in pullgate "pullgate.$namespace" "pullgate.$namespace.svc" "pullgate.$namespace.svc.cluster.local"; do
      verify generated/certs/ca.crt generated/certs/webhook-server-tls.crt "$name"
    done
    not verify generated/certs/ca.crt generated/certs/webhook-server-tls.crt pullgate.other.svc 2> /dev/null
  done
  openssl x509 -in generated/certs/webhook-server-tls.crt -noout -text > text
  grep -q 'Public-Key: (256 bit)' text
  grep -q 'CA:FALSE' text
  openssl x509 -in generated/certs/ca.crt -noout -checkend $((3649 * 86400))
  [ "$(openssl x509 -in generated/certs/ca.crt -noout -serial)" != "$(openssl x509 -in generated/certs/webhook-server-tls.crt -noout -serial)" ]
}

case_renew_issues_a_certificate_from_the_same_ca() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp -R generated first
  generate IMAGE=a/b:1 REGISTRY=r.example -- --renew > log
  has log 'CA: kept'
  [ "$(serial first)" != "$(serial generated)" ]
  differ first/certs/webhook-server-tls.key generated/certs/webhook-server-tls.key
  differ first/20-certificate.yaml generated/20-certificate.yaml
  for manifest in 10-namespace 30-deployment 40-webhook-configuration; do same "first/$manifest.yaml" "generated/$manifest.yaml"; done
  same first/certs/ca.crt generated/certs/ca.crt
  verify generated/certs/ca.crt generated/certs/webhook-server-tls.crt pullgate.pullgate.svc
}

case_renew_ca_keeps_the_old_one_trusted() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp -R generated first
  generate IMAGE=a/b:1 REGISTRY=r.example -- --renew-ca
  cp -R generated second
  ca_bundle second | openssl base64 -d -A > bundle
  [ "$(grep -c BEGIN bundle)" -eq 2 ]
  verify bundle first/certs/webhook-server-tls.crt pullgate.pullgate.svc
  verify bundle second/certs/webhook-server-tls.crt pullgate.pullgate.svc
  not verify first/certs/ca.crt second/certs/webhook-server-tls.crt pullgate.pullgate.svc 2> /dev/null
  generate IMAGE=a/b:1 REGISTRY=r.example
  diff -r second generated
  generate IMAGE=a/b:1 REGISTRY=r.example -- --renew
  verify generated/certs/ca.crt generated/certs/webhook-server-tls.crt pullgate.pullgate.svc
  generate IMAGE=a/b:1 REGISTRY=r.example -- --renew-ca
  [ "$(grep -c BEGIN generated/certs/ca.crt)" -eq 2 ]
  not verify generated/certs/ca.crt first/certs/webhook-server-tls.crt pullgate.pullgate.svc 2> /dev/null
}

case_another_namespace_gets_a_certificate_from_the_same_ca() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp -R generated first
  generate IMAGE=a/b:1 REGISTRY=r.example NAMESPACE=gate > log
  has log 'certificate: new (it was for another namespace), valid 365 days for pullgate.gate.svc'
  same first/certs/ca.crt generated/certs/ca.crt
  verify generated/certs/ca.crt generated/certs/webhook-server-tls.crt pullgate.gate.svc
}

case_a_certificate_near_its_end_is_issued_again() {
  generate IMAGE=a/b:1 REGISTRY=r.example -- --days 20
  cp -R generated first
  generate IMAGE=a/b:1 REGISTRY=r.example -- --days 20 > log
  grep -q 'certificate: kept, valid until' log
  diff -r first generated
  generate IMAGE=a/b:1 REGISTRY=r.example > log
  has log 'certificate: new (it expires in less than 30 days), valid 365 days for pullgate.pullgate.svc'
  openssl x509 -in generated/certs/webhook-server-tls.crt -noout -checkend $((364 * 86400))
}

case_a_certificate_without_its_key_is_issued_again() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp generated/certs/ca.key generated/certs/webhook-server-tls.key
  generate IMAGE=a/b:1 REGISTRY=r.example > log
  has log 'certificate: new (its private key is another or missing), valid 365 days for pullgate.pullgate.svc'
  [ "$(openssl pkey -in generated/certs/webhook-server-tls.key -pubout)" = "$(openssl x509 -in generated/certs/webhook-server-tls.crt -noout -pubkey)" ]
}

case_without_the_ca_key_it_goes_on_until_a_certificate_is_needed() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  rm generated/certs/ca.key
  cp -R generated first
  generate IMAGE=a/b:1 REGISTRY=r.example
  diff -r first generated
  refused 'certs/ca.key is missing or not the key of ca.crt' generate IMAGE=a/b:1 REGISTRY=r.example -- --renew
  diff -r first generated
  generate IMAGE=a/b:1 REGISTRY=r.example -- --renew-ca
  verify generated/certs/ca.crt first/certs/webhook-server-tls.crt pullgate.pullgate.svc
}

case_a_ca_that_is_no_certificate_is_named() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  echo broken > generated/certs/ca.crt
  refused 'generated/certs/ca.crt has expired or is no certificate' generate IMAGE=a/b:1 REGISTRY=r.example
  generate IMAGE=a/b:1 REGISTRY=r.example -- --renew-ca
  verify generated/certs/ca.crt generated/certs/webhook-server-tls.crt pullgate.pullgate.svc
}
