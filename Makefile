.DEFAULT_GOAL := help
SHELL := /bin/bash
GO ?= go
export GOFLAGS := -buildvcs=false
# go-nvml wraps functions that NVIDIA calls deprecated; nobody here calls them.
export CGO_CFLAGS := -g -O2 -Wno-deprecated-declarations
TOOL := $(GO) tool -modfile=.ci/tools/go.mod
GOFILES := git ls-files -co --exclude-standard '*.go'

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: prerequisites
prerequisites:
	@testnet/prerequisites.sh

.PHONY: setup
setup: prerequisites ## install what is missing (Docker engine, debootstrap) and start dockerd; says so first
	@testnet/setup.sh

.PHONY: setup-tests
setup-tests: prerequisites ## the same, and PostgreSQL, of which tests start a server of their own
	@testnet/setup.sh tests

.PHONY: build
build: prerequisites ## bin/tally and bin/tally-devnet
	@echo "build: bin/tally"; CGO_ENABLED=1 $(GO) build -trimpath -o bin/tally ./cmd/tally
	@echo "build: bin/tally-devnet (a Cardano node; minutes the first time)"; $(GO) build -C testnet/devnet -trimpath -o ../../bin/tally-devnet .

.PHONY: demo
demo: setup build ## the whole market on this machine: three jobs, paid in test NTX; leaves demo-out/
	@bin/tally demo --out demo-out

.PHONY: test
test: setup-tests build ## every test: unit, contracts, real node, real containers
	@testnet/test.sh

.PHONY: race
race: setup-tests build ## the tests of everything concurrent, under the race detector
	$(GO) test -race -count=1 ./executor/... ./market/... ./escrow/... ./chain/... ./provider/...

.PHONY: crash
crash: setup build ## SIGKILL requester and provider in each phase, restart, print outcome and balances
	TALLY_BIN=$(CURDIR)/bin $(GO) test -count=1 -timeout 60m -tags crash -v -run Crash ./testnet

.PHONY: disputes
disputes: setup build ## every end of a lot and a stake, dishonest and silent attesters, two versions of the contracts, slices, two producers that are cut apart
	TALLY_BIN=$(CURDIR)/bin $(GO) test -count=1 -timeout 40m -tags disputes -v -run '^TestDisputes|^TestVersions|^TestVouchersLive|^TestForks|^TestSlicesLive' ./cmd/tally

.PHONY: rollback
rollback: setup-tests build ## rollbacks at every block to every depth, kills at every byte, full disks; two real producers and a cut network
	TALLY_BIN=$(CURDIR)/bin $(GO) test -count=1 -timeout 40m -tags rollback -v -run Rollback ./chain/index ./testnet

.PHONY: oracles
oracles: build ## hundreds of transactions, whole and broken, before other implementations of the ledger (Node.js 20)
	@chain/oracletest/judges/install.sh
	@$(GO) run ./chain/oracletest -node bin/tally-devnet

.PHONY: elastic
elastic: setup build ## SIGKILL a provider in the middle of elastic training, for good, to come back, and with spares: the others go on, who delivers or stands by is paid
	TALLY_BIN=$(CURDIR)/bin $(GO) test -count=1 -timeout 30m -tags crash -v -run '^TestElastic$$' ./testnet

.PHONY: crash-chain
crash-chain: prerequisites ## SIGKILL a wallet, its index and its payments at every write, submission and segment, restart, print place and outcome
	$(GO) test -count=1 -timeout 30m -tags crash -v -run '^TestCrash(Chain|Payments)$$' ./cmd/tally

.PHONY: soak
soak: prerequisites ## 2,000 jobs' transactions through one wallet, 30 in flight, with rollbacks; reconciles to the lovelace
	$(GO) test -count=1 -timeout 60m -tags soak -v -run '^TestSoak' ./cmd/tally

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 10s each, about 15 minutes in all)
	@testnet/fuzz.sh $${FUZZTIME:-10s}

