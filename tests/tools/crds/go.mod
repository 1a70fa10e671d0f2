// Definitions of resources that manifests of deployment/ are made of, and a control plane does not bring along. Nothing
// is compiled: tests/charts applies the YAML files of these modules.
module pullgate/tests/tools/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
