# Cambium. `make help` lists the targets; MODE=release|clang|debug|asan|tsan|fuzz|aarch64 picks the variant (build/MODE).

MODE    ?= release
ifeq ($(MODE),aarch64)
CC      := aarch64-linux-gnu-gcc
endif
CC      ?= cc
PREFIX  ?= /usr/local
OUT     := build/$(MODE)
GEN     := build/proto
PACKAGES := libmicrohttpd libcjson libprotobuf-c libjpeg spng libwebp libwebpdemux libarchive sqlite3 nettle

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
FLAGS.release := -O2 -g
FLAGS.clang   := -O2
FLAGS.debug   := -O0 -g
FLAGS.asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS.aarch64 := -O2 -g -DCB_ARENA_MOST='((size_t)1<<28)' -isystem tests/plain -isystem build/aarch64-root/usr/include
FLAGS.tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
FLAGS.fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
CFLAGS += -std=gnu17 $(WARN) $(FLAGS.$(MODE)) $(EXTRA) -ffp-contract=fast -I. -Ibuild -MMD -MP \
          $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LDLIBS += $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthread -lm

# Criterion's macros do not survive the stricter ones.
$(OUT)/tests/%: WARN = -Wall -Wextra

# Operators are loops over whole tensors: vectors of the instructions that every CPU has.
$(OUT)/core/ops/%: ISA = -O3 -fno-math-errno -fno-trapping-math

# Only the kernel families get flags of an instruction set; nothing else may use it unasked.
$(OUT)/core/kernels/avx2/%:   ISA = -O3 -mavx2 -mfma
AVX512 := -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512
$(OUT)/core/kernels/avx512/%: ISA = $(AVX512)
$(OUT)/core/kernels/avx512/vnni.o: ISA = $(AVX512) -mavx512vnni
$(OUT)/core/kernels/avx512/bf16.o: ISA = $(AVX512) -mavx512bf16

# Scheduling before registers are given out would push the sums of a tile into memory.
$(OUT)/core/kernels/neon/%:   ISA = -O3 $(if $(findstring clang,$(CC)),,-fno-schedule-insns)

# The unrolled kernels parse nothing, and take minutes to compile with a fuzzer's instruments.
$(OUT)/core/kernels/%: FLAGS.fuzz = -O1 -g

# Kernel families of this processor; the others do not even compile here.
SETS.x86_64  := avx2 avx512
SETS.aarch64 := neon
CPU     := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
FOREIGN := $(filter-out $(SETS.$(CPU)),avx2 avx512 neon)

LIB_SRC  := $(filter-out $(FOREIGN:%=core/kernels/%/%),$(sort $(shell find core importers -name '*.c')))
APP_SRC  := $(sort $(shell find server cli -name '*.c'))
TEST_SRC := $(sort $(shell find tests -name '*.c' -not -path 'tests/fuzz/*' -not -path 'tests/race/*' -not -path 'tests/plain/*'))
OBJ = $(patsubst %.c,$(OUT)/%.o,$(1))
LIB_OBJ  := $(call OBJ,$(LIB_SRC)) $(OUT)/proto/onnx.pb-c.o

## all: build/cambium and build/libcambium.a
all: build/cambium build/libcambium.a

build/cambium: $(OUT)/cambium
	@cp $< $@
build/libcambium.a: $(OUT)/libcambium.a
	@cp $< $@

$(OUT)/cambium: $(call OBJ,$(APP_SRC)) $(OUT)/libcambium.a
	@echo "LD $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/libcambium.a: $(LIB_OBJ) $(OUT)/sources
	@echo "AR $@"
	@rm -f $@ && ar rcs $@ $(LIB_OBJ)

# A source that is gone must not stay linked: this file changes with the list.
$(OUT)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(LIB_SRC) $(APP_SRC) $(TEST_SRC)' | cmp -s - $@ || echo '$(LIB_SRC) $(APP_SRC) $(TEST_SRC)' > $@
FORCE:

$(OUT)/unit-tests: $(call OBJ,$(TEST_SRC)) $(filter-out $(OUT)/cli/main.o,$(call OBJ,$(APP_SRC))) $(OUT)/libcambium.a
	@echo "LD $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS) -lcriterion

