/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CLI_IMAGE_H
#define ACCEL_CLI_IMAGE_H

/* Photographs for models: PNG and JPEG decoded, resampled, laid out and scaled. */

#include "acceld/infer.h"
#include "base/util.h"

#define ACCEL_IMAGE_SIDE_MAX 16384

/* 8-bit RGB, row-major, 3 * width * height bytes. */
struct accel_image {
    uint32_t width, height;
    uint8_t *pixels;
};

/* By content, not by suffix. Errors: INVALID (neither PNG nor JPEG, damaged), LIMIT, IO, NOMEM. */
int accel_image_read(const char *path, struct accel_image *image, struct accel_error *err);
void accel_image_free(struct accel_image *image); /* fits ACCEL_CLEANUP */

enum accel_image_fit {
    ACCEL_FIT_COVER,   /* scale so that it covers the target, cut the middle out */
    ACCEL_FIT_STRETCH, /* scale both sides, the proportions give way */
    ACCEL_FIT_CROP,    /* cut the middle out, no scaling; INVALID when the image is smaller */
};

/* Resamples by a triangle filter as wide as the shrinking (bilinear with antialiasing). */
int accel_image_fit(const struct accel_image *from, uint32_t width, uint32_t height,
                    enum accel_image_fit fit, struct accel_image *to, struct accel_error *err);

struct accel_image_scaling {
    bool bgr;       /* channels blue, green, red */
    float mean[3];  /* in channel order of the model, in 0..255 */
    float scale[3]; /* (pixel - mean) * scale */
};

/* Fills tensor `t` from the image: its dtype (uint8, float16, float) and dims are set, [N, C, H, W]
 * or [N, H, W, C] with N = 1, C = 1 (luminance, BT.601) or 3, H and W the image's. data is new,
 * freed by accel_free. Errors: INVALID, UNSUPPORTED (dtype), NOMEM. */
int accel_image_to_tensor(const struct accel_image *image,
                          const struct accel_image_scaling *scaling, struct accel_tensor *t,
                          struct accel_error *err);

#endif
