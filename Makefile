# The one entry: `make demo` shows a cluster at work, `make test` checks everything. Both run on a bare machine with a Swift toolchain.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help deps build release lint check model test conformance clients page partitions sim sim-record sim-mutants fuzz chaos soak demo bench bench-beside install dist deb package-test clean

SEEDS ?= 200
FIRST ?= 1
HOURS ?= 1
MUTATIONS ?= 1000000
PREFIX ?= /usr/local
# Of `make chaos`: which deeds, and for how long.
SEED ?= 1
SECONDS ?= 120
# The suites of `make check`.
CORES := ^(ClusterProtoTests|CoordinatorCoreTests|AgentCoreTests|TidyTests)\.
# Of these the suites that compare processor time: beside others they would measure caches.
COSTS := ^(CoordinatorCoreTests\.(WaitingCostTests|OwnerDeletionCostTests)|AgentCoreTests\.CostTests|ClusterProtoTests\.YAMLTextCostTests)

PACKAGES := libsqlite3-dev libyaml-dev libssl-dev zlib1g-dev libarchive-dev libzstd-dev libseccomp-dev bubblewrap sqlite3 skopeo
# The tests' own: a registry, another program that unpacks images, and what is in the images.
PACKAGES += docker-registry umoci busybox-static
# What checks the model of the fencing protocol.
PACKAGES += spin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Prints how long a step took: $(call timed,what,command)
timed = @printf '%s …\n' '$(1)'; start=$$(date +%s.%N); ( $(2) ); status=$$?; printf '%-28s %6.1f s\n' '$(1)' $$(echo "$$(date +%s.%N) $$start" | awk '{print $$1 - $$2}'); exit $$status
# Types the transcripts into kubectl, where there is what it needs: $(call typed,flags)
typed = command -v python3 >/dev/null || { echo 'skipped: kubectl (there is no python3)'; exit 0; }; Tests/Conformance/harness_tests.py -q && Tests/Conformance/run.py $(1)

# Chaos of make test: a seed that draws most kinds of deeds within it.
MINUTE := --seconds 60 --seed 139
# A run of Tests/Torture, where there is what it needs: $(call tormented,flags)
tormented = command -v python3 >/dev/null || { echo 'skipped: chaos (there is no python3)'; exit 0; }; Tests/Torture/chaos_tests.py -q && Tests/Torture/chaos.py $(1)

# Drives the page in a browser, where there is one; it says by itself where there is none.
paged = command -v python3 >/dev/null || { echo 'skipped: the page (there is no python3)'; exit 0; }; Tests/Page/run.py && Tests/Page/amounts.py

# The oldest and newest kubectl wait more than they compute: the simulator has what they leave of the processors.
BESIDE = seeds=$$(mktemp); trap "rm -f $$seeds" EXIT; \
  nice -n 19 .build/release/stint simulate --seeds $(SEEDS) --hours $(HOURS) >$$seeds 2>&1 & simulator=$$!; \
  ( $(call typed,--ends) ); typed=$$?; wait $$simulator; simulated=$$?; cat $$seeds; exit $$((typed != 0 || simulated != 0))

help: ## Lists the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Installs the system packages that the build needs (asks sudo when you are not root)
	@missing=""; for package in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing from Debian:$$missing"; \
	  $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

build: deps ## Builds everything for tests (debug)
	$(call timed,debug build,swift build --build-tests 2>&1 | grep -vE '^\[[0-9]+/[0-9]+\]'; exit $${PIPESTATUS[0]})

release: deps ## Builds the release binary .build/release/stint
	@command -v swift >/dev/null || { echo 'There is no Swift here. Stint is built with Swift 6.3: get the toolchain for your Linux from swift.org (Install, Linux), put its usr/bin on PATH, and run this again.'; exit 1; }
	@test -e .build/release/stint || echo 'the first build takes some minutes and shows nothing meanwhile'
	$(call timed,release build,swift build -c release --product stint 2>&1 | grep -vE '^\[[0-9]+/[0-9]+\]'; exit $${PIPESTATUS[0]})

lint: ## Checks the format of every Swift file
	$(call timed,swift format lint,swift format lint --strict --recursive Sources Tests Package.swift)
	@Tests/Mutants/run.sh --check

# What fails often comes first: the cores know nothing of processes and are done within six minutes of a bare checkout.
check: lint build ## Lint and the unit tests of the cores: six minutes
	$(call timed,tests of the cores,Tests/watch.sh swift test --skip-build --filter '$(CORES)' --skip '$(COSTS)')
	$(call timed,costs in the cores,Tests/watch.sh swift test --skip-build --no-parallel --filter '$(COSTS)')

model: deps ## Checks the model of the fencing protocol, whole and without each of its rules
	$(call timed,model of the fencing,Tests/Model/run.sh)

