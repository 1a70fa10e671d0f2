# shellcheck shell=bash disable=SC2154 # root is that of run
# The controller, and what it shares with the webhook. Cases for tests/script/run.

# The accounts' webhook in the registration.
accounts_webhook() { awk '/^  - name: / { inside = $3 == "accounts.pullgate.svc" } inside' "$1/40-webhook-configuration.yaml"; }
# rule FILE KIND NAME RESOURCE: the lines of the rules about a resource, in the object of that kind and name.
rule() {
  awk -v kind="kind: $2" -v name="  name: $3" -v resource="    resources: [$4]" '
    function flush() { if (wanted) printf "%s", text; text = ""; wanted = 0 }
    /^---$/ { flush(); is_kind = is_name = 0 }
    $0 == kind { is_kind = 1 }
    $0 == name { is_name = 1 }
    /^  - apiGroups/ { flush() }
    /^  *#/ { next }
    is_kind && is_name && /^ / { text = text $0 "\n"; if ($0 == resource) wanted = 1 }
    END { flush() }' "$1"
}

case_accounts_are_registered_where_a_secret_is_named_for_them() {
  generate IMAGE=a/b:1 REGISTRY=r.example CONFIG_SERVICE_ACCOUNTS=default
  lacks generated/40-webhook-configuration.yaml serviceaccounts
  generate IMAGE=a/b:1 CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=regcred 2> stderr
  [ ! -s stderr ]
  lacks generated/40-webhook-configuration.yaml pods
  accounts_webhook generated > accounts
  has accounts '        operations: [CREATE, UPDATE]'
  has accounts '        resources: [serviceaccounts]'
  grep -qF "secret.name == 'regcred'" accounts
}

case_accounts_are_made_while_no_webhook_answers() {
  generate IMAGE=a/b:1 REGISTRY=r.example CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=regcred FAILURE_POLICY=Fail
  [ "$(accounts_webhook generated | grep failurePolicy)" = '    failurePolicy: Ignore' ]
  has generated/40-webhook-configuration.yaml '    failurePolicy: Fail'
}

case_accounts_have_excluded_namespaces_of_their_own() {
  accounts_excluded() { accounts_webhook generated | sed -n '/values:/,/match/p' | sed -n 's/^ *- "\(.*\)"$/\1/p' | tr '\n' ' '; }
  generate IMAGE=a/b:1 CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=regcred EXCLUDE_NAMESPACES=monitoring
  [ "$(accounts_excluded)" = "pullgate kube-system kube-public " ]
  generate IMAGE=a/b:1 CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=regcred CONFIG_EXCLUDE_NAMESPACES=' a , b,a'
  [ "$(accounts_excluded)" = "pullgate a b " ]
  # A list of none is not the list that there is without a setting.
  generate IMAGE=a/b:1 CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=regcred CONFIG_EXCLUDE_NAMESPACES=','
  [ "$(accounts_excluded)" = "pullgate " ]
  has generated/30-deployment.yaml '              value: ","'
}

case_there_is_no_controller_unless_asked_for() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp -R generated default
  generate IMAGE=a/b:1 REGISTRY=r.example CONTROLLER=no CONFIG_SECRETNAME=regcred CONFIG_MANAGEDONLY=true
  diff -r default generated
  [ ! -e generated/35-controller.yaml ]
}

case_the_controller_comes_before_the_registration() {
  generate IMAGE=a/b:1 REGISTRY=r.example CONTROLLER=yes
  [ "$(cd generated && echo *)" = "10-namespace.yaml 20-certificate.yaml 30-deployment.yaml 35-controller.yaml 40-webhook-configuration.yaml certs uninstall" ]
  sed -n 's/^kind: //p' generated/35-controller.yaml > kinds
  [ "$(tr '\n' ' ' < kinds)" = "ServiceAccount ClusterRole ClusterRoleBinding Role RoleBinding PodDisruptionBudget Deployment " ]
  # shellcheck disable=SC2016
  for manifest in generated/35-controller.yaml generated/uninstall/controller.yaml; do lacks "$manifest" '${'; lacks "$manifest" '#if'; lacks "$manifest" '#end'; done
}

case_the_controller_alone_needs_neither_certificate_nor_openssl() {
  tools_only
  generate IMAGE=a/b:1 CONTROLLER=only > log 2>&1
  lacks log warning
  [ "$(find generated -type f | sort | tr '\n' ' ')" = "generated/.gitignore generated/10-namespace.yaml generated/35-controller.yaml generated/uninstall/controller.yaml " ]
  # The quota is for the webhook's priority.
  lacks generated/10-namespace.yaml ResourceQuota
  lacks generated/35-controller.yaml priority
}

case_what_is_left_out_is_said_to_stay_in_the_cluster() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp -R generated webhook
  generate IMAGE=a/b:1 REGISTRY=r.example CONTROLLER=yes > log 2>&1
  lacks log warning
  generate IMAGE=a/b:1 REGISTRY=r.example > log 2>&1
  grep -q 'warning: the controller is left out: what is in the cluster of it stays, and so do its copies' log
  diff -r webhook generated
  generate IMAGE=a/b:1 CONTROLLER=only > log 2>&1
  grep -q 'warning: the webhook is left out: what is in the cluster of it stays' log
  [ "$(cd generated && echo *)" = "10-namespace.yaml 35-controller.yaml certs uninstall" ]
  # Its certificates are kept for when it comes back.
  generate IMAGE=a/b:1 REGISTRY=r.example 2> /dev/null
  diff -r webhook generated
}

case_the_controllers_settings_reach_it_and_the_job_that_uninstalls() {
  local setting settings=(CONFIG_SECRETNAME=regcred CONFIG_SECRET_NAMESPACE=credentials CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME=source 'CONFIG_SERVICEACCOUNTS=default,build-*'
    CONFIG_ALLSERVICEACCOUNT=true CONFIG_EXCLUDED_NAMESPACES=kube-system CONFIG_FORCE=false CONFIG_MANAGEDONLY=true LOG_LEVEL=debug LOG_FORMAT=text HEALTH_PORT=9090)
  generate -- --help | sed -n '/^Those of the controller,/,/^$/p' | sed 1d | tr -s ' ' '\n' | sed '/^$/d' | sort > known
  printf '%s\n' "${settings[@]%%=*}" | sort > tested
  diff known tested
  generate IMAGE=a/b:1 CONTROLLER=only "${settings[@]}"
  for setting in "${settings[@]}" ENABLE_LEADER_ELECTION=true; do
    for file in 35-controller uninstall/controller; do
      [ "$(grep -x -A1 "            - name: ${setting%%=*}" "generated/$file.yaml" | tail -n 1)" = "              value: \"${setting#*=}\"" ] || die "$file: $setting"
    done
  done
  has generated/35-controller.yaml '              containerPort: 9090'
  has generated/uninstall/controller.yaml '          args: [controller, --uninstall]'
}

case_the_source_is_in_the_namespace_of_pullgate_unless_named() {
  generate IMAGE=a/b:1 CONTROLLER=only NAMESPACE=gate -- --check > checked
  printf '%s\n' CONFIG_SECRETNAME=image-pull-secret CONFIG_SECRET_NAMESPACE=gate > expected
  diff expected checked
}

