# Tests. Every test program is tests/<tier>/test_*.c, linked with all of acceld.

.PHONY: tests
UNIT_TESTS   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
KERNEL_TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/kernels/test_*.c))

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(BUILD)/libacceld.a $(BUILD)/libaccelinfer.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(BUILD)/libacceld.a $(BUILD)/libaccelinfer.a $(LIBS)

tests: $(UNIT_TESTS) $(KERNEL_TESTS) ## build the test programs
