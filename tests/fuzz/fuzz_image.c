/* SPDX-License-Identifier: Apache-2.0 */
/* A photograph, decoded, resampled and laid out. */
#include <stdio.h>

#include "base/fd.h"
#include "cli/image.h"

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct accel_image_scaling scaling = {.scale = {1, 1, 1}};
    ACCEL_CLEANUP(accel_image_free) struct accel_image image = {0};
    ACCEL_CLEANUP(accel_image_free) struct accel_image small = {0};
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_tensor t = {.dtype = ACCEL_DTYPE_FLOAT, .rank = 4, .dims = {1, 3, 16, 24}};
    struct accel_error err;
    char path[64];

    FUZZ_MUST(accel_memfd_of("image", data, size, &fd, &err) == ACCEL_OK);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (accel_image_read(path, &image, &err) != ACCEL_OK)
        return 0;
    /* A large picture of few bytes is allowed and slow: only its decoding is wanted here. */
    if ((uint64_t)image.width * image.height > 1u << 20)
        return 0;
    for (enum accel_image_fit fit = ACCEL_FIT_COVER; fit <= ACCEL_FIT_CROP; fit++) {
        if (accel_image_fit(&image, 24, 16, fit, &small, &err) != ACCEL_OK)
            continue;
        if (accel_image_to_tensor(&small, &scaling, &t, &err) == ACCEL_OK)
            accel_free(t.data);
        accel_image_free(&small);
    }
    return 0;
}
