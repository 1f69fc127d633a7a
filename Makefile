# One target per intent; `make help` lists them. C++ is compiled by cgo: a plain `go build ./...`
# works too once third_party/setup.sh finds nothing missing. CMake is for the C++ tests alone.

include third_party/versions.mk

# Settings, all of which may be given on the command line or in the environment.
#   ARGS            flags for `make train`, `make demo` and what begins with `make bench` (of bench-scaling, its first part)
#   TAGS            build tags; purego leaves C++ out
#   GO_TEST_FLAGS   flags for every `go test`
#   CRASHES         how often `make crashtest` kills
#   FUZZTIME        how long `make fuzz` spends on each target
#   LOCOPROP_DATA   a folder with mnist/…: tests that can use real data do
ARGS          ?=
TAGS          ?=
GO_TEST_FLAGS ?=
CRASHES       ?= 300
FUZZTIME      ?= 2m
JOBS          ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
CLANG_FORMAT  ?= $(shell command -v clang-format-$(CLANG_VERSION) || echo clang-format)
CLANG_TIDY    ?= $(shell command -v clang-tidy-$(CLANG_VERSION) || echo clang-tidy)

# What depends on the kind of CPU.
TARGET_TESTS  := ^(TestConformance|TestAgainstGonum)$$

# Tests run in their package's folder, where a relative path would lead elsewhere.
ifneq ($(LOCOPROP_DATA),)
export LOCOPROP_DATA := $(abspath $(LOCOPROP_DATA))
endif

GO       := go
SETUP    := third_party/setup.sh
PUREGO   := CGO_ENABLED=0 $(GO)
PURE     := $(or $(filter purego,$(TAGS)),$(filter 0,$(CGO_ENABLED)))
TEST_FOR := $(GO) test -timeout 15m $(GO_TEST_FLAGS)
CXX_FILES = $(shell find csrc -name '*.h' -o -name '*.cc' -o -name '*.cpp')

# With MAKEFLAGS of its own, or the inner make complains of a job server that isn't its.
CMAKE_BUILD := MAKEFLAGS=--no-print-directory cmake --build
CTEST       := ctest --output-on-failure --no-tests=error --timeout 300 -j $(JOBS)

.DEFAULT_GOAL := build

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: ## install what the native backend needs, saying what first
	@$(SETUP)

.PHONY: build
build: ## build bin/locoprop, with the native backend where it can be built
ifneq ($(PURE),)
	$(PUREGO) build -tags 'purego $(TAGS)' -o bin/locoprop ./cmd/locoprop
else
	@if missing=$$($(SETUP) --check); then \
		set -x; $(GO) build -tags '$(TAGS)' -o bin/locoprop ./cmd/locoprop; \
	elif [ $$? -eq 3 ]; then \
		echo "bin/locoprop: pure Go, since this is missing: $$missing. 'make setup build' makes it several times faster."; \
		set -x; $(PUREGO) build -tags 'purego $(TAGS)' -o bin/locoprop ./cmd/locoprop; \
	else \
		exit 1; \
	fi
endif

.PHONY: train
train: ## set up, build, and train on data that it generates, for about a minute
ifeq ($(PURE),)
	@$(SETUP) || [ $$? -eq 3 ]
endif
	@$(MAKE) --no-print-directory build
	@bin/locoprop train $(ARGS)

.PHONY: demo
demo: ## set up, build, and compare LocoProp's fast, the paper's LocoProp-M and Adam, 45 seconds each on CURVES
ifeq ($(PURE),)
	@$(SETUP) || [ $$? -eq 3 ]
endif
	@$(MAKE) --no-print-directory build
	@bin/locoprop compare --methods fast,locoprop-m,adam --seeds 1 --seconds 45 $(ARGS)

# What these write tells its commit, whatever Go is set to; several in one call of make are of one build.
# They need a machine that does nothing else.
bench bench-forms bench-scaling: export GOFLAGS = $(strip $(filter-out -buildvcs=%,$(shell $(GO) env GOFLAGS)) \
	-buildvcs=$(if $(shell git rev-parse HEAD 2>/dev/null),auto,false))

.PHONY: bench
bench: build ## measure what speed is judged by, and write it into docs/benchmarks.md; takes some minutes
	bin/locoprop bench figures --page docs/benchmarks.md $(ARGS)

# On one worker, as the cost model counts: in a step the other layers keep the other cores busy.
.PHONY: bench-forms
bench-forms: build ## measure every form of the local solve on 64 layers, into docs/forms.md; up to 12 minutes
	bin/locoprop bench forms --workers 1 --rounds 3 --limit 1s --budget 11m --page docs/forms.md $(ARGS)

.PHONY: bench-scaling
bench-scaling: build ## measure how a step grows, and simulate it on more cores, into docs/scaling.md; about 7 minutes on two cores
	bin/locoprop bench scaling --rounds 5 --page docs/scaling.md --charts $(ARGS)
	bin/locoprop bench schedule --rounds 3 --page docs/scaling.md

