# The commands of Holdfast. CI runs `make test`, the same as you do.

export GOFLAGS := -buildvcs=false
export CGO_ENABLED ?= 0
TOOLS := $(or $(HOLDFAST_TOOLS),$(HOME)/.cache/holdfast/tools)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The exporter of traces brings gRPC, whose pages for net/trace would switch off the linker's dead-code removal.
TAGS := grpcnotrace
# Without the race detector: the simulation, in which one goroutine runs at a time, and what has a target of its own.
PACKAGES = $$(go list ./... | grep -vE "/test/(conformance|clients/more|image|kubernetes|memory|drills$$|simulate$$)")

.PHONY: help
help: ## show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/holdfast
	go build -p 2 -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/holdfast ./cmd/holdfast

.PHONY: run
run: build ## build and serve on 127.0.0.1:8080 from ./holdfast-data, with no configuration
	bin/holdfast serve

.PHONY: test
test: ## install what the tests need, then run all of them with the race detector, then the simulation, the small fault drills, and each fuzz target for a second
	scripts/tools.sh test chart
	CGO_ENABLED=1 go run ./test/cmd/withs3 -- go test -p 2 -race -shuffle=on -timeout 25m $(PACKAGES)
	go test -count=1 -timeout 15m ./test/simulate
	go test -count=1 -parallel 4 -timeout 15m ./test/drills
	scripts/fuzz.sh 1s

.PHONY: unit
unit: ## the tests that need no other program, for a quick look
	CGO_ENABLED=1 go test -p 2 -race -shuffle=on ./internal/oci ./internal/record/mem ./internal/record/bolt ./internal/data/mem ./internal/data/file ./internal/format ./internal/registry/... ./internal/collect/... ./internal/api ./internal/config ./internal/systemd ./cmd/...

.PHONY: docs
docs: ## write docs/configuration.md, its JSON Schema, and bin/manual: man pages and completions
	go test -count=1 -run TestReferenceIsCurrent ./internal/config -update-reference
	go run ./cmd/holdfast manual bin/manual

.PHONY: lint
lint: ## golangci-lint, with the rules of .golangci.yml; and no dead code in the program
	scripts/tools.sh lint
	$(TOOLS)/golangci-lint run
	@# One call that finds methods by their names keeps every method of every library in the program: half its size.
	! go build -p 2 -tags $(TAGS) -ldflags=-dumpdep -o /dev/null ./cmd/holdfast 2>&1 | grep -F '<ReflectMethod>'

.PHONY: cluster
cluster: build ## versitygw, three replicas on 8081-8083 and HAProxy on 8080; CACHE=redis or dynamodb has them share one; Ctrl-C ends all of it
	scripts/tools.sh cluster $(if $(filter redis dynamodb,$(CACHE)),cache)
	go run ./test/cmd/cluster -binary bin/holdfast -cache '$(CACHE)'

.PHONY: clients
clients: build ## every client, through HAProxy and three replicas: docker, podman, buildah, skopeo, ctr, crane, oras, regctl, helm
	scripts/tools.sh clients
	HOLDFAST_TEST_CLIENTS=1 go test -p 1 -count=1 -timeout 40m -v ./test/clients/...

.PHONY: logins
logins: build ## every client logs in in every way, through HAProxy and three replicas, and is refused where it should be; by hand, root, 5 minutes
	scripts/tools.sh logins
	HOLDFAST_TEST_LOGINS=full HOLDFAST_TEST_BINARY=$(CURDIR)/bin/holdfast go run ./test/cmd/withs3 -store versitygw -- go test -count=1 -timeout 40m -v ./test/clients/logins

CREATED ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
REVISION := $(shell git rev-parse HEAD 2>/dev/null)

.PHONY: image
image: ## the container image for amd64 and arm64, as an OCI layout in bin/image; KEY=key.pem signs it, REFERENCE=host/name is where it will be
	go run ./build/image -out bin/image -tags $(TAGS) -version $(VERSION) -revision '$(REVISION)' -created $(CREATED) $(if $(KEY),-key $(KEY)) $(if $(REFERENCE),-reference $(REFERENCE))

.PHONY: image-test
image-test: ## two builds are one digest; pushed to three replicas, pulled and run by podman; 3 minutes
	scripts/tools.sh test clients
	HOLDFAST_TEST_IMAGE=1 go test -p 1 -count=1 -timeout 30m -v ./test/image

.PHONY: chart
chart: ## lint and render the Helm chart, check it against Kubernetes' schemas and its configuration with holdfast verify
	scripts/tools.sh chart
	go test -count=1 ./test/chart

.PHONY: manifests
manifests: ## write deploy/kubernetes, the chart's alerts and its golden files anew
	scripts/tools.sh chart
	go test -count=1 ./test/chart -run 'TestAlerts|TestRender|TestManifests' -update

.PHONY: kubernetes
kubernetes: build ## a real one-node Kubernetes: install, update, kill, scale and rotate keys under load; by hand, root, 7 minutes once to build
	scripts/tools.sh kubernetes
	go build -p 2 -o bin/kubernetes ./test/kubernetes
	bin/kubernetes -binary bin/holdfast