case_webhook_and_controller_are_told_the_same_by_either_name() {
  generate IMAGE=a/b:1 CONTROLLER=yes CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=regcred CONFIG_SERVICE_ACCOUNTS='ci,default' CONFIG_EXCLUDED_NAMESPACES=a CONFIG_ALL_SERVICE_ACCOUNTS=yes -- --check > checked
  for line in CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=regcred CONFIG_SECRETNAME=regcred CONFIG_SERVICE_ACCOUNTS=ci,default CONFIG_SERVICEACCOUNTS=ci,default CONFIG_EXCLUDE_NAMESPACES=a CONFIG_EXCLUDED_NAMESPACES=a CONFIG_ALL_SERVICE_ACCOUNTS=true CONFIG_ALLSERVICEACCOUNT=true; do has checked "$line"; done
  # Nothing is registered for what only the controller does.
  generate IMAGE=a/b:1 REGISTRY=r.example CONTROLLER=yes CONFIG_SECRETNAME=regcred CONFIG_SERVICEACCOUNTS=ci
  lacks generated/40-webhook-configuration.yaml serviceaccounts
  lacks generated/30-deployment.yaml CONFIG_
  refused 'CONFIG_SECRETNAME="a": CONFIG_TARGET_IMAGE_PULL_SECRET_NAME="b" is the same setting' generate IMAGE=a/b:1 CONTROLLER=yes CONFIG_SECRETNAME=a CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=b
  generate IMAGE=a/b:1 CONFIG_SECRETNAME=a CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=b
}

case_the_controllers_wrong_settings_are_refused() {
  local setting
  for setting in CONFIG_SECRETNAME=a_b CONFIG_SECRETNAME=a,b CONFIG_SECRET_NAMESPACE=a.b CONFIG_SERVICEACCOUNTS='a b' CONFIG_SERVICEACCOUNTS='"' CONFIG_ALLSERVICEACCOUNT=maybe CONFIG_EXCLUDED_NAMESPACES='kube-*' CONFIG_FORCE=force CONFIG_MANAGEDONLY=2; do
    refused "${setting%%=*}=\"" generate IMAGE=a/b:1 CONTROLLER=only "$setting"
  done
  # Credentials would be there for all who may read the Deployment.
  refused '--set CONFIG_DOCKERCONFIGJSON: no such setting' generate IMAGE=a/b:1 CONTROLLER=only -- --set 'CONFIG_DOCKERCONFIGJSON={}'
  [ ! -e generated ]
}

case_rights_are_for_the_names_that_are_known() {
  generate IMAGE=a/b:1 CONTROLLER=only CONFIG_SECRETNAME=regcred
  printf '%s\n' '  - apiGroups: [""]' '    resources: [secrets]' '    resourceNames: ["regcred"]' '    verbs: [list, watch, create, patch, delete]' > expected
  rule generated/35-controller.yaml ClusterRole pullgate-controller secrets > rules
  diff expected rules
  printf '%s\n' '  - apiGroups: [""]' '    resources: [serviceaccounts]' '    resourceNames: ["default"]' '    verbs: [list, watch, patch]' > expected
  rule generated/35-controller.yaml ClusterRole pullgate-controller serviceaccounts > accounts
  diff expected accounts
  generate IMAGE=a/b:1 CONTROLLER=only CONFIG_SERVICEACCOUNTS=ci
  rule generated/35-controller.yaml ClusterRole pullgate-controller serviceaccounts > accounts
  has accounts '    resourceNames: ["ci"]'
  for setting in CONFIG_ALLSERVICEACCOUNT=true CONFIG_SERVICEACCOUNTS=a,b 'CONFIG_SERVICEACCOUNTS=a*' 'CONFIG_SERVICEACCOUNTS=?' 'CONFIG_SERVICEACCOUNTS=,'; do
    generate IMAGE=a/b:1 CONTROLLER=only "$setting"
    rule generated/35-controller.yaml ClusterRole pullgate-controller serviceaccounts > accounts
    has accounts '    verbs: [list, watch, patch]'
    lacks accounts resourceNames
  done
}