.PHONY: docs
docs: build ## write docs/cli.md, the reference of the command line, as the program is
	@mkdir -p build
	bin/locoprop reference > build/cli.md
	mv build/cli.md docs/cli.md

# Both need MNIST (bin/locoprop data fetch mnist) and a machine that does nothing else; after an interruption
# the same command goes on.
.PHONY: comparison
comparison: build ## tune and compare LocoProp and others on MNIST and CURVES, about seven hours on two cores; resumable
	bin/locoprop study --config docs/comparison/long.toml --out runs/comparison --page docs/comparison.md

.PHONY: comparison-short
comparison-short: build ## the same with short runs, under 90 minutes on two cores; resumable
	bin/locoprop study --config docs/comparison/short.toml --out runs/comparison-short --page docs/comparison.md

.PHONY: rates
rates: build ## find the default rate of every pair (method, optimiser); resumable
	bin/locoprop rates

# --- tests ------------------------------------------------------------------

TEST_STAGES := test-go test-targets test-cpp test-sanitize test-race test-purego test-cross test-fuzz

.PHONY: test
test: ## set up, then run every test, Go and C++
	@$(SETUP) --test
	@$(MAKE) --no-print-directory python || echo "== no TensorBoard: its test is left out"
	@for stage in $(TEST_STAGES); do \
		begun=$$(date +%s); \
		echo "== $$stage"; \
		$(MAKE) --no-print-directory $$stage || { echo "== $$stage failed"; exit 1; }; \
		echo "== $$stage took $$(($$(date +%s) - begun)) s"; \
	done

# Tests that need it are left out, and say so, where there is no Python or no way to get the package.
PYTHON := build/python/bin/python

build/python/ready: third_party/versions.mk
	@python3 -m venv build/python && $(PYTHON) -m pip install -q --disable-pip-version-check \
		tensorboard==$(TENSORBOARD_VERSION) && touch $@ || { rm -rf build/python; exit 1; }

.PHONY: python
python: build/python/ready ## Python with TensorBoard in build/python, for the tests that read event files with it

.PHONY: test-go
test-go: ## Go tests, all backends
	$(TEST_FOR) ./...

