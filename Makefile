# make up    three brokers on this machine, from examples/three-brokers.yaml
# make test  all checks and tests
# make bench Apache Kafka and Chronik side by side
# make images  the images of broker and operator, with docker or buildah
# make e2e   the chart and clusters on a real Kubernetes (PROVIDER=devcluster, kind or kubeconfig; E2E="--short")
# make sim   many random clusters in the simulator (RUNS=..., default 200)
# make sim-mutants  put mistakes in, one at a time: the simulator must notice all

MANIFEST ?= examples/three-brokers.yaml
RUNS ?= 200
TARGET := $(or $(CARGO_TARGET_DIR),target)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# $(call need,PROGRAM,DEBIAN PACKAGE): installs the package unless the program is there.
define need
	@command -v $(1) >/dev/null || { echo "== $(1) is missing: installing $(2)"; \
	  command -v apt-get >/dev/null || { echo "please install $(1) yourself (Debian calls it $(2))"; exit 1; }; \
	  { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq $(2) >/dev/null; } \
	  || { echo "could not install $(2); run: apt-get install -y $(2)"; exit 1; }; }
endef

# $(call stage,NAME,COMMAND): says what runs, and how long it took.
define stage
	@echo "== $(1)"; start=$$(date +%s); $(2); code=$$?; \
	  echo "== $(1): $$(( $$(date +%s) - start )) s, exit $$code"; exit $$code
endef

.PHONY: up test bench images e2e sim sim-mutants build-tools test-tools

build-tools:
	$(call need,cc,build-essential)
	$(call need,protoc,protobuf-compiler)

test-tools: build-tools
	$(call need,java,default-jre-headless)
	$(call need,mvn,maven)
	$(call need,kcat,kcat)

up: build-tools
	$(call stage,build,cargo build --locked -p chronik-broker -p chronik-operator --bins)
	@exec $(TARGET)/debug/chronik-operator run --platform local $(MANIFEST)

# Always the whole workspace: a part of it would be built again with other features.
test: test-tools
	$(call stage,format,cargo fmt --all --check)
	$(call stage,clippy,cargo clippy --workspace --all-targets --locked -- -D warnings && cargo clippy --workspace --test cluster --locked -- -D warnings)
	$(call stage,build,cargo test --workspace --locked --no-run && cargo test --workspace --locked --no-run --test cluster)
	$(call stage,tests of the crates,cargo test --workspace --locked)
	$(call stage,simulator,$(TARGET)/debug/chronik-sim --runs $(RUNS) && $(TARGET)/debug/chronik-sim --crash-points)
	$(call stage,build with mistakes,cargo build --workspace --locked --features chronik-sim/mutants --bin chronik-sim)
	$(call stage,mistakes in the simulator,$(TARGET)/debug/chronik-sim --mutants --runs 400)
	$(call stage,clusters of processes,cargo test --workspace --locked --test cluster -- --test-threads 1 --nocapture)
	$(call stage,kubernetes,PROVIDER=devcluster e2e/kube --short)

bench: test-tools
	$(call stage,build,cargo build --release --locked -p chronik-broker -p chronik-operator -p chronik-e2e --bins)
	$(call stage,bench,$(TARGET)/release/chronik-bench $(BENCH))

images: build-tools
	e2e/images

e2e: build-tools
	e2e/kube $(E2E)

sim: build-tools
	cargo run --release --quiet -p chronik-sim --locked -- --runs $(RUNS)

sim-mutants: build-tools
	cargo run --release --quiet -p chronik-sim --locked --features mutants -- --mutants --runs 400
