# Every target is one line of help; "make help" prints them.

GO      ?= go
FUZZ    ?= 10s
RACE    := $(if $(shell command -v $$($(GO) env CC)),-race)
DIG     := dig @127.0.0.1 -p 1053 +noall +answer
# What strangers and operators write; the others are for "make fuzz".
QUICK   := ./server/wire:FuzzQuery ./server/corefile:FuzzCorefile ./cluster/manifest:FuzzManifest
# go test takes one fuzz target of one package at a time.
FUZZERS  = $(shell grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9]+' . | sed 's|/[^/]*:func |:|' | sort)

.DEFAULT_GOAL := help

.PHONY: build
build: ## build the program as ./nameplane
	CGO_ENABLED=0 $(GO) build -o nameplane ./cmd/nameplane

.PHONY: run
run: build ## build the program, and serve the demo cluster of corefile.example on 127.0.0.1:1053
	@echo 'Try, in another terminal:'
	@echo
	@echo '  $(DIG) my-nginx.default.svc.cluster.local'
	@echo '  $(DIG) db.prod.svc.cluster.local'
	@echo '  $(DIG) _postgres._tcp.db.prod.svc.cluster.local SRV'
	@echo '  $(DIG) -x 127.244.1.10'
	@echo '  curl http://$$(dig @127.0.0.1 -p 1053 +short my-nginx.default.svc.cluster.local):8080/'
	@echo
	@echo 'and edit a file in cmd/nameplane/demo. Ctrl-C ends it.'
	@echo
	@exec ./nameplane demo -conf corefile.example

.PHONY: test
test: vet race ## vet, all tests with the race detector, and short fuzz runs; needs nothing but Go
	@$(MAKE) --no-print-directory fuzz FUZZERS='$(QUICK)'

.PHONY: vet
vet: ## go vet, also for a system without our Linux files
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./server/... ./plugin/...

.PHONY: race
race: ## all tests in random order, with the race detector where there is the C compiler that it needs
	@test -n '$(RACE)' || echo 'no C compiler (cc): the tests run without the race detector'
	$(GO) test $(RACE) -shuffle=on ./...
	$(GO) test ./test/hotpath

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZ (10s)
	@set -e; for target in $(FUZZERS); do \
		$(GO) test $${target%%:*} -run '^$$' -fuzz "^$${target##*:}$$" -fuzztime $(FUZZ) -fuzzminimizetime 1s; \
	done

.PHONY: e2e
e2e: ## tests against a real kube-apiserver, CoreDNS and kube-proxy, built from source once and cached; one package at a time
	NAMEPLANE_E2E=1 $(GO) test -count=1 -p 1 -timeout 40m ./test/...

.PHONY: bench
bench: ## CPU, memory and propagation beside CoreDNS, forwarding beside kube-proxy
	NAMEPLANE_E2E=1 $(GO) test -run '^$$' -bench . -benchtime 1x -p 1 -timeout 60m ./test/bench ./test/netns

.PHONY: lint
lint: ## formatting, and that go.mod is tidy
	@test -z "$$(gofmt -l .)" || { echo 'gofmt is wanted:'; gofmt -l .; exit 1; }
	$(GO) mod tidy -diff

.PHONY: check
check: lint test ## everything that a change must pass

.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "  %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
