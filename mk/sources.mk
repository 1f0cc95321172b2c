# What is built from what. A new .c file in a folder named here needs no change; a new instruction
# set, generated file, program or library does.

PROGRAMS  := $(addprefix $(BUILD)/,acceld accelctl accel-run libexec/acceld-control \
               libexec/acceld-hardware libexec/acceld-worker)
LIBRARIES := $(BUILD)/libaccelinfer.so $(BUILD)/libaccelinfer.a
MODULES   := $(patsubst drivers/%/,$(BUILD)/drivers/%.so,$(sort $(dir $(wildcard drivers/*/*.c))))

BASE_SRC  := $(wildcard src/base/*.c)
# The inference core: src/infer and whatever lies below it.
INFER_SRC := $(shell find src/infer -name '*.c' 2>/dev/null | sort)
# Each file of operators is a family that the table collects by its name; see src/infer/ops/op.h.
OP_FAMILIES := $(filter-out op,$(patsubst src/infer/ops/%.c,%,$(wildcard src/infer/ops/*.c)))
# Everything else, without the files that hold a main(): those are listed per program.
MAIN_SRC  := src/supervisor/main.c src/control/main.c src/hardware/main.c src/worker/main.c \
             src/cli/accelctl_main.c src/cli/accel_run_main.c
DAEMON_SRC := $(filter-out $(MAIN_SRC),$(wildcard $(addprefix src/,$(addsuffix /*.c,core config match \
               store service rest sync control hardware worker supervisor cli))))

# The REST contract, built into the program. Not in GEN_SRC: nothing includes it.
OPENAPI_C := $(BUILD)/gen/openapi_yaml.c
GEN_SRC := $(BUILD)/gen/onnx.pb-c.c $(BUILD)/gen/ipc.pb-c.c

# Libraries a program links with; --as-needed leaves out what it does not use.
PKGS := libmicrohttpd jansson sqlite3 libprotobuf-c yaml-0.1 libcurl libseccomp libcrypto libpng
LIBS  = $(shell $(PKGCONFIG) --libs $(PKGS)) -ljpeg -ldl -lm
LIBS_INFER = $(shell $(PKGCONFIG) --libs libprotobuf-c) -ldl -lm

# Each instruction set is a folder of kernels with flags of its own; dispatch.c alone asks the CPU.
KERNEL_FLAGS := -O3 -ffp-contract=off
ISA_FLAGS_ref    := -O3
ISA_FLAGS_avx2   := -O3 -mavx2 -mfma -mf16c -ffp-contract=off
ISA_FLAGS_avx512 := -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c \
                    -mprefer-vector-width=512 -ffp-contract=off
ISA_FLAGS_vnni   := $(ISA_FLAGS_avx512) -mavx512vnni
ISA_FLAGS_bf16   := $(ISA_FLAGS_avx512) -mavx512bf16
