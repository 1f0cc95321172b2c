# How things are built.

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
gen_obj = $(patsubst $(BUILD)/gen/%.c,$(BUILD)/obj/gen/%.o,$(1))

BASE_OBJ   := $(call obj,$(BASE_SRC))
INFER_OBJ  := $(call obj,$(INFER_SRC)) $(BUILD)/obj/gen/onnx.pb-c.o
DAEMON_OBJ := $(call obj,$(DAEMON_SRC)) $(BUILD)/obj/gen/ipc.pb-c.o \
              $(BUILD)/obj/gen/openapi_yaml.o

# One compile rule; the flags of an instruction set follow from the folder the file lies in.
isa = $(patsubst src/infer/kernels/%/,%,$(filter src/infer/kernels/%/,$(dir $(1))))
$(BUILD)/obj/%.o: %.c $(GEN_SRC)
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(ISA_FLAGS_$(call isa,$<)) -MMD -MP -c -o $@ $<

# The drivers above the kernels move and convert elements of every type: worth unrolling as well.
$(BUILD)/obj/src/infer/kernels/%.o: CFLAGS_ALL += $(KERNEL_FLAGS)

$(BUILD)/gen/%.pb-c.c: schemas/%.proto
	$(call say,PROTOC)
	@mkdir -p $(@D)
	$(Q)$(PROTOC_C) --c_out=$(@D) -Ischemas $<

$(OPENAPI_C): api/openapi.yaml
	$(call say,EMBED)
	@mkdir -p $(@D)
	$(Q){ echo '#include <stddef.h>'; echo 'const unsigned char accel_openapi_yaml[] = {'; \
	  od -An -v -tx1 $< | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'; echo '};'; \
	  echo 'const size_t accel_openapi_yaml_size = sizeof(accel_openapi_yaml);'; } >$@

.PHONY: FORCE
FORCE:
$(BUILD)/gen/op_families.h: FORCE
	@mkdir -p $(@D)
	@printf 'F(%s)\n' $(OP_FAMILIES) | cmp -s - $@ || printf 'F(%s)\n' $(OP_FAMILIES) >$@
$(BUILD)/obj/src/infer/ops/op.o: $(BUILD)/gen/op_families.h

# Generated code is not ours to warn about.
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -w -MMD -MP -c -o $@ $<

# Objects depend on the compiler and its flags: `make CC=clang` or SAN=... in the same folder
# rebuilds rather than mixes. Done while reading this file: later, other jobs are at work.
COMPILER := $(CC) $(CFLAGS) $(SAN)
IGNORED := $(shell mkdir -p $(BUILD); echo '$(COMPILER)' | cmp -s - $(BUILD)/compiler || \
             { rm -rf $(BUILD)/obj; echo '$(COMPILER)' >$(BUILD)/compiler; })

$(BUILD)/libacceld.a: $(DAEMON_OBJ) $(BASE_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libaccelinfer.a: $(INFER_OBJ) $(BASE_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libaccelinfer.so: $(INFER_OBJ) $(BASE_OBJ) src/infer/libaccelinfer.map
	$(call say,LD)
	$(Q)$(CC) -shared -Wl,-soname,libaccelinfer.so.0 -Wl,--version-script=src/infer/libaccelinfer.map \
	  $(LDFLAGS_ALL) -o $@ $(INFER_OBJ) $(BASE_OBJ) $(LIBS_INFER)

# program: main file
define program
$(BUILD)/$(1): $(call obj,$(2)) $(BUILD)/libacceld.a $(BUILD)/libaccelinfer.a
	$$(call say,LD)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS_ALL) $(3) -o $$@ $$< $(BUILD)/libacceld.a $(BUILD)/libaccelinfer.a $$(LIBS)
endef
$(eval $(call program,acceld,src/supervisor/main.c))
$(eval $(call program,accelctl,src/cli/accelctl_main.c))
$(eval $(call program,accel-run,src/cli/accel_run_main.c))
$(eval $(call program,libexec/acceld-control,src/control/main.c))
# A module finds acceld/error.h's functions, and nothing else, in the program that loads it.
$(eval $(call program,libexec/acceld-hardware,src/hardware/main.c,-rdynamic))
$(eval $(call program,libexec/acceld-worker,src/worker/main.c))

# A module is every .c of its folder, and may include nothing but acceld/driver.h.
.SECONDEXPANSION:
$(BUILD)/drivers/%.so: $$(call obj,$$(wildcard drivers/$$*/*.c)) $(BUILD)/obj/src/base/error.o
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(LDFLAGS_ALL) -o $@ $^ $(MODULE_LIBS_$*)
MODULE_LIBS_pci := -lpci -ljansson
MODULE_LIBS_fake := -ljansson

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# The migrations travel inside the program.
$(BUILD)/gen/migrations.h: $(wildcard schemas/sql/*.sql) tools/embed_sql.sh
	@mkdir -p $(@D)
	$(Q)tools/embed_sql.sh $(sort $(wildcard schemas/sql/*.sql)) >$@
$(BUILD)/obj/src/store/store.o: $(BUILD)/gen/migrations.h
