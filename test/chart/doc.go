// Package chart tests the Helm chart of deploy/helm: what it renders for a few files of values (testdata), that Kubernetes
// would accept it (kubeconform, with the schemas of package schemas), that Holdfast accepts the configuration in it,
// and that wrong values are refused. The manifests of deploy/kubernetes are made here: make manifests.
package chart