# The best of this CPU is what test-go runs with; each run here forces another vector target and another
# kind of OpenBLAS kernels. The test binary is built once, and says what it skips.
.PHONY: test-targets
test-targets: ## Go conformance tests of the native backend with other kinds of CPU, as far as they can be forced
	@mkdir -p build
	$(GO) test -c -o build/native.test ./locoprop/backend/native
	@cd locoprop/backend/native && for kind in AVX2:Haswell SSE4:Nehalem baseline:Zen; do \
		export LP_TEST_TARGET=$${kind%:*} OPENBLAS_CORETYPE=$${kind#*:}; \
		echo "LP_TEST_TARGET=$$LP_TEST_TARGET OPENBLAS_CORETYPE=$$OPENBLAS_CORETYPE"; \
		$(CURDIR)/build/native.test -test.short -test.run '$(TARGET_TESTS)' || exit 1; \
	done

.PHONY: test-cpp
test-cpp: ## C++ tests
	cmake -S . -B build/release -DCMAKE_BUILD_TYPE=Release -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
	$(CMAKE_BUILD) build/release -j $(JOBS)
	$(CTEST) --test-dir build/release

# In each of these folders a test with a planted bug passes only if the sanitizer sees it.
.PHONY: test-sanitize
test-sanitize: ## C++ tests under ASan + UBSan and under TSan
	cmake -S . -B build/asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLP_SANITIZE=address
	$(CMAKE_BUILD) build/asan -j $(JOBS)
	$(CTEST) --test-dir build/asan
	cmake -S . -B build/tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLP_SANITIZE=thread
	$(CMAKE_BUILD) build/tsan -j $(JOBS)
	$(CTEST) --test-dir build/tsan

.PHONY: sanitize
sanitize: test-sanitize ## the same as test-sanitize

.PHONY: test-race
test-race: ## Go tests of what runs in parallel, under the race detector
	$(TEST_FOR) -race -short ./locoprop/...

# The three ways to leave C++ out: cgo off, the tag, both. The binary with the tag is what is tested.
.PHONY: test-purego
test-purego: ## build and tests without cgo
	$(PUREGO) build ./...
	$(GO) build -tags purego ./...
	$(PUREGO) build -tags purego ./...
	CGO_ENABLED=0 $(TEST_FOR) -tags purego -short ./...

# CURVES is promised to have the same bits everywhere. amd64 at v1 has no fused multiply-add and at v3
# has, so the compiler's fusing would show; a run that found no such test would prove nothing.
.PHONY: test-cross
test-cross: ## CURVES digest at GOAMD64=v1 and v3; pure-Go builds for other systems
	@if [ "$$($(GO) env GOHOSTARCH)" = amd64 ]; then \
		for level in v1 v3; do \
			if [ $$level = v3 ] && [ -r /proc/cpuinfo ] && ! grep -qw fma /proc/cpuinfo; then \
				echo "GOAMD64=v3: not run, this processor has no FMA; run 'make test-cross' on one that has"; \
				continue; \
			fi; \
			echo "GOAMD64=$$level $(GO) test -tags purego -run Digest ./locoprop/dataset"; \
			out=$$(CGO_ENABLED=0 GOAMD64=$$level $(GO) test -tags purego -count 1 -v -run Digest ./locoprop/dataset 2>&1) && \
				printf '%s\n' "$$out" | grep -q '^--- PASS' || { printf '%s\n' "$$out"; exit 1; }; \
			printf '%s\n' "$$out" | grep -E '^(---|ok)'; \
		done; \
	else \
		echo "GOAMD64: not run, this machine isn't amd64"; \
	fi
	GOOS=linux GOARCH=arm64 $(PUREGO) build -tags purego ./...
	GOOS=darwin GOARCH=arm64 $(PUREGO) build -tags purego ./...
	GOOS=windows GOARCH=amd64 $(PUREGO) build -tags purego ./...

# each_fuzz_target DURATION: a duration, or Nx for a number of inputs, which no slow machine cuts short.
define each_fuzz_target
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' bindings cmd locoprop | sort | { \
		found=0; \
		while IFS=: read -r file function; do \
			folder=./$$(dirname "$$file"); name=$${function#func }; found=$$((found + 1)); \
			echo "$(GO) test -run '^$$' -fuzz '^$$name$$' -fuzztime $(1) $$folder"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(1) "$$folder" || exit 1; \
		done; \
		[ $$found -gt 0 ] || { echo "no fuzz target found"; exit 1; }; \
	}
endef

.PHONY: test-fuzz
test-fuzz: ## each fuzz target, 10,000 inputs
	$(call each_fuzz_target,10000x)

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (2m)
	$(call each_fuzz_target,$(FUZZTIME))

.PHONY: crashtest
crashtest: ## kill a training process at CRASHES (300) random moments; each time it goes on to the same bits
	LOCOPROP_CRASHES=$(CRASHES) $(TEST_FOR) -timeout 2h -count 1 -v -run '^TestKilled$$' ./cmd/locoprop

.PHONY: cover
cover: ## test coverage of the Go packages, as build/coverage.html
	@mkdir -p build
	$(TEST_FOR) -coverpkg=./... -coverprofile=build/coverage.out ./...
	$(GO) tool cover -html=build/coverage.out -o build/coverage.html
	@$(GO) tool cover -func=build/coverage.out | tail -n 1

# --- style ------------------------------------------------------------------

# Built with this module's Go, so that it can read what that Go compiles; kept in bin/tools.
GOLANGCI_LINT := bin/tools/golangci-lint-$(GOLANGCI_LINT_VERSION)

$(GOLANGCI_LINT):
	@echo "building golangci-lint $(GOLANGCI_LINT_VERSION), once: takes a few minutes"
	@mkdir -p bin/tools
	@GOBIN=$(CURDIR)/bin/tools GOFLAGS= $(PUREGO) install \
		github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv bin/tools/golangci-lint $@

.PHONY: lint
lint: ## set up, then check style and run the linters, Go and C++
	@$(SETUP) --lint
	@$(MAKE) --no-print-directory lint-go lint-cpp

.PHONY: lint-go
lint-go: $(GOLANGCI_LINT) ## Go: golangci-lint with and without cgo, go.mod, licence notices
	$(GO) mod tidy -diff
	$(GOLANGCI_LINT) fmt --diff
	$(GOLANGCI_LINT) run --allow-parallel-runners ./...
	CGO_ENABLED=0 $(GOLANGCI_LINT) run --allow-parallel-runners --build-tags purego ./...
	@! grep -rlE --include='*.go' '^(import )?[[:space:]]*"C"$$' bindings cmd csrc locoprop | \
		grep -vE '^(bindings/|csrc/csrc\.go$$)' || { echo 'only bindings/ and csrc/csrc.go may import "C"'; exit 1; }
	@status=0; \
	for module in $$($(GO) list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}' ./cmd/... | sort -u); do \
		grep -qF "| $$module |" third_party/README.md || \
			{ echo "third_party/README.md: no row for $$module, which the binary links"; status=1; }; \
	done; exit $$status

# The vector code is compiled once per instruction set; looking at it once is enough.
.PHONY: lint-cpp
lint-cpp: ## C++: clang-format, clang-tidy
	$(CLANG_FORMAT) --dry-run -Werror $(CXX_FILES)
	@[ -f build/release/compile_commands.json ] || \
		cmake -S . -B build/release -DCMAKE_BUILD_TYPE=Release -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
	find csrc -maxdepth 1 '(' -name '*.cc' -o -name '*.cpp' ')' | xargs -n 1 -P $(JOBS) \
		$(CLANG_TIDY) --quiet -p build/release --extra-arg=-DHWY_COMPILE_ONLY_STATIC

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## format all Go and C++ source
	$(GOLANGCI_LINT) fmt
	$(CLANG_FORMAT) -i $(CXX_FILES)

.PHONY: clean
clean: ## remove what was built; runs/ and bin/tools stay
	rm -rf build bin/locoprop
