/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/spatial.h"

#include <inttypes.h>
#include <string.h>

/* No real window comes near; what is below cannot overflow when these are added and multiplied. */
#define LARGEST ((int64_t)1 << 30)

static int list_of(const struct accel_node *n, const char *name, size_t most, int64_t least,
                   int64_t *values, size_t *count, struct accel_error *err)
{
    const int64_t *list = accel_attr_ints(n, name, count);

    if (*count > most)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "%s has %zu entries", name, *count);
    for (size_t i = 0; i < *count; i++) {
        if (list[i] < least || list[i] > LARGEST)
            return accel_fail(err,
                              list[i] < 0 && least == 0 ? ACCEL_E_UNSUPPORTED : ACCEL_E_INVALID,
                              "%s has an entry of %" PRId64, name, list[i]);
        values[i] = list[i];
    }
    return ACCEL_OK;
}

int accel_spatial_list(const struct accel_node *n, const char *name, int64_t least,
                       int64_t values[ACCEL_SPATIAL_MAX], size_t *count, struct accel_error *err)
{
    return list_of(n, name, ACCEL_SPATIAL_MAX, least, values, count, err);
}

int accel_spatial_parse(const struct accel_node *n, struct accel_spatial_attrs *a,
                        struct accel_error *err)
{
    static const char *const modes[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    const char *mode = accel_attr_string(n, "auto_pad", "NOTSET");
    size_t m = 0;
    int rc = list_of(n, "kernel_shape", ACCEL_SPATIAL_MAX, 1, a->kernel, &a->kernel_count, err);

    if (rc == ACCEL_OK)
        rc = list_of(n, "strides", ACCEL_SPATIAL_MAX, 1, a->strides, &a->strides_count, err);
    if (rc == ACCEL_OK)
        rc = list_of(n, "dilations", ACCEL_SPATIAL_MAX, 1, a->dilations, &a->dilations_count, err);
    if (rc == ACCEL_OK)
        rc = list_of(n, "pads", (size_t)2 * ACCEL_SPATIAL_MAX, 0, a->pads, &a->pads_count, err);
    if (rc != ACCEL_OK)
        return rc;
    while (m < ACCEL_COUNT(modes) && strcmp(modes[m], mode) != 0)
        m++;
    if (m == ACCEL_COUNT(modes))
        return accel_fail(err, ACCEL_E_INVALID, "auto_pad is '%s'", mode);
    a->auto_pad = (enum accel_auto_pad)m;
    a->ceil_mode = accel_attr_int(n, "ceil_mode", 0) != 0;
    return ACCEL_OK;
}

int accel_spatial_axis(const struct accel_spatial_attrs *a, uint32_t spatial, uint32_t axis,
                       int64_t kernel, struct accel_axis_window *w, struct accel_error *err)
{
    if ((a->strides_count != 0 && a->strides_count != spatial) ||
        (a->dilations_count != 0 && a->dilations_count != spatial) ||
        (a->pads_count != 0 && a->pads_count != (size_t)2 * spatial))
        return accel_fail(err, ACCEL_E_INVALID,
                          "strides, dilations or pads are not for %u spatial axes", spatial);
    if (kernel < 1 || kernel > LARGEST)
        return accel_fail(err, ACCEL_E_INVALID, "a kernel of %" PRId64, kernel);
    *w = (struct accel_axis_window){.auto_pad = a->auto_pad,
                                    .kernel = kernel,
                                    .stride = a->strides_count > 0 ? a->strides[axis] : 1,
                                    .dilation = a->dilations_count > 0 ? a->dilations[axis] : 1};
    if (a->auto_pad == ACCEL_PAD_NOTSET && a->pads_count > 0) {
        w->pad_begin = a->pads[axis];
        w->pad_end = a->pads[spatial + axis];
    }
    return ACCEL_OK;
}

int accel_spatial_resolve(struct accel_axis_window *w, int64_t in, struct accel_error *err)
{
    if (in > (int64_t)1 << 40)
        return accel_fail(err, ACCEL_E_INVALID, "an axis of %" PRId64, in);
    if (w->auto_pad == ACCEL_PAD_SAME_UPPER || w->auto_pad == ACCEL_PAD_SAME_LOWER) {
        const int64_t out = (in + w->stride - 1) / w->stride;
        const int64_t need = (out - 1) * w->stride + (w->kernel - 1) * w->dilation + 1 - in;
        const int64_t pad = need > 0 ? need : 0;

        w->pad_begin = w->auto_pad == ACCEL_PAD_SAME_UPPER ? pad / 2 : pad - pad / 2;
        w->pad_end = pad - w->pad_begin;
    }
    return ACCEL_OK;
}

int accel_spatial_transposed(struct accel_axis_window *w, int64_t in, int64_t output_padding,
                             int64_t want, int64_t *out, struct accel_error *err)
{
    if (in > (int64_t)1 << 32 || in < 1)
        return accel_fail(err, ACCEL_E_INVALID, "an axis of %" PRId64, in);
    const int64_t full = w->stride * (in - 1) + output_padding + (w->kernel - 1) * w->dilation + 1;
    const bool same = w->auto_pad == ACCEL_PAD_SAME_UPPER || w->auto_pad == ACCEL_PAD_SAME_LOWER;

    if (want >= 0 || same) {
        /* Padding is never negative: ONNX Runtime's result is no larger than all that is added. */
        *out = want >= 0 ? want : ACCEL_MIN(in * w->stride, full);
        const int64_t total = full - *out;
        /* A larger output has elements at its end that nothing was added to. */
        if (total < -LARGEST)
            return accel_fail(err, ACCEL_E_INVALID, "an output_shape of %" PRId64, want);
        const int64_t pad = total > 0 ? total : 0;
        /* ONNX ConvTranspose: only SAME_UPPER puts the larger half at the end. */
        w->pad_begin = w->auto_pad == ACCEL_PAD_SAME_UPPER ? pad / 2 : pad - pad / 2;
        w->pad_end = pad - w->pad_begin;
        return ACCEL_OK;
    }
    *out = full - w->pad_begin - w->pad_end;
    return ACCEL_OK;
}
