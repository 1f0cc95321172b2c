/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/image.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include "base/fd.h"
#include "base/half.h"
#include "base/mem.h"

#define FILE_BYTES_MAX ((size_t)256 << 20)

void accel_image_free(struct accel_image *image)
{
    accel_freep(&image->pixels);
    image->width = image->height = 0;
}

static int new_image(uint32_t width, uint32_t height, struct accel_image *image,
                     struct accel_error *err)
{
    if (width == 0 || height == 0 || width > ACCEL_IMAGE_SIDE_MAX || height > ACCEL_IMAGE_SIDE_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "a picture of %ux%u pixels; 1 to %d a side are read",
                          width, height, ACCEL_IMAGE_SIDE_MAX);
    image->pixels = accel_malloc((size_t)width * height * 3);
    if (image->pixels == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a picture of %ux%u", width, height);
    image->width = width;
    image->height = height;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- decoding */

static int decode_png(const void *bytes, size_t size, struct accel_image *image,
                      struct accel_error *err)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    const png_color white = {255, 255, 255};
    int rc = ACCEL_E_INVALID;

    if (!png_image_begin_read_from_memory(&png, bytes, size))
        return accel_fail(err, ACCEL_E_INVALID, "PNG: %s", png.message);
    png.format = PNG_FORMAT_RGB;
    rc = new_image(png.width, png.height, image, err);
    if (rc == ACCEL_OK && !png_image_finish_read(&png, &white, image->pixels, 0, NULL))
        rc = accel_fail(err, ACCEL_E_INVALID, "PNG: %s", png.message);
    png_image_free(&png);
    return rc;
}

/* libjpeg reports errors by a call that must not return. */
struct jpeg_failure {
    struct jpeg_error_mgr manager;
    jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
};

static void jpeg_failed(j_common_ptr common)
{
    struct jpeg_failure *failure = (struct jpeg_failure *)common->err;

    failure->manager.format_message(common, failure->message);
    longjmp(failure->escape, 1);
}

static void jpeg_silent(j_common_ptr common)
{
    (void)common;
}

static int decode_jpeg(const void *bytes, size_t size, struct accel_image *image,
                       struct accel_error *err)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_failure failure;
    /* Both sides of longjmp see it. */
    volatile int rc = ACCEL_OK;

    memset(&jpeg, 0, sizeof(jpeg));
    jpeg.err = jpeg_std_error(&failure.manager);
    failure.manager.error_exit = jpeg_failed;
    failure.manager.output_message = jpeg_silent;
    if (setjmp(failure.escape) != 0) {
        jpeg_destroy_decompress(&jpeg);
        return accel_fail(err, ACCEL_E_INVALID, "JPEG: %s", failure.message);
    }
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, bytes, (unsigned long)size);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&jpeg);
    rc = new_image(jpeg.output_width, jpeg.output_height, image, err);
    while (rc == ACCEL_OK && jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW row = image->pixels + (size_t)jpeg.output_scanline * image->width * 3;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    if (rc == ACCEL_OK)
        jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return rc;
}

