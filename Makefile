# `make demo` shows what Chainmail does, `make test` proves it. Both install what is missing when they run as root on
# Debian; see tests/prepare.

CARGO ?= cargo

.PHONY: demo test test-long bench lint golden help

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

golden:
	$(CARGO) build --locked --workspace --bins
	INSTA_UPDATE=always INSTA_FORCE_PASS=1 $(CARGO) test --locked --package chainmail-tests