test: check model release ## Lint, unit and cluster tests, the model, kubectl, a batch of simulated hours
	$(call timed,other tests,Tests/edges.sh --skip '$(CORES)')
	$(call timed,kubectl and simulated seeds,$(BESIDE))
	$(call timed,the page in a browser,( $(call paged) ) || { echo 'the page once more: that it failed is a finding'; $(call paged); })
	$(call timed,chaos,$(call tormented,$(MINUTE)) || { echo 'chaos once more: that it failed is a finding'; Tests/Torture/chaos.py $(MINUTE); })

conformance: release ## Types the transcripts of Tests/Conformance into every kubectl that is found, then clients
	$(call timed,kubectl,$(call typed))
	$(call timed,client libraries,Tests/Conformance/python/run.py)

clients: release ## Runs programs on Python's client libraries against a fresh cluster
	$(call timed,client libraries,Tests/Conformance/python/run.py)

page: release ## Drives the page in a headless Chromium (Debian's chromium), where there is one
	$(call timed,the page in a browser,$(call paged))

partitions: release ## Makes each fault of the partition table, prints the gaps between copies, draws them (root: 23 minutes)
	@command -v python3 >/dev/null || { echo 'skipped: the partition table (there is no python3)'; exit 0; }; \
	  Tests/Torture/harness_tests.py -q && Tests/Torture/partitions.py

sim: release ## Simulates SEEDS (200) clusters for HOURS (1) each, from seed 1
	$(call timed,$(SEEDS) simulated seeds,.build/release/stint simulate --seeds $(SEEDS) --hours $(HOURS))

# Each run is one line more, whatever came of it: in which seconds, of which commit, what it printed last.
sim-record: release ## Simulates SEEDS seeds from FIRST (1) on for HOURS each and adds a line to docs/simulated-runs.tsv
	$(call timed,$(SEEDS) simulated seeds,.build/release/stint simulate --first $(FIRST) --seeds $(SEEDS) --hours $(HOURS) | tee /dev/stderr | tail -2 | tr '\n' ' ' | sed "s/^/$$(date -u +%FT%TZ)\t$$(git describe --always --dirty)\t$(FIRST)\t/; s/ *$$/\n/" >> docs/simulated-runs.tsv; exit $${PIPESTATUS[0]})

sim-mutants: ## Wakes each planted bug of Tests/Mutants in a copy and simulates until it is caught
	$(call timed,planted bugs,Tests/Mutants/run.sh)

fuzz: release ## Gives MUTATIONS (1,000,000) requests and messages with extreme numbers to the cores
	$(call timed,$(MUTATIONS) mutations,.build/release/stint simulate --mutations $(MUTATIONS))

chaos: release ## Torments a cluster of real processes for SECONDS (120) by SEED (1), and checks it (root)
	$(call timed,chaos,$(call tormented,--seconds $(SECONDS) --seed $(SEED)))

soak: release ## The same for HOURS (1)
	$(call timed,soak,$(call tormented,--seconds $$(( $(HOURS) * 3600 )) --seed $(SEED)))

demo: release ## Starts a cluster on this machine, runs the example Jobs, loses a machine (not as root: an agent), shows the work finish elsewhere
	@compose/demo.sh .build/release/stint

bench: release ## Measures speed and memory beside the machine's own limit
	@.build/release/stint bench

bench-beside: release ## Measures this build and that of COMMIT in turn, on the same machine at the same time
	@test -n "$(COMMIT)" || { echo 'COMMIT is not set: make bench-beside COMMIT=HEAD~1'; exit 1; }
	@git worktree prune && { test -e .build/beside/$(COMMIT) || git worktree add -q --detach .build/beside/$(COMMIT) $(COMMIT); }
	$(call timed,release build of $(COMMIT),swift build --package-path .build/beside/$(COMMIT) -c release --product stint 2>&1 | grep -vE '^\[[0-9]+/[0-9]+\]'; exit $${PIPESTATUS[0]})
	@.build/release/stint bench --beside .build/beside/$(COMMIT)/.build/release/stint

install: release ## Installs the binary, man pages and bash completion under PREFIX (/usr/local)
	install -D -m 0755 .build/release/stint $(DESTDIR)$(PREFIX)/bin/stint
	.build/release/stint man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	.build/release/stint completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/stint

dist: release ## Makes a tarball in .build/dist: the binary, man pages, completions; says what it needs, tries it
	@compose/dist.sh .build/release/stint .build/dist

deb: release ## Makes a Debian package of the release binary in .build/deb
	@compose/deb.sh .build/release/stint .build/deb

package-test: release ## Installs, upgrades and purges the package in a fresh Debian (root, debootstrap: some minutes)
	$(call timed,the package in a fresh Debian,Tests/Packaging/run.sh .build/release/stint .build/debian.tar)

clean: ## Removes what was built
	rm -rf .build
