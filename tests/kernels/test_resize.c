/* SPDX-License-Identifier: Apache-2.0 */
/* Resize: the figures of ONNX's own examples (onnx/backend/test/case/node/resize.py). */
#include "kernels/kc.h"

static struct accel_kernels kernels;
static struct accel_pool *pool;

/* A 2-D resize of x into y; what it does not name is 0. */
static bool resize(struct accel_resize *r, enum accel_dtype dtype, const void *x, void *y)
{
    struct accel_error err;
    size_t bytes;

    r->rank = 2;
    for (unsigned d = 0; d < 2; d++)
        if (r->scale[d] == 0)
            r->scale[d] = (float)r->out[d] / (float)r->in[d];
    if (accel_resize_scratch_bytes(r, &bytes, &err) != ACCEL_OK)
        return false;
    const bool done = accel_resize(&kernels, pool, r, dtype, x, y, kc_aligned(bytes));
    kc_release();
    return done;
}

static bool near_all(size_t n, const float *got, const float *want)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 1e-4f)) {
            printf("# [%zu]: got %g, want %g\n", i, (double)got[i], (double)want[i]);
            return false;
        }
    return true;
}

#define IS(n, ...) near_all(n, y, (const float[]){__VA_ARGS__})

int main(int argc, char **argv)
{
    float four[4], eight[8], sixteen[16], y[64];
    struct accel_error err;
    size_t bytes;

    kc_begin(argc, argv);
    accel_kernels_init(&kernels, ACCEL_CPU_ALL);
    if (accel_pool_new(2, &pool, &err) != ACCEL_OK)
        return 1;
    for (int i = 0; i < 16; i++) {
        sixteen[i] = (float)(i + 1);
        eight[i % 8] = (float)(i % 8 + 1);
        four[i % 4] = (float)(i % 4 + 1);
    }

    struct accel_resize up_nearest = {.in = {2, 2}, .out = {4, 6}, .scale = {2, 3}};
    ok(resize(&up_nearest, ACCEL_DTYPE_FLOAT, four, y) &&
           IS(24, 1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4),
       "resize_upsample_scales_nearest");

    struct accel_resize down_nearest = {.in = {2, 4}, .out = {1, 2}, .scale = {0.6f, 0.6f}};
    ok(resize(&down_nearest, ACCEL_DTYPE_FLOAT, eight, y) && IS(2, 1, 3),
       "resize_downsample_scales_nearest");

    struct accel_resize floor_nearest = {.in = {4, 4},
                                         .out = {8, 8},
                                         .coord = ACCEL_COORD_HALF_PIXEL,
                                         .nearest = ACCEL_NEAREST_FLOOR};
    ok(resize(&floor_nearest, ACCEL_DTYPE_FLOAT, sixteen, y) && IS(8, 1, 1, 1, 2, 2, 3, 3, 4) &&
           y[16] == 1 && y[24] == 5,
       "resize_upsample_sizes_nearest_floor_half_pixel");

    struct accel_resize ceil_nearest = {.in = {4, 4},
                                        .out = {8, 8},
                                        .coord = ACCEL_COORD_HALF_PIXEL,
                                        .nearest = ACCEL_NEAREST_CEIL};
    ok(resize(&ceil_nearest, ACCEL_DTYPE_FLOAT, sixteen, y) && IS(8, 1, 2, 2, 3, 3, 4, 4, 4),
       "resize_upsample_sizes_nearest_ceil_half_pixel");

    struct accel_resize corners_nearest = {.in = {4, 4},
                                           .out = {8, 8},
                                           .coord = ACCEL_COORD_ALIGN_CORNERS,
                                           .nearest = ACCEL_NEAREST_ROUND_PREFER_CEIL};
    ok(resize(&corners_nearest, ACCEL_DTYPE_FLOAT, sixteen, y) && IS(8, 1, 1, 2, 2, 3, 3, 4, 4),
       "resize_upsample_sizes_nearest_round_prefer_ceil_asymmetric's rounding");

    struct accel_resize linear = {.in = {2, 2}, .out = {4, 4}, .mode = ACCEL_RESIZE_LINEAR};
    ok(resize(&linear, ACCEL_DTYPE_FLOAT, four, y) &&
           IS(16, 1, 1.25f, 1.75f, 2, 1.5f, 1.75f, 2.25f, 2.5f, 2.5f, 2.75f, 3.25f, 3.5f, 3, 3.25f,
              3.75f, 4),
       "resize_upsample_scales_linear");

    struct accel_resize corners = {.in = {2, 2},
                                   .out = {4, 4},
                                   .mode = ACCEL_RESIZE_LINEAR,
                                   .coord = ACCEL_COORD_ALIGN_CORNERS};
    ok(resize(&corners, ACCEL_DTYPE_FLOAT, four, y) && IS(4, 1, 1.33333333f, 1.66666667f, 2) &&
           fabsf(y[4] - 1.66666667f) < 1e-5f,
       "resize_upsample_scales_linear_align_corners");

    struct accel_resize down_linear = {
        .in = {2, 4}, .out = {1, 2}, .scale = {0.6f, 0.6f}, .mode = ACCEL_RESIZE_LINEAR};
    ok(resize(&down_linear, ACCEL_DTYPE_FLOAT, eight, y) && IS(2, 2.6666665f, 4.3333331f),
       "resize_downsample_scales_linear");

    struct accel_resize symmetric = {.in = {1, 4},
                                     .out = {1, 2},
                                     .scale = {1, 0.6f},
                                     .mode = ACCEL_RESIZE_LINEAR,
                                     .coord = ACCEL_COORD_HALF_PIXEL_SYMMETRIC};
    ok(resize(&symmetric, ACCEL_DTYPE_FLOAT, four, y) && IS(2, 1.6666667f, 3.3333333f),
       "resize_downsample_scales_linear_half_pixel_symmetric");

    struct accel_resize aa = {.in = {4, 4},
                              .out = {2, 2},
                              .scale = {0.6f, 0.6f},
                              .mode = ACCEL_RESIZE_LINEAR,
                              .antialias = true};
    ok(resize(&aa, ACCEL_DTYPE_FLOAT, sixteen, y) && IS(4, 2.875f, 4.5f, 9.375f, 11.0f),
       "resize_downsample_scales_linear_antialias");

    struct accel_resize cubic = {.in = {4, 4},
                                 .out = {3, 3},
                                 .scale = {0.8f, 0.8f},
                                 .mode = ACCEL_RESIZE_CUBIC,
                                 .cubic_coeff_a = -0.75f};
    ok(resize(&cubic, ACCEL_DTYPE_FLOAT, sixteen, y) &&
           IS(9, 1.47119141f, 2.78125f, 4.08251953f, 6.71142578f, 8.02148438f, 9.32275391f,
              11.91650391f, 13.2265625f, 14.52783203f),
       "resize_downsample_scales_cubic");

    struct accel_resize outside = {.in = {4, 4},
                                   .out = {3, 3},
                                   .scale = {0.8f, 0.8f},
                                   .mode = ACCEL_RESIZE_CUBIC,
                                   .cubic_coeff_a = -0.5f,
                                   .exclude_outside = true};
    ok(resize(&outside, ACCEL_DTYPE_FLOAT, sixteen, y) &&
           IS(9, 1.36812675f, 2.6695014f, 4.0133367f, 6.57362535f, 7.875f, 9.2188353f, 11.94896657f,
              13.25034122f, 14.59417652f),
       "resize_downsample_scales_cubic_A_n0p5_exclude_outside");

    struct accel_resize crop = {.in = {4, 4},
                                .out = {3, 3},
                                .mode = ACCEL_RESIZE_LINEAR,
                                .coord = ACCEL_COORD_TF_CROP_AND_RESIZE,
                                .roi_start = {0.4f, 0.6f},
                                .roi_end = {1.2f, 1.7f},
                                .extrapolation_value = 10};
    ok(resize(&crop, ACCEL_DTYPE_FLOAT, sixteen, y) &&
           IS(9, 7.6f, 10, 10, 12.4f, 10, 10, 10, 10, 10),
       "resize_tf_crop_and_resize with extrapolation");

    const int64_t large[4] = {1, INT64_MAX, 3, 4};
    int64_t most[24];
    ok(resize(&up_nearest, ACCEL_DTYPE_INT64, large, most) && most[3] == INT64_MAX && most[23] == 4,
       "nearest moves elements of any type as they are");
    const uint8_t bytes_in[4] = {0, 255, 10, 20};
    uint8_t bytes_out[16];
    ok(resize(&linear, ACCEL_DTYPE_UINT8, bytes_in, bytes_out) && bytes_out[1] == 63 &&
           bytes_out[3] == 255,
       "linear on uint8 cuts off, as ONNX Runtime does");
    ok(!resize(&linear, ACCEL_DTYPE_INT64, large, most), "linear on int64 is refused");

    struct accel_resize huge = {.rank = 1, .in = {2}, .out = {SIZE_MAX / 4}, .scale = {1e18f}};
    ok(accel_resize_scratch_bytes(&huge, &bytes, &err) == ACCEL_E_INVALID,
       "tables beyond the address space are refused");
    huge.scale[0] = NAN;
    ok(accel_resize_scratch_bytes(&huge, &bytes, &err) == ACCEL_E_INVALID,
       "a scale that is no number is refused");
    accel_pool_free(pool);
    return tap_done();
}
