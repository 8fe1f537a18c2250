// Package observe tests what people on call look at: the alert rules, by promtool; the dashboard and the rules against a real Prometheus that scrapes running
// replicas; that every metric they name exists, and every alert has a runbook. It needs prometheus and promtool: scripts/tools.sh observe.
package observe
