/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that asks the CPU what it can do. */
#include <stdio.h>

#include "infer/kernels/microkernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* XCR0: which register files the operating system saves (Intel SDM vol. 1, 13.3). */
#define XCR0_YMM 0x06u /* SSE and AVX state */
#define XCR0_ZMM 0xe6u /* and opmask, ZMM_Hi256, Hi16_ZMM */

static unsigned xcr0(void)
{
    unsigned eax, edx;

    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
}

/* Bit numbers: Intel SDM vol. 2A, CPUID. */
unsigned accel_cpu_features(void)
{
    unsigned a, b, c, d, features = 0;

    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    const bool osxsave = c >> 27 & 1, avx = c >> 28 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1;

    if (!osxsave || !avx || (xcr0() & XCR0_YMM) != XCR0_YMM ||
        !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    const bool avx2 = b >> 5 & 1;

    if (!avx2 || !fma || !f16c)
        return 0;
    features |= ACCEL_CPU_AVX2;
    /* F, DQ, BW, VL */
    if ((xcr0() & XCR0_ZMM) != XCR0_ZMM || !(b >> 16 & 1) || !(b >> 17 & 1) || !(b >> 30 & 1) ||
        !(b >> 31 & 1))
        return features;
    features |= ACCEL_CPU_AVX512;
    if (c >> 11 & 1)
        features |= ACCEL_CPU_VNNI;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1))
        features |= ACCEL_CPU_BF16;
    return features;
}
#else
unsigned accel_cpu_features(void)
{
    return 0;
}
#endif

const char *accel_cpu_mask_text(unsigned mask, char *text, size_t size)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{ACCEL_CPU_AVX2, "avx2"},
                 {ACCEL_CPU_AVX512, "avx512"},
                 {ACCEL_CPU_VNNI, "vnni"},
                 {ACCEL_CPU_BF16, "bf16"}};
    size_t at = 0;

    if (size == 0)
        return text;
    text[0] = '\0';
    for (size_t i = 0; i < ACCEL_COUNT(names); i++)
        if ((mask & names[i].bit) != 0 && at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at > 0 ? "+" : "", names[i].name);
    if (at == 0)
        snprintf(text, size, "plain");
    return text;
}

#define UNARY_REF(name)  kernels->f32_unary[ACCEL_UNARY_##name] = accel_f32_unary_##name##__ref;
#define UNARY_AVX2(name) kernels->f32_unary[ACCEL_UNARY_##name] = accel_f32_unary_##name##__avx2;
#define UNARY_AVX512(name) \
    kernels->f32_unary[ACCEL_UNARY_##name] = accel_f32_unary_##name##__avx512;

/* The slots that every instruction set may replace. */
#define COMMON(isa)                                                       \
    do {                                                                  \
        kernels->f32_dot = accel_f32_dot__##isa;                          \
        kernels->f32_binary[ACCEL_BINARY_ADD] = accel_f32_add__##isa;     \
        kernels->f32_binary[ACCEL_BINARY_SUB] = accel_f32_sub__##isa;     \
        kernels->f32_binary[ACCEL_BINARY_MUL] = accel_f32_mul__##isa;     \
        kernels->f32_binary[ACCEL_BINARY_DIV] = accel_f32_div__##isa;     \
        kernels->f32_binary[ACCEL_BINARY_MIN] = accel_f32_min__##isa;     \
        kernels->f32_binary[ACCEL_BINARY_MAX] = accel_f32_max2__##isa;    \
        kernels->f32_binary[ACCEL_BINARY_PRELU] = accel_f32_prelu__##isa; \
        kernels->f32_affine = accel_f32_affine__##isa;                    \
        kernels->f32_affine_rows = accel_f32_affine_rows__##isa;          \
        kernels->f32_sum = accel_f32_sum__##isa;                          \
        kernels->f32_max = accel_f32_max__##isa;                          \
        kernels->f32_sumsq = accel_f32_sumsq__##isa;                      \
        kernels->f32_expsum = accel_f32_expsum__##isa;                    \
        kernels->f32_taps = accel_f32_taps__##isa;                        \
        kernels->f32_taps_max = accel_f32_taps_max__##isa;                \
        kernels->f32_patches = accel_f32_patches__##isa;                  \
        kernels->f16_to_f32 = accel_f16_to_f32__##isa;                    \
        kernels->f32_to_f16 = accel_f32_to_f16__##isa;                    \
        kernels->bf16_to_f32 = accel_bf16_to_f32__##isa;                  \
        kernels->f32_to_bf16 = accel_f32_to_bf16__##isa;                  \
    } while (0)

void accel_kernels_init(struct accel_kernels *kernels, unsigned cpu_mask)
{
    *kernels = (struct accel_kernels){.cpu = cpu_mask & accel_cpu_features()};
    kernels->f32_gemm_mr = 4;
    kernels->f32_gemm_nr = 8;
    kernels->f32_gemm = accel_f32_gemm_4x8__ref;
    ACCEL_UNARY_MAP(UNARY_REF)
    kernels->f32_unary[ACCEL_UNARY_NOT] = NULL;
    COMMON(ref);
#if defined(__x86_64__)
    if (kernels->cpu & ACCEL_CPU_AVX2) {
        kernels->f32_gemm_mr = 6;
        kernels->f32_gemm_nr = 16;
        kernels->f32_gemm = accel_f32_gemm_6x16__avx2;
        COMMON(avx2);
        kernels->q8_gemm = accel_q8_gemm_6x16__avx2;
        kernels->q8_mr = 6;
        kernels->q8_nr = 16;
        kernels->q8_group = 2;
        kernels->q8_cells = accel_q8_cells__avx2;
        kernels->q8_row = accel_q8_row__avx2;
        ACCEL_UNARY_VECTOR_MAP(UNARY_AVX2)
    }
    if (kernels->cpu & ACCEL_CPU_AVX512) {
        kernels->f32_gemm_mr = 14;
        kernels->f32_gemm_nr = 32;
        kernels->f32_gemm = accel_f32_gemm_14x32__avx512;
        COMMON(avx512);
        kernels->q8_gemm = accel_q8_gemm_14x32__avx512;
        kernels->q8_mr = 14;
        kernels->q8_nr = 32;
        kernels->q8_cells = accel_q8_cells__avx512;
        kernels->q8_row = accel_q8_row__avx512;
        ACCEL_UNARY_VECTOR_MAP(UNARY_AVX512)
    }
    if ((kernels->cpu & ACCEL_CPU_AVX512) && (kernels->cpu & ACCEL_CPU_VNNI)) {
        kernels->q8_gemm = accel_q8_gemm_14x32__vnni;
        kernels->q8_group = 4;
        kernels->q8_cells = accel_q8_cells__vnni;
    }
#endif
}
