/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_TESTS_KC_H
#define ACCEL_TESTS_KC_H

/* Checking kernels: the CPU masks are walked from plain C up to all that this CPU has, inputs are
 * random from a printed seed and end at a page that cannot be read, `--bench` prints the rate of
 * every slot.
 *
 *   test_f32_gemm [--bench] [--seed N] [--filter TEXT] */

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "infer/kernels/kernels.h"
#include "tap.h"

/* The level under test and the one below it; the same at plain C. */
static struct accel_kernels kc_levels[8];
static const struct accel_kernels *kc_new, *kc_old;
static char kc_name[128];
static bool kc_benching;
static const char *kc_filter;
static uint64_t kc_seed = 20240607, kc_state;
static size_t kc_checks, kc_failures;

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static inline uint64_t kc_random(void)
{
    kc_state ^= kc_state >> 12;
    kc_state ^= kc_state << 25;
    kc_state ^= kc_state >> 27;
    return kc_state * 0x2545f4914f6cdd1dull;
}

/* Uniform in [-1, 1). */
static inline float kc_float(void)
{
    return (float)(kc_random() >> 40) * 0x1p-23f - 1;
}

static inline size_t kc_below(size_t n)
{
    return (size_t)(kc_random() % n);
}

/* What kc_alloc gave out, until kc_release. */
static struct {
    void *base;
    size_t size;
} kc_maps[256];
static size_t kc_maps_n;

/* `size` bytes that end where a page begins that cannot be touched: reading or writing one byte too
 * far ends the test. Zeroed. */
static inline void *kc_alloc(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (size + page - 1) / page * page;
    char *base =
        mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED || kc_maps_n == ACCEL_COUNT(kc_maps) ||
        mprotect(base + body, page, PROT_NONE) != 0) {
        printf("Bail out! no memory for %zu bytes\n", size);
        exit(1);
    }
    kc_maps[kc_maps_n].base = base;
    kc_maps[kc_maps_n++].size = body + page;
    return base + body - size;
}

/* As kc_alloc, aligned for packed weights and scratch; the guard is up to 63 bytes further. */
static inline void *kc_aligned(size_t size)
{
    return kc_alloc(ACCEL_ROUND_UP(size, ACCEL_KERNEL_ALIGN));
}

static inline float *kc_floats(size_t n)
{
    float *f = kc_alloc(n * sizeof(float));

    for (size_t i = 0; i < n; i++)
        f[i] = kc_float();
    return f;
}

static inline void kc_release(void)
{
    while (kc_maps_n > 0) {
        kc_maps_n--;
        munmap(kc_maps[kc_maps_n].base, kc_maps[kc_maps_n].size);
    }
}

static inline bool kc_case(bool changed, const char *fmt, ...) ACCEL_PRINTF(2, 3);
static inline bool kc_case(bool changed, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(kc_name, sizeof(kc_name), fmt, args);
    va_end(args);
    if (kc_filter != NULL && strstr(kc_name, kc_filter) == NULL)
        return false;
    return changed;
}

/* True when this level has a slot of its own, which is then the one under test. */
#define KC_FUNC(slot, ...) \
    kc_case(kc_new == &kc_levels[0] || kc_new->slot != kc_old->slot, __VA_ARGS__)
/* Names a case of a driver, which uses many slots: always checked. */
#define KC_CASE(...) kc_case(true, __VA_ARGS__)

static inline void kc_fail(const char *what, double got, double want, double bound)
{
    if (kc_failures++ < 8)
        printf("# %s: %s: got %.9g, want %.9g, allowed %.3g\n", kc_name, what, got, want, bound);
}

static inline void kc_near_at(const char *what, double got, double want, double bound)
{
    kc_checks++;
    if (got != got && want != want) /* both are NaN */
        return;
    if (got == want || fabs(got - want) <= bound)
        return;
    kc_fail(what, got, want, bound);
}
#define kc_near(got, want, bound) kc_near_at(#got, (double)(got), (double)(want), (double)(bound))

/* got[i] and want[i] within absolute + relative * |want[i]|. */
static inline void kc_near_all(size_t n, const float *got, const float *want, double absolute,
                               double relative)
{
    char what[32];

    for (size_t i = 0; i < n; i++) {
        const double g = (double)got[i], w = (double)want[i];

        kc_checks++;
        if (g == w || (g != g && w != w) || fabs(g - w) <= absolute + relative * fabs(w))
            continue;
        snprintf(what, sizeof(what), "[%zu]", i);
        kc_fail(what, g, w, absolute + relative * fabs(w));
    }
}

static inline void kc_same_bytes(const void *got, const void *want, size_t size)
{
    kc_checks++;
    if (size > 0 && memcmp(got, want, size) != 0)
        kc_fail("bytes differ", 0, 1, 0);
}

/* Prints work per second of `call`, the quickest of runs that take about 50 ms in all. */
#define KC_BENCH_UNIT(work, unit, ...)                                   \
    do {                                                                 \
        if (kc_benching) {                                               \
            int64_t best_ = INT64_MAX, total_ = 0;                       \
            int repeat_ = 1;                                             \
            while (total_ < 50000000) {                                  \
                const int64_t start_ = accel_now_ns();                   \
                for (int r_ = 0; r_ < repeat_; r_++) {                   \
                    __VA_ARGS__;                                         \
                }                                                        \
                const int64_t took_ = accel_now_ns() - start_;           \
                total_ += took_;                                         \
                if (took_ < 1000000) {                                   \
                    repeat_ *= 2;                                        \
                    continue;                                            \
                }                                                        \
                best_ = ACCEL_MIN(best_, took_ / repeat_);               \
            }                                                            \
            char cpu_[64];                                               \
            printf("# bench %-40s %-14s %9.2f %s\n", kc_name,            \
                   accel_cpu_mask_text(kc_new->cpu, cpu_, sizeof(cpu_)), \
                   (double)(work) / (double)best_, unit);                \
        }                                                                \
    } while (0)
#define KC_BENCH(flops, ...)       KC_BENCH_UNIT(flops, "Gflop/s", __VA_ARGS__)
#define KC_BENCH_BYTES(bytes, ...) KC_BENCH_UNIT(bytes, "GB/s", __VA_ARGS__)

static inline bool kc_same_slots(const struct accel_kernels *a, const struct accel_kernels *b)
{
    struct accel_kernels copy = *a;

    copy.cpu = b->cpu;
    return memcmp(&copy, b, sizeof(copy)) == 0;
}

/* Runs `check` at every CPU level and reports each as one test. */
static inline void kc_walk(const char *what, void (*check)(void))
{
    static const unsigned masks[] = {0, ACCEL_CPU_AVX2, ACCEL_CPU_AVX2 | ACCEL_CPU_AVX512,
                                     ACCEL_CPU_AVX2 | ACCEL_CPU_AVX512 | ACCEL_CPU_VNNI,
                                     ACCEL_CPU_ALL};
    unsigned last = ACCEL_CPU_ALL;
    size_t n = 0;

    for (size_t i = 0; i < ACCEL_COUNT(masks); i++) {
        char cpu[64];

        accel_kernels_init(&kc_levels[n], masks[i]);
        if (kc_levels[n].cpu == last) /* this CPU has no more */
            continue;
        if (n > 0 && kc_same_slots(&kc_levels[n], &kc_levels[n - 1]))
            continue;
        last = kc_levels[n].cpu;
        kc_new = &kc_levels[n];
        kc_old = &kc_levels[n > 0 ? n - 1 : 0];
        kc_state = kc_seed;
        kc_checks = kc_failures = 0;
        check();
        kc_release();
        accel_cpu_mask_text(last, cpu, sizeof(cpu));
        if (kc_checks > 0) /* none: no slot of its own at this level */
            ok(kc_failures == 0, "%s agrees with the reference on %s (%zu values)", what, cpu,
               kc_checks);
        n++;
    }
}

static inline void kc_begin(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            kc_benching = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            kc_seed = strtoull(argv[++i], NULL, 0) | 1;
        else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
            kc_filter = argv[++i];
    }
    printf("# seed %llu\n", (unsigned long long)kc_seed);
}

#endif