$(OUT)/peer-ort: $(OUT)/bench/peer_ort.o $(OUT)/libcambium.a
	@echo "LD $@"
	@$(CC) $(CFLAGS) -o $@ $^ -ldl -lpthread -lm

$(OUT)/compare: $(OUT)/bench/measure.o
$(OUT)/plots: $(OUT)/bench/measure.o $(OUT)/bench/chart.o
$(OUT)/compare $(OUT)/plots: $(OUT)/%: $(OUT)/bench/%.o $(OUT)/libcambium.a
	@echo "LD $@"
	@$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

$(OUT)/bench-kernels: $(OUT)/bench/kernels.o $(OUT)/libcambium.a
	@echo "LD $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

# tests/fuzz/fuzz_X.c over files, without libFuzzer: make MODE=asan build/asan/replay-X
$(OUT)/replay-%: $(OUT)/tests/fuzz/fuzz_%.o $(OUT)/tests/fuzz/replay_main.o $(OUT)/libcambium.a
	@echo "LD $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/seedling: $(OUT)/tools/seedling.o $(OUT)/tests/support/onnx_builder.o $(OUT)/libcambium.a
	@echo "LD $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

# What is kept on disk is of one build: a number that changes with the code that plans and packs.
$(OUT)/importers/cache/packed.o: $(GEN)/code.h
$(GEN)/code.h: FORCE
	@mkdir -p $(@D)
	@echo "#define CB_CODE \"$$(cat $(sort $(shell find core importers -name '*.[ch]')) | sha256sum | cut -c1-64)\"" > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(OUT)/%.o: %.c | $(GEN)/onnx.pb-c.h
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(CFLAGS) $(ISA) -c $< -o $@

$(OUT)/importers/model/seedling.o: importers/model/seedling.onnx
$(OUT)/importers/catalogue/embedded.o: importers/catalogue/catalog.json

$(OUT)/proto/onnx.pb-c.o: $(GEN)/onnx.pb-c.h
	@mkdir -p $(@D)
	@$(CC) -O2 -I build -c $(GEN)/onnx.pb-c.c -o $@

$(GEN)/onnx.pb-c.h: proto/onnx.proto
	@mkdir -p $(GEN)
	@protoc-c --proto_path=proto --c_out=$(GEN) onnx.proto

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

## help: this list
help:
	@sed -n 's/^## \([a-z0-9-]*:\)/  \1/p' $(firstword $(MAKEFILE_LIST))

# What reads requests is no part of the library.
REQUEST_SRC := server/request.c server/multipart.c server/json.c
$(OUT)/replay-request: $(call OBJ,$(REQUEST_SRC))
build/fuzz/fuzz_request: $(REQUEST_SRC:%.c=build/fuzz/%.o)

FUZZERS := $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.c)))

## replay: the fuzz targets over the files that are kept for them, without libFuzzer
replay: $(FUZZERS:fuzz_%=$(OUT)/replay-%)
	@for f in $(FUZZERS:fuzz_%=%); do \
	    [ ! -d tests/fuzz/corpus/fuzz_$$f ] || $(OUT)/replay-$$f tests/fuzz/corpus/fuzz_$$f || exit 1; done

## check: build and run the tests (no installation)
check: $(OUT)/unit-tests $(OUT)/cambium replay
	@CAMBIUM_BIN=$(abspath $(OUT)/cambium) $(OUT)/unit-tests --timeout 300

## check-models: the real networks of ../shared against the reference's outputs and classes
check-models: $(OUT)/unit-tests
	@$(OUT)/unit-tests --timeout 600 --filter 'reference/*'

PYTHON ?= /usr/bin/python3

## families: small networks of every family, made by PyTorch, forward and backward against its answers
families: $(OUT)/unit-tests
	@if $(PYTHON) -c 'import torch, onnx' 2>/dev/null; then \
	    $(PYTHON) tests/models/make_families.py build/families && \
	    CAMBIUM_FAMILIES=build/families $(OUT)/unit-tests --timeout 600 --filter 'networks/of_every*'; \
	else echo "families: skipped: $(PYTHON) has no torch or no onnx (Debian: python3-torch python3-onnx)"; fi

