// Command kubernetes shows that Holdfast works as it is delivered for Kubernetes, on a real one:
//
//	make kubernetes
//
// It runs etcd, the API server, the controllers, the scheduler, a kubelet with containerd and kube-proxy, in network, mount and process
// namespaces of its own. A Holdfast outside of the cluster holds the images; the kubelet pulls Holdfast from there, and the chart installs
// three replicas over an S3 server. While the clients of test/drills/load work at the Service, the pods are updated, killed,
// scaled and given new keys. What the clients saw is printed, and judged as in the drills.
//
// Whatever happens, the end of the first process in the namespaces ends all others, and takes mounts and networks along; what is left,
// empty control groups and a folder, the command outside removes. It needs Linux, root and scripts/tools.sh kubernetes.
//
// main.go is outside; namespace_linux.go goes inside; inside.go has the order of things there.
package main
