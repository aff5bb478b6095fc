# `make demo` shows what Chainmail does, `make test` proves it. Both install what is missing when they run as root on
# Debian; see tests/prepare.

CARGO ?= cargo

.PHONY: demo test test-long fuzz bench lint golden install help

help:
	@echo "make demo    the tutorial: rules, truth tables and diffs; as root also real packets, and three nodes with the real daemons"
	@echo "make test    all tests; as root also on real kernels"
	@echo "make test-long   nodes that boot a real systemd, packets under 500 transitions, competitors, 500 generated clusters, 100 pushes, births"
	@echo "make fuzz    libFuzzer on all that reads what others wrote, and on the walk, FUZZ_SECONDS=60 each"
	@echo "make lint    formatting and lints"
	@echo "make golden  rewrite the goldens in snapshots/ and tests/, for review"
	@echo "make bench   measurements, against the committed ones"
	@echo "make install DESTDIR=…   programs, units and an example configuration; starts nothing"

demo:
	@tests/prepare demo
	@$(CARGO) build --quiet --locked --workspace --bins
	@target/debug/chainmail-lab demo policies/aks-tutorial
	@if unshare -n true 2>/dev/null; then target/debug/chainmail-lab story policies/three-nodes; \
	else echo 'not root: the story of three nodes with the real daemons was not run'; fi

test:
	@tests/prepare test
	$(CARGO) build --locked --workspace --bins
	INSTA_UPDATE=no $(CARGO) test --locked --workspace

test-long:
	@tests/prepare test-long
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --package chainmail-reconciler -- --ignored --skip applying_costs_little --test-threads 2
	$(CARGO) test --locked --package chainmail-tests -- --ignored
	$(CARGO) test --locked --package chainmail-fetch --test trust -- --ignored
	$(CARGO) test --locked --package chainmail-lab --test fleet -- --ignored --nocapture
	$(CARGO) build --release --locked --workspace --bins
	$(CARGO) test --release --locked --package chainmail-fetch --test births -- --ignored --nocapture

# What is new stays in target/; a file that a target fails on is left in tests/fuzz/crashes, where `make test` runs it.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= config manifests node signers text tree walk
fuzz:
	@tests/prepare fuzz
	cd tests/fuzz && $(CARGO) build --release --locked
	cd tests/fuzz && for target in $(FUZZ_TARGETS); do \
	mkdir -p target/corpus/$$target crashes/$$target; \
	$(CARGO) run --quiet --release --locked --bin $$target -- target/corpus/$$target corpus/$$target -dict=dictionary \
	-artifact_prefix=crashes/$$target/ -timeout=5 -max_len=4096 -max_total_time=$(FUZZ_SECONDS) \
	-print_final_stats=1 || exit 1; \
	done; rmdir -p --ignore-fail-on-non-empty crashes/*

lint:
	@tests/prepare lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings

# 100 nodes, 10,000 pods, 1,000 policies: a cold compile against decoding alone, a diff against a compile, and what the
# busiest node's rules cost a packet; what applying costs beside the tools alone. Fails where a ratio is over 1.5 times the
# committed one.
BENCH = target/bench
bench:
	@tests/prepare bench
	$(CARGO) build --release --locked --workspace --bins
	target/release/chainmail-bench
	rm -rf $(BENCH)
	target/release/chainmail-bench-input 100 10000 1000 1 $(BENCH)/manifests
	target/release/chainmail compile $(BENCH)/manifests --out $(BENCH)/snapshots
	@if unshare -n true 2>/dev/null; then set -x; \
	target/release/chainmail-lab cost $(BENCH)/snapshots $(BENCH)/manifests --committed tests/lab/committed-cost.toml; \
	fi
	$(CARGO) test --release --locked --package chainmail-reconciler --test cost -- --ignored --nocapture

golden:
	$(CARGO) build --locked --workspace --bins
	INSTA_UPDATE=always INSTA_FORCE_PASS=1 $(CARGO) test --locked --package chainmail-tests

# Programs, units and example configurations. Nothing is started or enabled: `systemctl enable chainmail-boot` and
# `systemctl enable --now chainmail.target` do that, after `systemd-sysusers` and `systemd-tmpfiles --create`.
# The program that pulls is built by itself: in one build with `chainmail` that would link the network too, see
# docs/adr/0002-one-program-speaks-to-the-network.md.
DESTDIR =
PREFIX = /usr
install:
	$(CARGO) build --release --locked --package chainmail-fetch --bins
	$(CARGO) build --release --locked --package chainmail-compiler --package chainmail-reconciler --bins
	install -D -m 755 -t "$(DESTDIR)$(PREFIX)/bin" target/release/chainmail target/release/chainmaild target/release/chainmail-fetch
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/lib/systemd/system" systemd/*.service systemd/*.target systemd/*.timer
	install -D -m 644 systemd/chainmail.sysusers.conf "$(DESTDIR)$(PREFIX)/lib/sysusers.d/chainmail.conf"
	install -D -m 644 systemd/chainmail.tmpfiles.conf "$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/chainmail.conf"
	@[ -e "$(DESTDIR)/etc/chainmail/node.toml" ] || install -D -m 644 -t "$(DESTDIR)/etc/chainmail" systemd/node.toml
	install -D -m 644 systemd/fetch.toml "$(DESTDIR)/etc/chainmail/fetch.toml.example"
	install -D -m 644 systemd/inventory.env "$(DESTDIR)/etc/chainmail/inventory.env.example"
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/chainmail" systemd/rbac.yaml
