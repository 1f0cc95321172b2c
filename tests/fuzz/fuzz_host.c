/* SPDX-License-Identifier: Apache-2.0 */
/* What the hardware process reads beside sysfs: an acceld/cpuid file, a kernel uevent, the
 * signature of a library call; and the rules for words that modules say. */
#include "hardware/build.h"
#include "hardware/host_live.h"

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ACCEL_CLEANUP(accel_freep) char *text = fuzz_text(data, size);
    struct accel_cpuid_table *table = NULL;
    struct accel_error err;
    uint32_t regs[4];
    uint64_t xcr0;
    size_t args;

    if (accel_cpuid_table_parse(text, &table, &err) == ACCEL_OK) {
        for (uint32_t leaf = 0; leaf < 8; leaf++)
            (void)accel_cpuid_get(table, leaf, 0, regs, &err);
        (void)accel_cpuid_xcr0(table, &xcr0, &err);
        accel_cpuid_table_free(table);
    }
    (void)accel_uevent_matches((const char *)data, size, "pci");
    (void)accel_uevent_matches((const char *)data, size, NULL);
    if (accel_signature_check(text, &args, &err) == ACCEL_OK)
        FUZZ_MUST(args <= 8);
    (void)accel_build_is_pci_address(text);
    (void)accel_build_is_trait(text);
    (void)accel_build_is_resource_class(text);
    (void)accel_build_is_type(text);
    return 0;
}
