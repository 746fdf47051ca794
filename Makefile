# Cambium. `make help` lists the targets; MODE=release|clang|debug|asan|tsan|fuzz picks the variant (build/MODE).

MODE    ?= release
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
$(OUT)/core/kernels/avx512/%: ISA = -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512
$(OUT)/core/kernels/avx512/vnni.o: ISA += -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx2 -mfma -mprefer-vector-width=512

# The unrolled kernels parse nothing, and take minutes to compile with a fuzzer's instruments.
$(OUT)/core/kernels/%: FLAGS.fuzz = -O1 -g

LIB_SRC  := $(sort $(shell find core importers -name '*.c'))
APP_SRC  := $(sort $(shell find server cli -name '*.c'))
TEST_SRC := $(sort $(shell find tests -name '*.c' -not -path 'tests/fuzz/*' -not -path 'tests/race/*'))
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

$(OUT)/%.o: %.c | $(GEN)/onnx.pb-c.h
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(CFLAGS) $(ISA) -c $< -o $@

$(OUT)/importers/model/seedling.o: importers/model/seedling.onnx

$(OUT)/proto/onnx.pb-c.o: $(GEN)/onnx.pb-c.h
	@mkdir -p $(@D)
	@$(CC) -O2 -I build -c $(GEN)/onnx.pb-c.c -o $@

$(GEN)/onnx.pb-c.h: proto/onnx.proto
	@mkdir -p $(GEN)
	@protoc-c --proto_path=proto --c_out=$(GEN) onnx.proto

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

## help: this list
help:
	@sed -n 's/^## \([a-z-]*:\)/  \1/p' $(firstword $(MAKEFILE_LIST))

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

## bench-kernels: GFLOP/s of convolutions and products by shape, set and threads
bench-kernels: $(OUT)/bench-kernels
	@$<

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

build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o build/fuzz/libcambium.a
	@echo "LD $@"
	@$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

## bench: this build's speed on the models of MODELS (files or folders)
bench: all
	@for m in $(or $(MODELS),seedling); do echo "$$m"; build/cambium bench "$$m" --seconds 2; done

## check-layers: every include points sideways or down
check-layers:
	@tools/check_layers.sh

## format: clang-format over all sources (tables are exempt by their own marks)
format:
	@find core importers server cli tests bench tools -name '*.[ch]' | xargs clang-format -i

DEBIAN := gcc libc6-dev clang libclang-rt-14-dev make pkg-config protobuf-c-compiler libprotobuf-c-dev libmicrohttpd-dev \
          libcjson-dev libjpeg62-turbo-dev libspng-dev libwebp-dev libarchive-dev libsqlite3-dev nettle-dev \
          libcriterion-dev curl
JOBS  = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

## deps: install the Debian packages that build, tests and server need
deps:
	@if ! dpkg-query -W -f '$${db:Status-Abbrev}\n' $(DEBIAN) 2>/dev/null | awk '$$1 != "ii" { bad = 1 } END { exit bad || NR < $(words $(DEBIAN)) }'; then \
	    $(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -q --no-install-recommends $(DEBIAN); fi

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

.PHONY: all help replay check check-models sanitize fuzz bench bench-kernels check-layers format deps test run seedling install clean
.DELETE_ON_ERROR:
.SECONDARY:
