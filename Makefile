# The targets; `make` alone lists them.
GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help build demo test check format vet staticcheck race real-traffic crash cluster simulate bench bench-fallback bench-replay bench-capture bench-capture-safety soak-capture fuzz metrics-doc translation-doc errors-doc

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

build: ## compile bin/understudy
	@mkdir -p bin
	$(GO) build -o bin/understudy ./cmd/understudy

demo: build ## the whole arc on this machine with simulated providers, about half a minute
	./bin/understudy demo

test: ## the tests that run in minutes
	$(GO) test ./...

check: format vet staticcheck race ## format, vet, staticcheck, import rule, tests with the race detector

format:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-clean:"; echo "$$out"; exit 1; fi

vet:
	$(GO) vet ./...
	$(GO) vet -tags 'simulate realtraffic crash cluster fallback benchreplay benchcapture' ./...

staticcheck:
	$(GO) run $(STATICCHECK) ./...

race:
	$(GO) test -race ./...

real-traffic: ## 784 recorded requests through the daemon (needs ../shared)
	$(GO) test -tags realtraffic -count=1 -timeout 20m -v -run TestRealTraffic ./cmd/understudy

crash: ## kill -9 again and again: recorded traffic (needs ../shared), a fleet of replaying processes, a race for the budget; about eight minutes
	$(GO) test -tags crash -count=1 -timeout 30m -v -run TestCrash ./cmd/understudy

cluster: ## 2,000 requests over three NATS servers whose leaders are killed three times, about a minute and a half
	$(GO) test -tags cluster -count=1 -timeout 20m -v -run TestCluster ./cmd/understudy

simulate: ## long simulations of the decision rule
	$(GO) test -tags simulate -count=1 -timeout 60m -v -run Simulat ./canary/...

bench: ## benchmarks, as ratios where something is there to compare with
	$(GO) test -run '^$$' -bench . -benchmem ./llm/... ./judge ./canary/... ./capture

fuzz: ## every fuzz target for half a minute
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	  echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s $$p || exit 1; done; done

metrics-doc: ## write docs/metrics.md anew from what the code registers
	$(GO) test -count=1 -run TestMetricsDocumented ./cmd/understudy -update

errors-doc: ## write docs/errors.md anew from the tables of failures
	$(GO) test -count=1 -run TestErrorsDocumented ./llm -update

bench-fallback: ## 20,000 requests through a fallback chain in each of ten broken cases, about two minutes
	$(GO) test -tags fallback -count=1 -timeout 20m -v -run TestFallbackMatrix ./llm

bench-replay: ## the replay stage against the bare AWS SDK, its slots, its backlog and its rate, about six minutes
	$(GO) test -tags benchreplay -count=1 -timeout 20m -v -run 'TestBenchReplay$$' ./replay

bench-capture: ## the proxy against nginx and a bare httputil.ReverseProxy, interleaved on one core, about seven minutes
	$(GO) test -tags benchcapture -count=1 -timeout 60m -v -run 'TestBenchCapture$$' ./cmd/understudy

bench-capture-safety: ## answers compared, completeness, a stalled NATS; BENCH_ANSWERS=1000000 BENCH_STALL=60 is the long form
	$(GO) test -tags benchcapture -count=1 -timeout 60m -v -run 'TestBenchCaptureSafety$$' ./cmd/understudy

soak-capture: ## ten minutes at 70 % of the maximum with a dead NATS
	$(GO) test -tags benchcapture -count=1 -timeout 60m -v -run 'TestSoakCapture$$' ./cmd/understudy

translation-doc: ## write docs/translation.md anew from the tables of the translator
	$(GO) test -count=1 -run TestDoc ./llm/bedrock -update