.PHONY: conformance
conformance: build ## the official suites; give their binaries by CONFORMANCE_V1=path and CONFORMANCE_MAIN=path
	go test -count=1 -timeout 30m -v ./test/conformance

.PHONY: simulate
simulate: ## replicas under a hostile scheduler, then every planted bug, which must be found; 2 minutes
	scripts/simulate.sh

.PHONY: smoke
smoke: ## the fault drills alone in their small size, with what each measured; five minutes
	scripts/tools.sh cluster cache
	go test -count=1 -parallel 4 -timeout 15m -v ./test/drills

.PHONY: drills
drills: ## every fault drill in its full size: real processes are killed, stopped, cut off; about an hour
	scripts/tools.sh cluster cache
	HOLDFAST_DRILLS=full go test -count=1 -timeout 90m -v ./test/drills/...

.PHONY: history
history: build ## many clients at every replica while things break, judged by models: SEED=n TIME=5m; ZOT=path judges zot instead
	scripts/tools.sh cluster
	go run -p 2 ./test/history -binary bin/holdfast -faults -time $(or $(TIME),5m) $(if $(SEED),-seed $(SEED)) -out history-out

.PHONY: zot-rules
zot-rules: ## the table of policies of internal/access/policy, asked of zot itself: ZOT=path of its binary
	ZOT=$(ZOT) go test -tags zot -count=1 -v -run TestTableIsZots ./internal/access/policy

.PHONY: move
move: ## imports of what other registries wrote themselves: ZOT=path DISTRIBUTION=path of their binaries; without them of what the tests write
	scripts/tools.sh cluster
	ZOT=$(ZOT) DISTRIBUTION=$(DISTRIBUTION) go run ./test/cmd/withs3 -store versitygw -- go test -count=1 -v ./test/move

.PHONY: memory
memory: ## how much memory 16 pushes, then 16 pulls, of 1 GiB at once need in one replica (18 GB of disk, 3 minutes)
	scripts/tools.sh cluster
	go test -count=1 -timeout 40m -v ./test/memory

.PHONY: bench
bench: build ## the benchmark without peers, over S3 and a directory: ONLY=rows, BENCH='-quick -latency 30ms'; bench-out/; 8 minutes
	scripts/tools.sh bench
	go build -p 2 -o bin/bench ./bench
	bin/bench -binary bin/holdfast $(if $(ONLY),-only '$(ONLY)') $(BENCH)

.PHONY: bench-peers
bench-peers: build ## the same beside distribution, and zot by ZOT=path of its binary, in the same run; 25 minutes
	scripts/tools.sh bench peers
	go build -p 2 -o bin/bench ./bench
	ZOT=$(ZOT) bin/bench -binary bin/holdfast -peers $(if $(ONLY),-only '$(ONLY)') $(BENCH)

.PHONY: bench-caches
bench-caches: build ## what remembering is worth: no cache, memory, Redis, DynamoDB, cold and warm; bench-out/caches.md; 8 minutes
	scripts/tools.sh bench cache
	go build -p 2 -o bin/bench ./bench
	bin/bench -binary bin/holdfast -set caches -time 1500ms $(if $(ONLY),-only '$(ONLY)') $(BENCH)

.PHONY: bench-go
bench-go: ## the Go benchmarks, COUNT (10) times each, by benchstat against bench-out/go-base.txt, which the first run or BASE=1 writes
	scripts/tools.sh bench benchstat
	scripts/bench-go.sh $(or $(COUNT),10) $(BASE)

.PHONY: abuse
abuse: build ## attacks and bad input, by their numbers, against three replicas over S3 behind HAProxy: passed, FAILED; three minutes; ROUNDS=1000 of row A69
	scripts/tools.sh cluster
	@# The test's own program: go test shows nothing of what passes.
	go test -p 2 -c -o bin/abuse.test ./test/abuse
	cd test/abuse && HOLDFAST_ABUSE=1 HOLDFAST_ABUSE_ROUNDS=$(ROUNDS) HOLDFAST_TEST_BINARY=$(CURDIR)/bin/holdfast $(CURDIR)/bin/abuse.test -test.timeout 15m

.PHONY: packages
packages: ## deb and rpm for amd64 and arm64 in bin/packages; the same commit gives the same bytes
	scripts/tools.sh packages
	scripts/packages.sh

.PHONY: supply
supply: ## modules, licences, bill of materials, two builds are one hash, gosec, known vulnerabilities; what cannot be asked fails too
	scripts/supply.sh

.PHONY: observe
observe: ## the alert rules by promtool, and the dashboard against a real Prometheus over running replicas
	scripts/tools.sh observe
	go test -count=1 -timeout 15m -v ./test/observe

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (10m); ONLY=part of a name; make test runs their seeds
	scripts/fuzz.sh $(or $(FUZZTIME),10m) $(ONLY)

.PHONY: clean
clean: ## remove what was built here
	rm -rf bin