int accel_image_read(const char *path, struct accel_image *image, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *bytes = NULL;
    struct accel_image decoded = {0};
    size_t size;
    int rc = accel_read_file(path, FILE_BYTES_MAX, &bytes, &size, err);

    if (rc != ACCEL_OK)
        return rc;
    if (size >= 8 && png_sig_cmp((png_const_bytep)bytes, 0, 8) == 0)
        rc = decode_png(bytes, size, &decoded, err);
    else if (size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        rc = decode_jpeg(bytes, size, &decoded, err);
    else
        rc = accel_fail(err, ACCEL_E_INVALID, "neither PNG nor JPEG");
    if (rc != ACCEL_OK) {
        accel_image_free(&decoded);
        return accel_fail_in(err, "%s", path);
    }
    *image = decoded;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- resampling */

/* One axis: `to` samples out of `from[0..length)` that lie `stride` floats apart, 3 channels each.
 */
struct axis {
    double begin, scale; /* sample i looks at begin + (i + 0.5) * scale */
    uint32_t length;
};

/* Weighs the neighbours of sample i by a triangle; returns how many, the first in *first. */
static uint32_t weigh(const struct axis *axis, uint32_t i, uint32_t *first, float *weights)
{
    const double reach = ACCEL_MAX(axis->scale, 1.0);
    const double centre = axis->begin + (i + 0.5) * axis->scale;
    const double low = ACCEL_MAX(ceil(centre - reach - 0.5), 0.0);
    const double high = ACCEL_MIN(floor(centre + reach - 0.5), (double)axis->length - 1);
    double sum = 0;
    uint32_t n = 0;

    *first = (uint32_t)low;
    for (double at = low; at <= high; at++) {
        const double weight = ACCEL_MAX(1.0 - fabs(at + 0.5 - centre) / reach, 0.0);
        weights[n++] = (float)weight;
        sum += weight;
    }
    for (uint32_t k = 0; k < n; k++)
        weights[k] = (float)(weights[k] / sum);
    return n;
}

/* rows x from_width pixels -> rows x to_width, as floats. */
static void resample_rows(const struct accel_image *from, const struct axis *axis,
                          uint32_t to_width, float *weights, float *to)
{
    for (uint32_t x = 0; x < to_width; x++) {
        uint32_t first;
        const uint32_t n = weigh(axis, x, &first, weights);
        for (uint32_t y = 0; y < from->height; y++) {
            const uint8_t *at = from->pixels + ((size_t)y * from->width + first) * 3;
            float sum[3] = {0};
            for (uint32_t k = 0; k < n; k++)
                for (int c = 0; c < 3; c++)
                    sum[c] += weights[k] * at[k * 3 + (uint32_t)c];
            memcpy(to + ((size_t)y * to_width + x) * 3, sum, sizeof(sum));
        }
    }
}

static void resample_columns(const float *from, const struct axis *axis, float *weights,
                             struct accel_image *to)
{
    const size_t row = (size_t)to->width * 3;

    for (uint32_t y = 0; y < to->height; y++) {
        uint32_t first;
        const uint32_t n = weigh(axis, y, &first, weights);
        for (size_t x = 0; x < row; x++) {
            float sum = 0;
            for (uint32_t k = 0; k < n; k++)
                sum += weights[k] * from[(first + k) * row + x];
            to->pixels[y * row + x] = (uint8_t)ACCEL_MIN(ACCEL_MAX(lrintf(sum), 0L), 255L);
        }
    }
}

static int choose_axes(const struct accel_image *from, uint32_t width, uint32_t height,
                       enum accel_image_fit fit, struct axis *x, struct axis *y,
                       struct accel_error *err)
{
    double sx = (double)from->width / width, sy = (double)from->height / height;

    if (fit == ACCEL_FIT_CROP && (from->width < width || from->height < height))
        return accel_fail(err, ACCEL_E_INVALID,
                          "the picture, %ux%u, is smaller than the %ux%u to cut out of it; use "
                          "another --fit",
                          from->width, from->height, width, height);
    if (fit == ACCEL_FIT_CROP)
        sx = sy = 1.0;
    else if (fit == ACCEL_FIT_COVER)
        sx = sy = ACCEL_MIN(sx, sy);
    /* The middle, cut at whole pixels: what is cut first and scaled then by others comes out the
     * same here. */
    *x = (struct axis){(from->width - width * sx) / 2, sx, from->width};
    *y = (struct axis){(from->height - height * sy) / 2, sy, from->height};
    x->begin = floor(x->begin);
    y->begin = floor(y->begin);
    return ACCEL_OK;
}

int accel_image_fit(const struct accel_image *from, uint32_t width, uint32_t height,
                    enum accel_image_fit fit, struct accel_image *to, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) float *rows = NULL;
    ACCEL_CLEANUP(accel_freep) float *weights = NULL;
    struct axis x, y;
    int rc = new_image(width, height, to, err);

    if (rc == ACCEL_OK)
        rc = choose_axes(from, width, height, fit, &x, &y, err);
    if (rc == ACCEL_OK) {
        /* Two sides of at most 16384: no product here overflows. */
        rows = accel_malloc((size_t)from->height * width * 3 * sizeof(*rows));
        weights = accel_malloc((2 * (size_t)ACCEL_IMAGE_SIDE_MAX + 4) * sizeof(*weights));
        if (rows == NULL || weights == NULL)
            rc = accel_fail(err, ACCEL_E_NOMEM, "no memory to scale a picture to %ux%u", width,
                            height);
    }
    if (rc != ACCEL_OK) {
        accel_image_free(to);
        return rc;
    }
    resample_rows(from, &x, width, weights, rows);
    resample_columns(rows, &y, weights, to);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- tensors */

static void put_element(const struct accel_tensor *t, size_t i, float value)
{
    if (t->dtype == ACCEL_DTYPE_FLOAT)
        ((float *)t->data)[i] = value;
    else if (t->dtype == ACCEL_DTYPE_FLOAT16)
        ((uint16_t *)t->data)[i] = accel_half_from_float(value);
    else
        ((uint8_t *)t->data)[i] = (uint8_t)lrintf(ACCEL_MIN(ACCEL_MAX(value, 0.0f), 255.0f));
}

static float channel_of(const uint8_t *rgb, int channels, int c, bool bgr)
{
    if (channels == 1)
        return 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2];
    return rgb[bgr ? 2 - c : c];
}

int accel_image_to_tensor(const struct accel_image *image,
                          const struct accel_image_scaling *scaling, struct accel_tensor *t,
                          struct accel_error *err)
{
    const bool nchw = t->rank == 4 && (t->dims[1] == 3 || t->dims[1] == 1);
    const int64_t channels = t->rank != 4 ? 0 : nchw ? t->dims[1] : t->dims[3];
    const size_t area = (size_t)image->width * image->height;

    if (channels != 1 && channels != 3)
        return accel_fail(err, ACCEL_E_INVALID,
                          "the input is no picture: it needs 4 dimensions with 1 or 3 channels");
    if (t->dtype != ACCEL_DTYPE_FLOAT && t->dtype != ACCEL_DTYPE_FLOAT16 &&
        t->dtype != ACCEL_DTYPE_UINT8)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "no picture goes into an input of type %s",
                          accel_dtype_name(t->dtype));
    t->size_bytes = area * (size_t)channels * accel_dtype_size(t->dtype);
    t->data = accel_malloc(t->size_bytes);
    if (t->data == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an input of %zu bytes", t->size_bytes);
    for (size_t i = 0; i < area; i++)
        for (int c = 0; c < channels; c++) {
            const float value = channel_of(image->pixels + i * 3, (int)channels, c, scaling->bgr);
            const size_t at = nchw ? (size_t)c * area + i : i * (size_t)channels + (size_t)c;
            put_element(t, at, (value - scaling->mean[c]) * scaling->scale[c]);
        }
    return ACCEL_OK;
}