.PHONY: kernels-arm64
kernels-arm64: prerequisites ## the collective's arithmetic as arm64, under emulation (Debian's qemu-user-static)
	@executor/collective/kernel/arm64.sh

.PHONY: contracts
contracts: prerequisites ## rebuild and test the contracts with Aiken, fail on a difference from the committed blueprints; prints checks that refuse nothing: none
	@plutus/build.sh --check
	cd plutus && AIKEN=$$(PATH=$$PATH:$${CARGO_HOME:-$$HOME/.cargo}/bin command -v aiken) $(GO) test -count=1 -timeout 30m -tags properties -run TestProperties

.PHONY: deployments
deployments: prerequisites ## pin the contracts of this source in deployments/*.json, above versions that were published
	$(GO) test -count=1 ./deployments -run TestPinned -args -write

.PHONY: attacks
attacks: build ## every attack on the contracts, on a hardened node; writes docs/reference/attacks.md
	cd plutus && TALLY_BIN=$(CURDIR)/bin ATTACKS_DOC=../docs/reference/attacks.md $(GO) test -count=1 -timeout 60m -tags onnode -run TestAttacksOnNode

.PHONY: fuzz-contracts
fuzz-contracts: prerequisites ## MUTANTS (default 100000) of valid transactions, judged by contracts, ledger and a model
	cd plutus && $(GO) test -count=1 -timeout 60m -tags fuzzcontracts -run TestMutants

.PHONY: mutants-contracts
mutants-contracts: prerequisites contracts ## take each check of the contracts out in turn; prints survivors: none
	cd plutus && AIKEN=$$(PATH=$$PATH:$${CARGO_HOME:-$$HOME/.cargo}/bin command -v aiken) $(GO) test -count=1 -timeout 60m -tags mutants -run TestSourceMutants

.PHONY: fmt
fmt: ## format Go (gofumpt) and Aiken
	@$(GOFILES) | xargs $(TOOL) gofumpt -w

.PHONY: lint
lint: cross ## vet, staticcheck, gofumpt, and a build for other systems
	@out=$$($(GOFILES) | xargs $(TOOL) gofumpt -l); test -z "$$out" || { echo "not formatted (make fmt):"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(GO) vet -C testnet/devnet ./...

.PHONY: bench-loop
bench-loop: setup build ## time the whole loop against plain torch + Gloo; writes bench/loop.json
	@bin/tally demo bench --out bench/loop.json

.PHONY: bench-chain
bench-chain: setup-tests ## time the index on a devnet's 5,000 blocks, claims and coin selection; writes bench/chain.json
	CHAIN_OUT=$(CURDIR)/bench/chain.json $(GO) test -count=1 -timeout 25m -tags bench -v -run '^TestBench$$' ./chain/index

.PHONY: bench-settlement
bench-settlement: build ## what every transition costs, the largest ones submitted to a node; writes bench/settlement.json
	cd plutus && TALLY_BIN=$(CURDIR)/bin SETTLEMENT_OUT=../bench/settlement.json $(GO) test -count=1 -timeout 60m -tags onnode -run TestSettlementOnNode
	$(GO) run ./testnet/simtrust # its tables have these fees

.PHONY: sim-trust
sim-trust: prerequisites ## 10,000 jobs between honest and dishonest strangers; writes bench/trust.json and the tables in proof-of-completion.md
	$(GO) run ./testnet/simtrust

.PHONY: bench-collectives
bench-collectives: prerequisites ## time the collectives against plaintext Gloo (Debian's libgloo-dev); writes bench/collectives.json
	@executor/collective/bench.sh

.PHONY: faults-collectives
faults-collectives: prerequisites ## kill, silence, cut off and slow members of a collective, then 500 random faults: no hang, no two results
	@executor/collective/faults.sh

.PHONY: cross
cross: ## tally builds for requesters' laptops: macOS and Windows, without cgo
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/tally
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) build -o /dev/null ./cmd/tally