case_the_source_has_a_role_where_it_has_a_name_of_its_own() {
  generate IMAGE=a/b:1 CONTROLLER=only CONFIG_SECRETNAME=regcred CONFIG_SECRET_NAMESPACE=credentials
  lacks generated/35-controller.yaml pullgate-controller-source
  generate IMAGE=a/b:1 CONTROLLER=only CONFIG_SECRETNAME=regcred CONFIG_SECRET_NAMESPACE=credentials CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME=regcred
  lacks generated/35-controller.yaml pullgate-controller-source
  generate IMAGE=a/b:1 CONTROLLER=only CONFIG_SECRETNAME=regcred CONFIG_SECRET_NAMESPACE=credentials CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME=source
  printf '%s\n' '  - apiGroups: [""]' '    resources: [secrets]' '    resourceNames: ["source"]' '    verbs: [list, watch]' > expected
  rule generated/35-controller.yaml Role pullgate-controller-source secrets > source
  diff expected source
  [ "$(grep -c '^  namespace: "credentials"$' generated/35-controller.yaml)" -eq 2 ]
}

case_every_rule_names_the_code_that_needs_it() {
  generate IMAGE=a/b:1 CONTROLLER=only CONFIG_SECRETNAME=a CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME=b
  awk '/^  - apiGroups/ { if (before !~ /^  #/) { print "no comment: " $0; failed = 1 } } { before = $0 } END { exit failed }' generated/35-controller.yaml
}

case_one_replica_of_the_webhook_means_one_of_the_controller() {
  generate IMAGE=a/b:1 CONTROLLER=only
  has generated/35-controller.yaml '  replicas: 2'
  generate IMAGE=a/b:1 CONTROLLER=only REPLICAS=1
  has generated/35-controller.yaml '  replicas: 1'
  generate IMAGE=a/b:1 CONTROLLER=only REPLICAS=5
  has generated/35-controller.yaml '  replicas: 2'
}

case_the_controller_is_secured_as_the_webhook_is() {
  generate IMAGE=a/b:1 REGISTRY=r.example CONTROLLER=yes DEPLOYMENT_PULL_SECRET=own
  for file in 30-deployment 35-controller uninstall/controller; do
    awk '/^ *securityContext:$/ { match($0, /^ */); depth = RLENGTH; inside = 1; print; next }
      inside { match($0, /^ */); if (RLENGTH <= depth) inside = 0 } inside' "generated/$file.yaml" > "${file##*/}.security"
    [ "$(grep -c securityContext "${file##*/}.security")" -eq 2 ]
    same 30-deployment.security "${file##*/}.security"
    [ "$(grep -A1 imagePullSecrets "generated/$file.yaml" | tail -n 1)" = '        - name: "own"' ]
    has "generated/$file.yaml" '          image: "a/b:1"'
  done
}

case_resources_get_rights_and_a_definition_where_they_are_asked_for() {
  generate IMAGE=a/b:1 CONTROLLER=only
  [ ! -e generated/36-resources.yaml ] && [ ! -e generated/crd ]
  generate IMAGE=a/b:1 CONTROLLER=only RESOURCES=yes NAMESPACE=infra > out
  has out "the definition of ImagePullSecret, to be applied first: generated/crd/imagepullsecrets.yaml"
  has generated/36-resources.yaml '    namespace: "infra"'
  same generated/crd/imagepullsecrets.yaml "$root/deployment/crd.yaml"
  # kubectl apply, and kubectl delete, of the folder do not touch the definition.
  not grep -l CustomResourceDefinition generated/*.yaml
  awk '/^  - apiGroups/ { if (before !~ /^  #/) { print "no comment: " $0; failed = 1 } } { before = $0 } END { exit failed }' generated/36-resources.yaml
  generate IMAGE=a/b:1 CONTROLLER=only -- --resources no 2> stderr
  grep -q 'rights for ImagePullSecret resources are left out' stderr
  [ ! -e generated/36-resources.yaml ] && [ ! -e generated/crd ]
}

case_resources_without_the_controller_are_refused() {
  refused 'RESOURCES="yes": they are looked after by the controller' generate IMAGE=a/b:1 REGISTRY=r.example RESOURCES=yes
  refused 'RESOURCES="maybe"' generate IMAGE=a/b:1 CONTROLLER=yes RESOURCES=maybe
}