## bench-kernels: GFLOP/s of convolutions and products by shape, set and threads
bench-kernels: $(OUT)/bench-kernels
	@$<

# The core and its tests for AArch64, under emulation, where Criterion cannot run (tests/plain). The emulator
# keeps books on every page that was ever mapped: arenas are small, -R bounds the books, and test_hostile_nodes.c, which
# maps 60,000 times, is left out. So is test_choose.c: what is faster under emulation says nothing.
ARM_DIRS  := base tensor kernels ops graph exec grad
ARM_TESTS := $(filter-out %/test_hostile_nodes.c %/test_choose.c,$(foreach d,$(ARM_DIRS),$(filter tests/core/$(d)/%,$(TEST_SRC)))) \
             tests/plain/main.c
ARM_SUPPORT := $(shell grep -L 'importers/\|<archive\|<jpeg\|<webp' tests/support/*.c)
build/aarch64/support.a: $(call OBJ,$(ARM_SUPPORT))
	@rm -f $@ && ar rcs $@ $^
build/aarch64/core-tests: $(call OBJ,$(ARM_TESTS) $(filter core/%,$(LIB_SRC))) build/aarch64/support.a Makefile
	@echo "LD $@"
	@$(CC) -static -o $@ $(filter %.o %.a,$^) build/aarch64-root/usr/lib/aarch64-linux-gnu/libnettle.a -lpthread -lm

## check-aarch64: the core's tests for AArch64 and its NEON kernels, under qemu (make deps-aarch64 first)
check-aarch64:
	@$(MAKE) MODE=aarch64 build/aarch64/core-tests
	@qemu-aarch64-static -R 128G build/aarch64/core-tests $(FILTER)

ARM_LIBS := build/aarch64-root/usr/lib/aarch64-linux-gnu
# `cambium verify` for AArch64, to run whole networks under emulation.
ARM_VERIFY := $(filter core/% importers/onnx/% importers/tensor/% importers/model/% importers/cache/%,$(LIB_SRC)) \
              cli/verify.c cli/graph_run.c cli/output.c cli/options.c server/json.c tests/plain/verify.c
build/aarch64/verify: $(call OBJ,$(ARM_VERIFY)) $(OUT)/proto/onnx.pb-c.o
	@echo "LD $@"
	@$(CC) -o $@ $^ $(addprefix $(ARM_LIBS)/,libprotobuf-c.a libcjson.so.1 libnettle.a) -lpthread -lm

## families-aarch64: the networks of `make families` (or FOLDERS) on NEON kernels, under qemu
families-aarch64:
	@$(MAKE) MODE=aarch64 build/aarch64/verify
	@qemu-aarch64-static -R 128G -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=$(ARM_LIBS) build/aarch64/verify --of-largest 1e-4 $(or $(FOLDERS),build/families)

## sanitize: the tests under the address and undefined-behaviour sanitizers; leaks fail too
sanitize:
	@rm -rf build/asan-log && mkdir -p build/asan-log
	@$(MAKE) MODE=asan build/asan/unit-tests build/asan/cambium
	@ASAN_OPTIONS=log_path=$(CURDIR)/build/asan-log/r LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0 \
	    UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) MODE=asan check
	@! cat build/asan-log/* 2>/dev/null | grep .

FUZZ_SECONDS ?= 60

## fuzz: every parser of foreign bytes under libFuzzer, FUZZ_SECONDS each (needs clang)
fuzz:
	@$(MAKE) MODE=fuzz CC=clang $(FUZZERS:%=build/fuzz/%)
	@for f in $(FUZZERS); do mkdir -p build/corpus/$$f tests/fuzz/corpus/$$f; \
	    build/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=3000 \
	        -artifact_prefix=build/corpus/$$f- build/corpus/$$f tests/fuzz/corpus/$$f || exit 1; done

build/fuzz/fuzz_onnx build/fuzz/fuzz_network build/fuzz/fuzz_head: build/fuzz/tests/fuzz/wire_mutator.o

build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o build/fuzz/libcambium.a
	@echo "LD $@"
	@$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

# Choices by measurement are kept apart from the user's.
BENCH = CAMBIUM_CACHE=$${CAMBIUM_CACHE:-build/bench-cache} PEER=$(OUT)/peer-ort \
        ORT_LIB=$${ORT_LIB:-$$(find build/peers -name 'libonnxruntime.so.1' -path '*linux/$(NODE_CPU)/*' 2>/dev/null | head -1)}
NODE_CPU = $(if $(filter aarch64,$(CPU)),arm64,x64)

## bench: against ONNX Runtime in turns, MODELS="FILE..." (ROUNDS SECONDS_EACH THREADS BATCHES PRECISION; docs/BENCHMARKS.md)
bench: all $(OUT)/peer-ort $(OUT)/compare
	@$(BENCH) $(OUT)/compare speed $(MODELS)

## bench-load: the same for the time to the first result, and memory
bench-load: all $(OUT)/peer-ort $(OUT)/compare
	@$(BENCH) $(OUT)/compare load $(MODELS)

## bench-tools: what the targets above and seedling run
bench-tools: $(addprefix $(OUT)/,peer-ort compare plots bench-kernels seedling)

PLOTS ?= docs

## plots: how time grows with batch, size and threads, for MODELS="FILE...": .csv and .svg in PLOTS (docs)
plots: all $(OUT)/peer-ort $(OUT)/plots
	@$(BENCH) $(OUT)/plots measure $(PLOTS) $(MODELS)

## bench-deps: ONNX Runtime's library for bench, from npm, into build/peers
bench-deps:
	@npm install --prefix build/peers --silent --no-save --no-audit --no-fund --no-package-lock --ignore-scripts onnxruntime-node

## check-layers: every include points sideways or down
check-layers:
	@tools/check_layers.sh

## format: clang-format over all sources (tables are exempt by their own marks)
format:
	@find core importers server cli tests bench tools -name '*.[ch]' | xargs clang-format -i

DEBIAN := gcc libc6-dev clang libclang-rt-14-dev make pkg-config protobuf-c-compiler libprotobuf-c-dev libmicrohttpd-dev \
          libcjson-dev libjpeg62-turbo-dev libspng-dev libwebp-dev libarchive-dev libsqlite3-dev nettle-dev libcurl4-gnutls-dev \
          libcriterion-dev curl
JOBS  = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

## deps: install the Debian packages that build, tests and server need
deps:
	@if ! dpkg-query -W -f '$${db:Status-Abbrev}\n' $(DEBIAN) 2>/dev/null | awk '$$1 != "ii" { bad = 1 } END { exit bad || NR < $(words $(DEBIAN)) }'; then \
	    $(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -q --no-install-recommends $(DEBIAN); fi

## deps-aarch64: compiler and emulator for check-aarch64
deps-aarch64:
	@command -v aarch64-linux-gnu-gcc qemu-aarch64-static >/dev/null || { $(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	    $(SUDO) apt-get install -y -q --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static; }
	@tools/aarch64_root.sh build/aarch64-root

## test: set up, build, run all tests
test: deps
	@$(MAKE) $(JOBS) all check

## run: set up, build, serve seedling and the models in MODELS_DIR; prints curl lines to try
run: deps
	@$(MAKE) $(JOBS) all
	@build/cambium serve --hints docs/star.png $(if $(MODELS_DIR),--models $(MODELS_DIR)) $(ARGS)

## seedling: make the embedded model again: pictures, training, ONNX file
seedling: $(OUT)/seedling
	@$< importers/model/seedling.onnx

## install: the program, the library and its headers, under DESTDIR/PREFIX
install: all
	@install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib
	@install -m 755 build/cambium $(DESTDIR)$(PREFIX)/bin/cambium
	@install -m 644 build/libcambium.a $(DESTDIR)$(PREFIX)/lib/libcambium.a
	@find core importers -name '*.h' ! -name '*_internal.h' | while read -r h; do \
	    install -D -m 644 $$h $(DESTDIR)$(PREFIX)/include/cambium/$$h; done

## clean: remove build/
clean:
	rm -rf build

.PHONY: all help replay check check-models families families-aarch64 check-aarch64 deps-aarch64 sanitize fuzz bench bench-tools bench-load bench-deps plots bench-kernels check-layers format deps test run seedling install clean
.DELETE_ON_ERROR:
.SECONDARY:
