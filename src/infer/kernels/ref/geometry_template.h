/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of geometry.c for elements of type T; NAME(x) gives each type's functions a name. */

/* ---------------------------------------------------------------- GridSample */

/* The four places and weights along one axis; place -1 is outside and reads 0. */
struct NAME(taps) {
    ptrdiff_t place[4];
    T weight[4];
    unsigned count;
};

static T NAME(denormalise)(T v, size_t length, bool align_corners)
{
    return align_corners ? (v + 1) / 2 * ((T)length - 1) : ((v + 1) * (T)length - 1) / 2;
}

/* Mirrored at lo and hi as often as it takes. */
static T NAME(reflect)(T v, T lo, T hi)
{
    const T range = hi - lo;

    if (!(range > 0))
        return lo;
    if (v >= lo && v <= hi)
        return v;
    const T away = v < lo ? lo - v : v - hi;
    const T turns = FLOOR(away / range);
    const T rest = away - turns * range;
    const bool even = FMOD(turns, 2) == 0;
    return (v < lo) == even ? lo + rest : hi - rest;
}

/* A whole number, or something far outside. */
static ptrdiff_t NAME(index)(T v)
{
    return v > -1e9f && v < 1e9f ? (ptrdiff_t)v : -(ptrdiff_t)1000000000;
}

static ptrdiff_t NAME(place)(const struct accel_grid_sample *s, ptrdiff_t i, size_t length)
{
    const ptrdiff_t last = (ptrdiff_t)length - 1;

    if (i >= 0 && i <= last)
        return i;
    if (s->padding == ACCEL_GRID_ZEROS || length == 0)
        return -1;
    if (s->padding == ACCEL_GRID_REFLECTION) {
        const T lo = s->align_corners ? 0 : (T)-0.5;
        const T hi = s->align_corners ? (T)last : (T)last + (T)0.5;

        i = (ptrdiff_t)NAME(reflect)((T)i, lo, hi);
    }
    return i < 0 ? 0 : i > last ? last : i;
}

/* Keys' kernel with a = -0.75. */
static void NAME(cubic)(T x, T weight[4])
{
    const T a = (T)-0.75;

    weight[0] = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
    weight[1] = ((a + 2) * x - (a + 3)) * x * x + 1;
    weight[2] = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1;
    weight[3] = ((a * (2 - x) - 5 * a) * (2 - x) + 8 * a) * (2 - x) - 4 * a;
}

static void NAME(axis_taps)(const struct accel_grid_sample *s, size_t length, T coordinate,
                            struct NAME(taps) * taps)
{
    const T lo = s->align_corners ? 0 : (T)-0.5;
    const T hi = s->align_corners ? (T)length - 1 : (T)length - (T)0.5;
    T v = NAME(denormalise)(coordinate, length, s->align_corners);

    if (s->mode == ACCEL_RESIZE_NEAREST)
        v = NEARBYINT(v);
    /* At a border only the places are clamped: cubic weights are those of the point outside. */
    if (!(v >= lo && v <= hi) && s->padding == ACCEL_GRID_REFLECTION)
        v = NAME(reflect)(v, lo, hi);
    const ptrdiff_t first = NAME(index)(FLOOR(v));
    const T rest = v - FLOOR(v);
    ptrdiff_t begin = first;
    if (s->mode == ACCEL_RESIZE_NEAREST) {
        /* A reflection may end half-way between two; towards zero, then. */
        begin = NAME(index)(v);
        taps->count = 1;
        taps->weight[0] = 1;
    } else if (s->mode == ACCEL_RESIZE_LINEAR) {
        taps->count = 2;
        taps->weight[0] = 1 - rest;
        taps->weight[1] = rest;
    } else {
        begin = first - 1;
        taps->count = 4;
        NAME(cubic)(rest, taps->weight);
    }
    for (unsigned t = 0; t < taps->count; t++)
        taps->place[t] = NAME(place)(s, begin + t, length);
}

/* Over three axes; what a plane or a line lacks has one tap of weight 1. */
static T NAME(gather)(const struct NAME(taps) taps[3], size_t height, size_t width, const T *x)
{
    T sum = 0;

    for (unsigned d = 0; d < taps[0].count; d++) {
        T plane = 0;

        for (unsigned r = 0; r < taps[1].count; r++) {
            T line = 0;

            if (taps[0].place[d] < 0 || taps[1].place[r] < 0)
                continue;
            const T *row =
                x + ((size_t)taps[0].place[d] * height + (size_t)taps[1].place[r]) * width;
            for (unsigned c = 0; c < taps[2].count; c++)
                if (taps[2].place[c] >= 0)
                    line += taps[2].weight[c] * row[taps[2].place[c]];
            plane += taps[1].weight[r] * line;
        }
        sum += taps[0].weight[d] * plane;
    }
    return sum;
}

static void NAME(grid_range)(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct grid_job *job = context;
    const struct accel_grid_sample *s = job->sample;
    const unsigned skip = 3 - s->spatial;
    size_t in[3] = {1, 1, 1};

    (void)thread;
    for (unsigned i = 0; i < s->spatial; i++)
        in[skip + i] = s->in[i];
    const size_t image = in[0] * in[1] * in[2];
    for (size_t unit = begin; unit < end; unit++) {
        const size_t n = unit / s->points, point = unit % s->points;
        const T *grid = (const T *)job->grid + unit * s->spatial;
        const T *x = (const T *)job->x + n * s->channels * image;
        T *y = (T *)job->y + n * s->channels * s->points + point;
        struct NAME(taps) taps[3] = {{.weight = {1}, .count = 1}, {.weight = {1}, .count = 1}};

        for (unsigned i = 0; i < s->spatial; i++)
            NAME(axis_taps)(s, s->in[i], grid[s->spatial - 1 - i], &taps[skip + i]);
        for (size_t c = 0; c < s->channels; c++)
            y[c * s->points] = NAME(gather)(taps, in[1], in[2], x + c * image);
    }
}

/* ---------------------------------------------------------------- AffineGrid */

/* Position i of n between -1 and 1. */
static T NAME(position)(size_t i, size_t n, bool align_corners)
{
    if (align_corners)
        return n > 1 ? (T)2 * (T)i / (T)(n - 1) - 1 : 1; /* one point: ONNX Runtime's is the end */
    return ((T)2 * (T)i + 1) / (T)n - 1;
}

static void NAME(affine_range)(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct affine_job *job = context;
    const unsigned r = job->spatial;
    size_t points = 1;

    (void)thread;
    for (unsigned i = 0; i < r; i++)
        points *= job->out[i];
    for (size_t unit = begin; unit < end; unit++) {
        const T *theta = (const T *)job->theta + unit / points * r * (r + 1);
        T *y = (T *)job->y + unit * r;
        T at[ACCEL_SPATIAL_MAX];
        size_t rest = unit % points;

        for (unsigned i = r; i-- > 0; rest /= job->out[i])
            at[r - 1 - i] = NAME(position)(rest % job->out[i], job->out[i], job->align_corners);
        for (unsigned i = 0; i < r; i++) {
            y[i] = theta[i * (r + 1) + r];
            for (unsigned k = 0; k < r; k++)
                y[i] += theta[i * (r + 1) + k] * at[k];
        }
    }
}

/* ---------------------------------------------------------------- RoiAlign */

/* Bilinear places and weights along one axis for a sample at v; false: outside, it counts 0. */
static bool NAME(align_taps)(T v, size_t length, size_t place[2], T weight[2])
{
    if (!(v >= -1 && v <= (T)length) || length == 0)
        return false;
    v = v <= 0 ? 0 : v;
    place[0] = (size_t)v;
    place[1] = place[0] + 1;
    if (place[0] + 1 >= length) {
        place[0] = place[1] = length - 1;
        v = (T)place[0];
    }
    weight[1] = v - (T)place[0];
    weight[0] = 1 - weight[1];
    return true;
}

/* The samples of one bin along one axis: `samples` of them `step` apart from `start` on, of which
 * those before `first` and from `last` on are outside however many they are. */
struct NAME(bin) {
    T start, step;
    size_t samples, first, last;
};

static struct NAME(bin) NAME(bin_of)(T start, T width, size_t ratio, size_t length)
{
    const T wanted = ratio > 0 ? (T)ratio : CEIL(width);
    /* More samples than these are more than two per pixel: the rest lies outside. */
    struct NAME(bin)
        bin = {.samples = wanted >= 1 ? wanted < (T)1e9f ? (size_t)wanted : 1000000000 : 0};

    if (bin.samples == 0)
        return bin;
    bin.step = width / (T)bin.samples;
    bin.start = start + bin.step * (T)0.5;
    bin.last = bin.samples;
    if (!(bin.step > 0) || bin.samples <= 64)
        return bin;
    const T first = FLOOR((-1 - bin.start) / bin.step) - 2;
    const T last = CEIL(((T)length - bin.start) / bin.step) + 2;
    bin.first = first > 0 ? first < (T)bin.samples ? (size_t)first : bin.samples : 0;
    bin.last = last > 0 ? last < (T)bin.samples ? (size_t)last : bin.samples : 0;
    return bin;
}

static T NAME(align_bin)(const struct accel_roi *roi, const struct NAME(bin) * h,
                         const struct NAME(bin) * w, const T *x)
{
    T sum = 0, most = -INFINITY;
    size_t counted = 0;

    for (size_t i = h->first; i < h->last; i++) {
        size_t row[2], column[2];
        T a[2], b[2];

        if (!NAME(align_taps)(h->start + h->step * (T)i, roi->in_h, row, a))
            continue;
        for (size_t j = w->first; j < w->last; j++) {
            if (!NAME(align_taps)(w->start + w->step * (T)j, roi->in_w, column, b))
                continue;
            counted++;
            for (unsigned k = 0; k < 4; k++) {
                const T v = a[k / 2] * b[k % 2] * x[row[k / 2] * roi->in_w + column[k % 2]];

                sum += v;
                most = v > most ? v : most;
            }
        }
    }
    if (!roi->max)
        return sum / (T)ACCEL_MAX(h->samples * w->samples, (size_t)1);
    if (counted < h->samples * w->samples)
        most = most > 0 ? most : 0; /* a sample outside is 0 */
    return h->samples * w->samples > 0 ? most : 0;
}

static void NAME(align_range)(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct roi_job *job = context;
    const struct accel_roi *roi = job->roi;
    const T offset = roi->half_pixel ? (T)0.5 : 0;
    const T scale = (T)roi->spatial_scale;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t r = unit / roi->channels, c = unit % roi->channels;
        const T *box = (const T *)job->boxes + 4 * r;
        const T *x =
            (const T *)job->x + ((size_t)job->image[r] * roi->channels + c) * roi->in_h * roi->in_w;
        T *y = (T *)job->y + unit * roi->out_h * roi->out_w;
        const T x0 = box[0] * scale - offset, y0 = box[1] * scale - offset;
        T width = box[2] * scale - offset - x0, height = box[3] * scale - offset - y0;

        if (!roi->half_pixel) {
            width = width > 1 ? width : 1;
            height = height > 1 ? height : 1;
        }
        width /= (T)roi->out_w;
        height /= (T)roi->out_h;
        for (size_t i = 0; i < roi->out_h; i++) {
            const struct NAME(bin) h =
                NAME(bin_of)(y0 + (T)i * height, height, roi->sampling_ratio, roi->in_h);

            for (size_t j = 0; j < roi->out_w; j++) {
                const struct NAME(bin) w =
                    NAME(bin_of)(x0 + (T)j * width, width, roi->sampling_ratio, roi->in_w);

                if (give_up(job, h.last - ACCEL_MIN(h.first, h.last),
                            w.last - ACCEL_MIN(w.first, w.last)))
                    return;
                y[i * roi->out_w + j] = NAME(align_bin)(roi, &h, &w, x);
            }
        }
    }
}

/* ---------------------------------------------------------------- MaxRoiPool */

/* Not so far out that whole numbers are no longer exact. */
static T NAME(far)(T v)
{
    return v > -1e6f ? v < 1e6f ? v : (T)1e6f : (T)-1e6f;
}

