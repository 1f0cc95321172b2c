# Tests. `make check` is the whole quick tier; asan and tsan build everything again under a
# sanitizer. What a tier runs and how it counts is tests/run.py's.

.PHONY: check asan tsan lint bench fuzz tests setup-build setup-test format

# Every test program is tests/<tier>/test_*.c, linked with all of acceld.
UNIT_TESTS   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
KERNEL_TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/kernels/test_*.c))

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(BUILD)/libacceld.a $(BUILD)/libaccelinfer.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(BUILD)/libacceld.a $(BUILD)/libaccelinfer.a $(LIBS)

# Fuzz targets: tests/fuzz/fuzz_*.c, each with what it needs beside acceld. Built twice: with
# replay.c, by any compiler, for the corpus alone; with libFuzzer for `make fuzz`.
FUZZ_NAMES  := $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_REPLAY := $(addprefix $(BUILD)/tests/fuzz/,$(FUZZ_NAMES))
FUZZERS     := $(addprefix $(BUILD)/fuzzers/,$(FUZZ_NAMES))
FUZZ_OBJ_fuzz_pci := $(call obj,$(filter-out %/names.c,$(wildcard drivers/pci/*.c)) tests/fuzz/tree_host.c)
FUZZ_OBJ_fuzz_cpu := $(call obj,$(wildcard drivers/cpu/*.c) tests/fuzz/tree_host.c)
FUZZ_OBJ_fuzz_onnx := $(call obj,tests/fuzz/onnx_mutator.c)

$(FUZZ_REPLAY): $(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $$(FUZZ_OBJ_$$*) \
                                      $(BUILD)/libacceld.a $(BUILD)/libaccelinfer.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(FUZZERS): $(BUILD)/fuzzers/%: $(BUILD)/obj/tests/fuzz/%.o $$(FUZZ_OBJ_$$*) $(BUILD)/libacceld.a $(BUILD)/libaccelinfer.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LIBS)

.PHONY: fuzzers
fuzzers: $(FUZZERS)

tests: $(UNIT_TESTS) $(KERNEL_TESTS) $(FUZZ_REPLAY) ## build the test programs

setup-build:
	@tools/setup.sh build
setup-test:
	@tools/setup.sh test

RUN_TESTS = .venv/bin/python tests/run.py
JOBS := $(shell nproc 2>/dev/null || echo 2)

# A fresh make after the set-up: this one was read before compilers and libraries were there.
check: setup-test ## build and run lint, unit, kernels, conformance, differential, api and e2e tests
	@$(MAKE) --no-print-directory -j$(JOBS) all tests
	$(Q)$(RUN_TESTS) --build $(BUILD) lint unit fuzz-replay kernels conformance differential api e2e

.PHONY: check-slow
check-slow: setup-test ## every reference model, the large ones too: minutes, 2 GB of disk and memory
	@$(MAKE) --no-print-directory -j$(JOBS) all
	$(Q)$(RUN_TESTS) --build $(BUILD) slow

asan: setup-test ## all tests under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/asan SAN=address,undefined CFLAGS='-O1 -g' all tests
	$(Q)$(RUN_TESTS) --build $(BUILD)/asan --graphs 300 unit fuzz-replay kernels conformance differential api e2e

tsan: setup-test ## what is threaded under ThreadSanitizer
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/tsan SAN=thread CFLAGS='-O1 -g' all tests
	$(Q)$(RUN_TESTS) --build $(BUILD)/tsan unit api

clang: setup-test ## everything compiles under clang too
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/clang CC=clang all tests

lint: setup-test ## dependency arrows, SQL in its place, formatting, shell
	$(Q)$(RUN_TESTS) --build $(BUILD) lint

format: ## rewrite the C files as .clang-format says
	clang-format-14 -i $$(git ls-files '*.c' '*.h')

.PHONY: operators
operators: $(BUILD)/accel-run ## write docs/operators.md from the operator table
	$(BUILD)/accel-run ops --markdown >docs/operators.md

bench: setup-test ## measure: models beside ONNX Runtime, predictions beside runs
	@$(MAKE) --no-print-directory -j$(JOBS) all tests
	$(Q).venv/bin/python tests/bench/compare_ort.py --build $(BUILD)
	$(Q).venv/bin/python tests/bench/daemon_figures.py --build $(BUILD)
	$(Q).venv/bin/python tests/bench/rest_throughput.py --build $(BUILD)
	@$(MAKE) --no-print-directory bench-predict

.PHONY: bench-predict
bench-predict: setup-test $(BUILD)/tests/bench/predict ## measure: predicted latency beside measured, all models at hand
	$(Q)$(PYTHON) tests/bench/predict.py --build $(BUILD)

# Seconds for each target. What it finds lies in $(BUILD)/fuzz/findings; CI takes five minutes in all.
FUZZ_SECONDS ?= 30
FUZZ_ONLY ?= *
fuzz: setup-test ## feed made-up bytes to every parser: FUZZ_SECONDS=30 each, FUZZ_ONLY=fuzz_json
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/fuzz CC='$(FUZZ_CC)' \
	  SAN=fuzzer-no-link,address,undefined CFLAGS='-O1 -g -fno-sanitize-recover=undefined' fuzzers
	$(Q)$(PYTHON) tests/fuzz/run.py --build $(BUILD)/fuzz --seconds $(FUZZ_SECONDS) --only '$(FUZZ_ONLY)'
FUZZ_CC ?= clang

# Another SEED, other graphs; 0 takes one from the clock and prints it. What differs lies in $(BUILD)/differential.
SECONDS ?= 600
SEED ?= 0
.PHONY: differential
differential: setup-test ## random graphs here and in ONNX Runtime: SECONDS=3600 SEED=0
	@$(MAKE) --no-print-directory -j$(JOBS) all
	$(Q)cd tests && ../.venv/bin/python -m differential --build $(BUILD) --seconds $(SECONDS) --seed $(SEED)

.PHONY: demo
demo: setup-build ## build, start the daemon, find the devices, run a real model on a photograph
	@$(MAKE) --no-print-directory -j$(JOBS) all
	$(Q)BUILD=$(BUILD) tools/demo.sh
