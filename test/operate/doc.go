// Package operate tests the operator's commands and endpoint over S3, beside replicas that serve: the stores of HOLDFAST_TEST_S3, which
// `make test` starts.
package operate
