# Cambium. `make help` lists the targets; MODE=release|asan|debug picks the variant (build/MODE).

MODE    ?= release
CC      ?= cc
PREFIX  ?= /usr/local
OUT     := build/$(MODE)
GEN     := build/proto
PACKAGES := libmicrohttpd libcjson libprotobuf-c libturbojpeg libjpeg spng libwebp libwebpdemux libarchive sqlite3 nettle

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
FLAGS.release := -O2 -g
FLAGS.debug   := -O0 -g
FLAGS.asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS += -std=gnu17 $(WARN) $(FLAGS.$(MODE)) -ffp-contract=fast -I. -Ibuild -MMD -MP \
          $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LDLIBS += $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthreadpool -lpthread -lm

# Criterion's macros do not survive the stricter ones.
$(OUT)/tests/%: WARN = -Wall -Wextra

# Only the kernel families get flags of an instruction set; nothing else may use it unasked.
$(OUT)/core/kernels/avx2/%:   ISA = -O3 -mavx2 -mfma
$(OUT)/core/kernels/avx512/%: ISA = -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512

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

$(OUT)/libcambium.a: $(LIB_OBJ)
	@echo "AR $@"
	@rm -f $@ && ar rcs $@ $^

$(OUT)/unit-tests: $(call OBJ,$(TEST_SRC)) $(OUT)/libcambium.a
	@echo "LD $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS) -lcriterion

$(OUT)/bench-kernels: $(OUT)/bench/kernels.o $(OUT)/libcambium.a
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

## check: build and run the tests (no installation)
check: $(OUT)/unit-tests $(OUT)/cambium
	@CAMBIUM_BIN=$(abspath $(OUT)/cambium) $(OUT)/unit-tests --timeout 300

## bench-kernels: GFLOP/s of convolutions and products by shape, set and threads
bench-kernels: $(OUT)/bench-kernels
	@$<

## clean: remove build/
clean:
	rm -rf build

.PHONY: all help check bench-kernels clean
.DELETE_ON_ERROR:
