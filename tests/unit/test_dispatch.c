/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "infer/kernels/kernels.h"
#include "tap.h"

int main(void)
{
    const unsigned known = ACCEL_CPU_AVX2 | ACCEL_CPU_AVX512 | ACCEL_CPU_VNNI | ACCEL_CPU_BF16;
    const unsigned features = accel_cpu_features();
    struct accel_kernels plain, best, same;
    char text[64], small[8];

    ok((features & ~known) == 0, "only known features are reported (%s)",
       accel_cpu_mask_text(features, text, sizeof(text)));
    ok((features & ~ACCEL_CPU_AVX2) == 0 || (features & ACCEL_CPU_AVX2) != 0,
       "AVX-512 is only used where AVX2 is");
    ok(strcmp(accel_cpu_mask_text(0, text, sizeof(text)), "plain") == 0, "no feature is plain C");
    ok(strcmp(accel_cpu_mask_text(ACCEL_CPU_AVX2 | ACCEL_CPU_VNNI, text, sizeof(text)),
              "avx2+vnni") == 0,
       "features are joined by +");
    memset(small, 'x', sizeof(small));
    accel_cpu_mask_text(known, small, sizeof(small) - 1);
    ok(strcmp(small, "avx2+a") == 0 && small[7] == 'x', "a short buffer is filled and ended");

    accel_kernels_init(&plain, 0);
    accel_kernels_init(&best, ACCEL_CPU_ALL);
    accel_kernels_init(&same, features);
    ok(plain.cpu == 0 && best.cpu == features, "the table says what it was chosen for");
    ok(memcmp(&best, &same, sizeof(best)) == 0, "bits that this CPU lacks change nothing");
    bool complete = true;
    for (int op = 0; op < ACCEL_UNARY_COUNT; op++)
        complete = complete && (op == ACCEL_UNARY_NOT || plain.f32_unary[op] != NULL) &&
                   (op == ACCEL_UNARY_NOT || best.f32_unary[op] != NULL);
    for (int op = 0; op < ACCEL_BINARY_F32_COUNT; op++)
        complete = complete && plain.f32_binary[op] != NULL && best.f32_binary[op] != NULL;
    ok(complete, "no slot is empty");
    return tap_done();
}
