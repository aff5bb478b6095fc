# `make demo` shows what Chainmail does, `make test` proves it. Both install what is missing when they run as root on
# Debian; see tests/prepare.

CARGO ?= cargo

.PHONY: demo test bench lint golden help

help:
	@echo "make demo    the tutorial: rules, truth tables and diffs; as root also with real packets"
	@echo "make test    all tests; as root also on real kernels"
	@echo "make lint    formatting and lints"
	@echo "make golden  rewrite the goldens in snapshots/ and tests/, for review"
	@echo "make bench   measurements, against the committed ones"

demo:
	@tests/prepare demo
	@$(CARGO) build --quiet --locked --workspace --bins
	@target/debug/chainmail-lab demo policies/aks-tutorial

test:
	@tests/prepare test
	$(CARGO) build --locked --workspace --bins
	INSTA_UPDATE=no $(CARGO) test --locked --workspace

lint:
	@tests/prepare lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings

# 100 nodes, 10,000 pods, 1,000 policies: a cold compile against decoding alone, and what the busiest node's rules cost a
# packet. Fails where a ratio is over 1.5 times the committed one.
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

golden:
	$(CARGO) build --locked --workspace --bins
	INSTA_UPDATE=always INSTA_FORCE_PASS=1 $(CARGO) test --locked --package chainmail-tests
