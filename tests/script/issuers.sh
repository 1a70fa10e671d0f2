# shellcheck shell=bash disable=SC2154 # root is that of run
# Who issues the certificate: this script or somebody else. Cases for tests/script/run.

case_certificates_are_made_by_the_script_unless_somebody_else_is_named() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  mv generated made
  generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=script
  (cd made && ls) > before
  (cd generated && ls) > after
  diff before after
  generate IMAGE=a/b:1 REGISTRY=r.example -- --certificates self-managed
  generate IMAGE=a/b:1 REGISTRY=r.example OUT=other -- --certificates=self-managed
  diff generated/40-webhook-configuration.yaml other/40-webhook-configuration.yaml
}

case_what_the_controller_keeps_needs_no_openssl_and_no_authority() {
  tools_only
  generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=self-managed
  [ ! -e generated/20-certificate.yaml ]
  lacks generated/40-webhook-configuration.yaml caBundle
  has generated/40-webhook-configuration.yaml '  - name: pods.pullgate.svc'
  has generated/37-certificates.yaml '    resourceNames: [pullgate-tls, pullgate-ca]'
  lacks generated/37-certificates.yaml certificatesigningrequests
}

case_without_pull_secrets_the_controller_gets_no_right_to_them() {
  generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=self-managed CONFIG_SECRETNAME=regcred LOG_LEVEL=debug
  [ "$(grep -x -A1 '            - name: PULL_SECRETS' generated/35-controller.yaml | tail -n 1)" = '              value: "false"' ]
  [ "$(grep -x -A1 '            - name: CERTIFICATES' generated/35-controller.yaml | tail -n 1)" = '              value: "self-managed"' ]
  has generated/35-controller.yaml '            - name: LOG_LEVEL'
  lacks generated/35-controller.yaml CONFIG_
  lacks generated/35-controller.yaml 'resources: [secrets]'
  lacks generated/35-controller.yaml 'kind: ClusterRole'
  [ ! -e generated/uninstall ]
  generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=self-managed CONTROLLER=yes CONFIG_SECRETNAME=regcred
  lacks generated/35-controller.yaml PULL_SECRETS
  has generated/35-controller.yaml '    resources: [secrets]'
}

case_the_settings_of_certificates_reach_the_controller() {
  local setting settings=(CERTIFICATES_VALIDITY=720h CERTIFICATES_CA_VALIDITY=8760h30m CERTIFICATES_OVERLAP=1.5h CERTIFICATES_SIGNER_NAME=example.com/web-hooks)
  generate -- --help | sed -n '/^Those of the controller for certificates/,/^$/p' | sed 1d | tr -s ' ' '\n' | sed '/^$/d' | sort > known
  printf '%s\n' "${settings[@]%%=*}" | sort > tested
  diff known tested
  generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=csr "${settings[@]}"
  for setting in "${settings[@]}" CERTIFICATES=csr; do
    [ "$(grep -x -A1 "            - name: ${setting%%=*}" generated/35-controller.yaml | tail -n 1)" = "              value: \"${setting#*=}\"" ] || die "$setting"
  done
  has generated/37-certificates.yaml '    resources: [certificatesigningrequests]'
}

case_cert_manager_issues_what_the_webhook_reads_and_the_registration_trusts() {
  generate IMAGE=a/b:1 REGISTRY=r.example NAMESPACE=gate CERTIFICATES=cert-manager
  has generated/40-webhook-configuration.yaml '    cert-manager.io/inject-ca-from: "gate/pullgate-tls"'
  lacks generated/40-webhook-configuration.yaml caBundle
  has generated/20-cert-manager.yaml '    - "pullgate.gate.svc"'
  [ "$(grep -x -A1 '            - name: TLS_CERT_FILE' generated/30-deployment.yaml | tail -n 1)" = '              value: "/run/secrets/tls/tls.crt"' ]
  [ "$(grep -x -A1 '            - name: TLS_KEY_FILE' generated/30-deployment.yaml | tail -n 1)" = '              value: "/run/secrets/tls/tls.key"' ]
  [ ! -e generated/35-controller.yaml ]
}

case_another_issuer_takes_its_files_away() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=cert-manager
  [ ! -e generated/20-certificate.yaml ]
  generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=self-managed
  [ ! -e generated/20-cert-manager.yaml ]
  generate IMAGE=a/b:1 REGISTRY=r.example 2> stderr
  [ ! -e generated/37-certificates.yaml ]
  grep -qF 'its rights to them stay in the cluster' stderr
}

case_what_no_issuer_can_do_is_refused() {
  refused 'CERTIFICATES="mine": expected script, self-managed, cert-manager or csr' generate IMAGE=a/b:1 CERTIFICATES=mine
  refused 'expected CERTIFICATES_SIGNER_NAME with it' generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=csr
  refused 'expected CERTIFICATES=csr with it' generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=self-managed CERTIFICATES_SIGNER_NAME=a.b/c
  refused 'expected the name of a signer' generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=csr CERTIFICATES_SIGNER_NAME=webhooks
  refused 'expected a time' generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=self-managed CERTIFICATES_VALIDITY=90d
  refused 'expected CONTROLLER=yes or no with it' generate IMAGE=a/b:1 CERTIFICATES=self-managed CONTROLLER=only
  refused 'expected REGISTER=at-once with it' generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=self-managed REGISTER=when-ready
  refused 'expected CERTIFICATES=script with them' generate IMAGE=a/b:1 REGISTRY=r.example CERTIFICATES=cert-manager -- --renew
  [ ! -e generated ]
}
