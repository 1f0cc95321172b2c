/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/half.h"
#include "base/mem.h"
#include "tap.h"

static const struct accel_image_scaling plain = {false, {0, 0, 0}, {1, 1, 1}};

static void photographs_are_decoded(void)
{
    ACCEL_CLEANUP(accel_image_free) struct accel_image png = {0};
    ACCEL_CLEANUP(accel_image_free) struct accel_image jpeg = {0};
    struct accel_error err;

    ok(accel_image_read("tests/fixtures/photos/chelsea.png", &png, &err) == ACCEL_OK &&
           png.width == 451 && png.height == 300,
       "a PNG photograph has its size");
    /* Read off the file by another decoder (Pillow). */
    ok(png.pixels[0] == 143 && png.pixels[1] == 120 && png.pixels[2] == 104,
       "its first pixel is %d %d %d", png.pixels[0], png.pixels[1], png.pixels[2]);
    ok(accel_image_read("tests/fixtures/photos/rocket.jpg", &jpeg, &err) == ACCEL_OK &&
           jpeg.width == 640 && jpeg.height == 427,
       "a JPEG photograph has its size");
}

static void what_is_no_picture_is_refused(void)
{
    char path[] = "/tmp/test_image.XXXXXX";
    const int fd = mkstemp(path);
    struct accel_image image = {0};
    struct accel_error err = {0};
    static const char *const contents[] = {"", "hello", "\x89PNG\r\n\x1a\n....",
                                           "\xff\xd8\xff\xe0oops"};

    for (size_t i = 0; i < ACCEL_COUNT(contents); i++) {
        ok(ftruncate(fd, 0) == 0 && pwrite(fd, contents[i], strlen(contents[i]), 0) >= 0 &&
               accel_image_read(path, &image, &err) == ACCEL_E_INVALID && image.pixels == NULL,
           "refused: %s", err.msg);
    }
    close(fd);
    unlink(path);
    ok(accel_image_read(path, &image, &err) == ACCEL_E_NOT_FOUND, "a missing file is named: %s",
       err.msg);
}

/* A picture whose red is its column and whose green is its row. */
static struct accel_image ramp(uint32_t width, uint32_t height)
{
    struct accel_image image = {width, height, accel_malloc((size_t)width * height * 3)};

    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            uint8_t *p = image.pixels + ((size_t)y * width + x) * 3;
            p[0] = (uint8_t)x;
            p[1] = (uint8_t)y;
            p[2] = 7;
        }
    return image;
}

static void fitting_keeps_the_middle(void)
{
    ACCEL_CLEANUP(accel_image_free) struct accel_image from = ramp(100, 60);
    struct accel_image to = {0};
    struct accel_error err;

    ok(accel_image_fit(&from, 20, 20, ACCEL_FIT_CROP, &to, &err) == ACCEL_OK &&
           to.pixels[0] == 40 && to.pixels[1] == 20,
       "a crop is cut from the middle, pixel for pixel");
    accel_image_free(&to);
    ok(accel_image_fit(&from, 30, 30, ACCEL_FIT_COVER, &to, &err) == ACCEL_OK,
       "a picture is scaled to cover");
    /* Half size: target pixel 15 of row 15 lies at 20 + 15.5 * 2 - 0.5 in the source. */
    const uint8_t *p = to.pixels + (15 * 30 + 15) * 3;
    ok(abs(p[0] - 50) <= 1 && abs(p[1] - 30) <= 1 && p[2] == 7,
       "its middle stays the middle: %d %d", p[0], p[1]);
    accel_image_free(&to);
    ok(accel_image_fit(&from, 200, 60, ACCEL_FIT_STRETCH, &to, &err) == ACCEL_OK &&
           abs(to.pixels[199 * 3] - 99) <= 1 && to.pixels[0] == 0,
       "stretching reaches both edges");
    accel_image_free(&to);
    ok(accel_image_fit(&from, 101, 10, ACCEL_FIT_CROP, &to, &err) == ACCEL_E_INVALID &&
           to.pixels == NULL,
       "a crop larger than the picture is refused: %s", err.msg);
    ok(accel_image_fit(&from, 0, 10, ACCEL_FIT_COVER, &to, &err) == ACCEL_E_LIMIT,
       "a size of nothing is refused: %s", err.msg);
}

static void tensors_have_the_layout_asked_for(void)
{
    ACCEL_CLEANUP(accel_image_free) struct accel_image image = ramp(4, 2);
    const struct accel_image_scaling scaling = {true, {1, 2, 3}, {2, 2, 2}};
    struct accel_tensor nchw = {.dtype = ACCEL_DTYPE_FLOAT, .rank = 4, .dims = {1, 3, 2, 4}};
    struct accel_tensor nhwc = {.dtype = ACCEL_DTYPE_FLOAT16, .rank = 4, .dims = {1, 2, 4, 3}};
    struct accel_tensor grey = {.dtype = ACCEL_DTYPE_UINT8, .rank = 4, .dims = {1, 1, 2, 4}};
    struct accel_tensor flat = {.dtype = ACCEL_DTYPE_FLOAT, .rank = 2, .dims = {1, 24}};
    struct accel_error err;

    ok(accel_image_to_tensor(&image, &scaling, &nchw, &err) == ACCEL_OK &&
           ((float *)nchw.data)[0] == (7 - 1) * 2 && ((float *)nchw.data)[16 + 3] == (3 - 3) * 2,
       "planes, blue first, mean off and scaled");
    ok(accel_image_to_tensor(&image, &plain, &nhwc, &err) == ACCEL_OK &&
           accel_half_to_float(((uint16_t *)nhwc.data)[3 * 7]) == 3,
       "interleaved halves");
    ok(accel_image_to_tensor(&image, &plain, &grey, &err) == ACCEL_OK &&
           ((uint8_t *)grey.data)[3] == (uint8_t)lrintf(0.299f * 3 + 0.114f * 7),
       "luminance in bytes");
    ok(accel_image_to_tensor(&image, &plain, &flat, &err) == ACCEL_E_INVALID,
       "an input that is no picture is refused: %s", err.msg);
    accel_free(nchw.data);
    accel_free(nhwc.data);
    accel_free(grey.data);
}

int main(void)
{
    photographs_are_decoded();
    what_is_no_picture_is_refused();
    fitting_keeps_the_middle();
    tensors_have_the_layout_asked_for();
    return tap_done();
}
