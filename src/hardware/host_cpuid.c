/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID and xgetbv, of this machine or as a file says. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "base/buf.h"
#include "base/mem.h"
#include "hardware/host_live.h"

struct entry {
    uint32_t leaf, subleaf, regs[4];
};

struct accel_cpuid_table {
    struct entry *entries;
    size_t count, capacity;
    uint64_t xcr0;
    bool has_xcr0;
};

void accel_cpuid_table_free(struct accel_cpuid_table *table)
{
    if (table == NULL)
        return;
    accel_free(table->entries);
    accel_free(table);
}

static void table_freep(struct accel_cpuid_table **table)
{
    accel_cpuid_table_free(*table);
}

static int parse_line(struct accel_cpuid_table *table, const char *line, int number,
                      struct accel_error *err)
{
    struct entry e;
    uint64_t xcr0;
    char rest;

    line += strspn(line, " \t\r");
    if (*line == '\0' || *line == '#')
        return ACCEL_OK;
    if (sscanf(line, "xcr0 %" SCNx64 " %c", &xcr0, &rest) == 1) {
        table->xcr0 = xcr0;
        table->has_xcr0 = true;
        return ACCEL_OK;
    }
    if (sscanf(line, "%" SCNx32 " %" SCNx32 " %" SCNx32 " %" SCNx32 " %" SCNx32 " %" SCNx32 " %c",
               &e.leaf, &e.subleaf, &e.regs[0], &e.regs[1], &e.regs[2], &e.regs[3], &rest) != 6)
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "acceld/cpuid:%d: expected six hexadecimal numbers, or xcr0 and one",
                          number);
    const int rc = accel_grow(&table->entries, &table->capacity, table->count + 1, sizeof(e), err);
    if (rc == ACCEL_OK)
        table->entries[table->count++] = e;
    return rc;
}

int accel_cpuid_table_parse(const char *text, struct accel_cpuid_table **out,
                            struct accel_error *err)
{
    ACCEL_CLEANUP(table_freep) struct accel_cpuid_table *table = accel_calloc(1, sizeof(*table));
    int number = 0;

    if (table == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the recorded CPUID");
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        char line[256];
        snprintf(line, sizeof(line), "%.*s", (int)ACCEL_MIN(length, sizeof(line) - 1), text);
        const int rc = parse_line(table, line, ++number, err);
        if (rc != ACCEL_OK)
            return rc;
        text += length + (text[length] == '\n');
    }
    *out = accel_steal(&table);
    return ACCEL_OK;
}

static int machine_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4], struct accel_error *err)
{
#if defined(__x86_64__) || defined(__i386__)
    /* Beyond the highest leaf Intel answers with the highest one's numbers: that is no answer. */
    (void)err;
    const uint32_t highest = __get_cpuid_max(leaf & 0x80000000u, NULL);
    if (highest == 0 || leaf > highest) {
        memset(regs, 0, 4 * sizeof(*regs));
        return ACCEL_OK;
    }
    __cpuid_count(leaf, subleaf, regs[0], regs[1], regs[2], regs[3]);
    return ACCEL_OK;
#else
    (void)leaf;
    (void)subleaf;
    (void)regs;
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "this machine has no CPUID");
#endif
}

static int machine_xcr0(uint64_t *xcr0, struct accel_error *err)
{
#if defined(__x86_64__) || defined(__i386__)
    uint32_t regs[4], low, high;
    const uint32_t osxsave = 1u << 27; /* CPUID.1:ECX, without it xgetbv traps */

    const int rc = machine_cpuid(1, 0, regs, err);
    if (rc != ACCEL_OK)
        return rc;
    if ((regs[2] & osxsave) == 0) {
        *xcr0 = 0;
        return ACCEL_OK;
    }
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    *xcr0 = (uint64_t)high << 32 | low;
    return ACCEL_OK;
#else
    (void)xcr0;
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "this machine has no xgetbv");
#endif
}

int accel_cpuid_get(const struct accel_cpuid_table *table, uint32_t leaf, uint32_t subleaf,
                    uint32_t regs[4], struct accel_error *err)
{
    if (table == NULL)
        return machine_cpuid(leaf, subleaf, regs, err);
    memset(regs, 0, 4 * sizeof(*regs)); /* what a leaf that is not there answers */
    for (size_t i = 0; i < table->count; i++)
        if (table->entries[i].leaf == leaf && table->entries[i].subleaf == subleaf)
            memcpy(regs, table->entries[i].regs, sizeof(table->entries[i].regs));
    return ACCEL_OK;
}

int accel_cpuid_xcr0(const struct accel_cpuid_table *table, uint64_t *xcr0, struct accel_error *err)
{
    if (table == NULL)
        return machine_xcr0(xcr0, err);
    *xcr0 = table->has_xcr0 ? table->xcr0 : 0;
    return ACCEL_OK;
}

/* Leaves whose answer depends on ecx; the others ignore it. */
static bool has_subleaves(uint32_t leaf)
{
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x14 || leaf == 0x1d ||
           leaf == 0x1e || leaf == 0x1f || leaf == 0x24 || leaf == 0x8000001d;
}

int accel_host_cpuid_text(struct accel_buf *out, struct accel_error *err)
{
    static const uint32_t bases[] = {0, 0x80000000u};
    uint32_t regs[4], highest[4];
    uint64_t xcr0;

    for (size_t b = 0; b < ACCEL_COUNT(bases); b++) {
        int rc = machine_cpuid(bases[b], 0, highest, err);
        if (rc != ACCEL_OK)
            return rc;
        for (uint32_t leaf = bases[b]; leaf <= highest[0] && leaf < bases[b] + 0x40; leaf++)
            for (uint32_t sub = 0; sub < (has_subleaves(leaf) ? 16u : 1u); sub++) {
                machine_cpuid(leaf, sub, regs, err);
                if ((regs[0] | regs[1] | regs[2] | regs[3]) != 0)
                    accel_buf_printf(out, "%08x %x %08x %08x %08x %08x\n", leaf, sub, regs[0],
                                     regs[1], regs[2], regs[3]);
            }
    }
    const int rc = machine_xcr0(&xcr0, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_buf_printf(out, "xcr0 %" PRIx64 "\n", xcr0);
    return accel_buf_failed(out) ? accel_fail(err, ACCEL_E_NOMEM, "no memory for CPUID's text")
                                 : ACCEL_OK;
}