static void NAME(roi_edges)(T from, T to, T scale, size_t i, size_t bins, size_t length,
                            size_t *begin, size_t *end)
{
    const T start = NAME(far)(ROUND(from * scale)), stop = NAME(far)(ROUND(to * scale));
    const T size = stop - start + 1 > 1 ? stop - start + 1 : 1;
    const T bin = size / (T)bins;
    const T lo = FLOOR((T)i * bin) + start, hi = CEIL((T)(i + 1) * bin) + start;

    *begin = lo > 0 ? lo < (T)length ? (size_t)lo : length : 0;
    *end = hi > 0 ? hi < (T)length ? (size_t)hi : length : 0;
}

static void NAME(roi_max_range)(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct roi_job *job = context;
    const struct accel_roi *roi = job->roi;
    const T scale = (T)roi->spatial_scale;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t r = unit / roi->channels, c = unit % roi->channels;
        const T *box = (const T *)job->boxes + 5 * r;
        const T *x =
            (const T *)job->x + ((size_t)box[0] * roi->channels + c) * roi->in_h * roi->in_w;
        T *y = (T *)job->y + unit * roi->out_h * roi->out_w;

        for (size_t at = 0; at < roi->out_h * roi->out_w; at++) {
            size_t h0, h1, w0, w1;
            T most = LOWEST;

            NAME(roi_edges)
            (box[2], box[4], scale, at / roi->out_w, roi->out_h, roi->in_h, &h0, &h1);
            NAME(roi_edges)
            (box[1], box[3], scale, at % roi->out_w, roi->out_w, roi->in_w, &w0, &w1);
            if (give_up(job, h1 - ACCEL_MIN(h0, h1), w1 - ACCEL_MIN(w0, w1)))
                return;
            for (size_t i = h0; i < h1; i++)
                for (size_t j = w0; j < w1; j++)
                    most = x[i * roi->in_w + j] > most ? x[i * roi->in_w + j] : most;
            y[at] = h1 > h0 && w1 > w0 ? most : 0;
        }
    }
}

static size_t NAME(first_bad)(size_t rois, size_t batch, const T *boxes)
{
    size_t r = 0;

    while (r < rois && boxes[5 * r] >= 0 && boxes[5 * r] < (T)batch)
        r++;
    return r;
}

/* ---------------------------------------------------------------- DeformConv */

static T NAME(bilinear)(const T *x, size_t in_h, size_t in_w, T v, T u)
{
    T sum = 0;

    if (!(v > -1 && u > -1 && v < (T)in_h && u < (T)in_w))
        return 0;
    const ptrdiff_t row = (ptrdiff_t)FLOOR(v), column = (ptrdiff_t)FLOOR(u);
    const T b[2] = {v - (T)row, u - (T)column};
    for (unsigned k = 0; k < 4; k++) {
        const ptrdiff_t i = row + k / 2, j = column + k % 2;

        if (i >= 0 && j >= 0 && i < (ptrdiff_t)in_h && j < (ptrdiff_t)in_w)
            sum += (k / 2 > 0 ? b[0] : 1 - b[0]) * (k % 2 > 0 ? b[1] : 1 - b[1]) *
                   x[(size_t)i * in_w + (size_t)j];
    }
    return sum;
}

static void NAME(deform_range)(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct deform_job *job = context;
    const struct accel_conv *c = job->conv;
    const size_t taps = c->kernel[0] * c->kernel[1], out = c->out[0] * c->out[1];
    const size_t per_group = c->cin / job->groups;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t channel = unit / taps, tap = unit % taps;
        const size_t place = channel / per_group * taps + tap;
        const T *x = (const T *)job->x + channel * c->in[0] * c->in[1];
        const T *offset = (const T *)job->offset + place * 2 * out;
        const T *mask = job->mask != NULL ? (const T *)job->mask + place * out : NULL;
        T *columns = (T *)job->columns + unit * out;
        const T down = (T)(tap / c->kernel[1] * c->dilation[0]) - (T)c->pad_begin[0];
        const T right = (T)(tap % c->kernel[1] * c->dilation[1]) - (T)c->pad_begin[1];

        for (size_t i = 0; i < out; i++) {
            const T v = (T)(i / c->out[1] * c->stride[0]) + down + offset[i];
            const T u = (T)(i % c->out[1] * c->stride[1]) + right + offset[out + i];
            const T value = NAME(bilinear)(x, c->in[0], c->in[1], v, u);

            columns[i] = mask != NULL ? value * mask[i] : value;
        }
    }
}
