/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and its transpose: random shapes with every attribute, then real layers. */
#include "kernels/kc.h"

static struct accel_pool *pools[3]; /* NULL, 2 and 3 threads */
static size_t turned;               /* cases that took the transposed form */

/* A random convolution; every attribute takes part. */
static struct accel_conv random_conv(bool transpose)
{
    struct accel_conv c = {.spatial = 1 + (unsigned)kc_below(3), .batch = 1 + kc_below(2)};
    static const size_t groups[] = {1, 1, 1, 2, 3};

    c.groups = groups[kc_below(5)];
    c.cin = c.groups * (1 + kc_below(5));
    c.cout = c.groups * (1 + kc_below(6));
    if (kc_below(4) == 0) { /* depthwise, with a multiplier */
        c.groups = c.cin = 1 + kc_below(7);
        c.cout = c.groups * (1 + kc_below(2));
    }
    const bool pointwise = kc_below(5) == 0;
    for (unsigned d = 0; d < c.spatial; d++) {
        size_t pad_end;

        do {
            c.in[d] = 1 + kc_below(c.spatial == 3 ? 6 : (c.spatial == 2 ? 20 : 90));
            c.kernel[d] = pointwise ? 1 : 1 + kc_below(c.spatial == 3 ? 3 : 5);
            c.stride[d] = pointwise ? 1 : 1 + kc_below(3);
            c.dilation[d] = 1 + kc_below(2);
            c.pad_begin[d] = pointwise ? 0 : kc_below(4);
            pad_end = pointwise ? 0 : kc_below(4);
            if (transpose) { /* pads cut the output, output_padding adds to it */
                const size_t full = c.stride[d] * (c.in[d] - 1) +
                                    (c.kernel[d] - 1) * c.dilation[d] + 1 + kc_below(c.stride[d]);
                c.out[d] = full > c.pad_begin[d] + pad_end ? full - c.pad_begin[d] - pad_end : 0;
            } else {
                c.out[d] = accel_conv_out(c.in[d], c.kernel[d], c.stride[d], c.dilation[d],
                                          c.pad_begin[d], pad_end);
            }
        } while (c.out[d] == 0);
    }
    return c;
}

static size_t volume(unsigned rank, const size_t *dims)
{
    size_t n = 1;

    for (unsigned d = 0; d < rank; d++)
        n *= dims[d];
    return n;
}

static void check_conv(const struct accel_conv *c, bool transpose, unsigned options)
{
    const size_t taps = volume(c->spatial, c->kernel);
    const size_t nx = c->batch * c->cin * volume(c->spatial, c->in);
    const size_t ny = c->batch * c->cout * volume(c->spatial, c->out);
    const size_t nw = c->cin * c->cout / c->groups * taps;
    const float *x = kc_floats(nx), *w = kc_floats(nw);
    float *want = kc_floats(ny), *got = kc_floats(ny);
    struct accel_pool *pool = pools[kc_below(3)];
    const unsigned threads = accel_pool_threads(pool);
    struct accel_conv_epilogue e = {.bias = options & 1 ? kc_floats(c->cout) : NULL,
                                    .residual = options & 2 ? kc_floats(ny) : NULL};
    size_t packed_bytes = 0, scratch_bytes = 0;

    e.act.op = options & 4 ? ACCEL_UNARY_CLIP : (options & 8 ? ACCEL_UNARY_SIGMOID : 0);
    e.act.alpha = -0.5f;
    e.act.beta = 1.5f;
    KC_CASE("%s %zuD b%zu g%zu %zu->%zu in %zux%zux%zu k %zux%zux%zu s %zu,%zu,%zu d %zu,%zu,%zu",
            transpose ? "convt" : "conv", (size_t)c->spatial, c->batch, c->groups, c->cin, c->cout,
            c->in[0], c->in[1], c->in[2], c->kernel[0], c->kernel[1], c->kernel[2], c->stride[0],
            c->stride[1], c->stride[2], c->dilation[0], c->dilation[1], c->dilation[2]);
    if (accel_conv_check(c, NULL) != ACCEL_OK)
        kc_fail("accel_conv_check", 1, 0, 0);
    (transpose ? accel_convt_f32__ref : accel_conv_f32__ref)(c, x, w, &e, want);
    if (e.residual != NULL && (options & 16)) { /* in place */
        memcpy(got, e.residual, ny * sizeof(float));
        e.residual = got;
    }
    if ((transpose ? accel_convt_f32_packed_bytes
                   : accel_conv_f32_packed_bytes)(kc_new, c, &packed_bytes, NULL) != ACCEL_OK ||
        (transpose ? accel_convt_f32_scratch_bytes : accel_conv_f32_scratch_bytes)(
            kc_new, c, threads, &scratch_bytes, NULL) != ACCEL_OK)
        kc_fail("a size query", 1, 0, 0);
    void *packed = kc_aligned(packed_bytes), *scratch = kc_aligned(scratch_bytes);
    (transpose ? accel_convt_f32_pack : accel_conv_f32_pack)(kc_new, c, w, packed);
    (transpose ? accel_convt_f32 : accel_conv_f32)(kc_new, pool, c, x, packed, &e, got, scratch);
    const double k = (double)(nw / (transpose ? c->cin : c->cout)) + 4;
    kc_near_all(ny, got, want, 4 * k * FLT_EPSILON, 1e-6);
    kc_release();
}

static void check_random(void)
{
    for (int i = 0; i < 400; i++) {
        const struct accel_conv c = random_conv(false);

        check_conv(&c, false, (unsigned)kc_below(32));
    }
}

/* Many channels on a small image: the form whose product is transposed. */
static void check_turned(void)
{
    for (int i = 0; i < 40; i++) {
        const size_t groups = 1 + kc_below(2), size = 1 + kc_below(7);
        struct accel_conv c = {.spatial = 2,
                               .batch = 1 + kc_below(2),
                               .groups = groups,
                               .cin = groups * (1 + kc_below(i % 8 == 0 ? 90 : 9)),
                               .cout = groups * (4 * kc_new->f32_gemm_nr + kc_below(20))};

        for (unsigned d = 0; d < 2; d++) {
            c.kernel[d] = kc_below(3) == 0 ? 1 : 3;
            c.stride[d] = 1 + kc_below(2);
            c.dilation[d] = 1;
            c.pad_begin[d] = c.kernel[d] / 2;
            c.in[d] = size;
            c.out[d] =
                accel_conv_out(size, c.kernel[d], c.stride[d], 1, c.pad_begin[d], c.pad_begin[d]);
        }
        c.turned = accel_conv_f32_turn(kc_new, &c);
        turned += accel_conv_f32_algo(kc_new, &c) == ACCEL_CONV_TURNED;
        check_conv(&c, false, (unsigned)kc_below(32));
    }
}

static void check_transposed(void)
{
    for (int i = 0; i < 300; i++) {
        const struct accel_conv c = random_conv(true);

        check_conv(&c, true, (unsigned)kc_below(32));
    }
}

/* name, channels in and out, groups, size, kernel, stride, padding at begin and end */
static const struct layer {
    const char *name;
    size_t cin, cout, groups, size, kernel, stride, pad;
} layers[] = {
    {"resnet50 conv1 7x7/2", 3, 64, 1, 224, 7, 2, 3},
    {"resnet50 2a 1x1", 64, 64, 1, 56, 1, 1, 0},
    {"resnet50 2b 3x3", 64, 64, 1, 56, 3, 1, 1},
    {"resnet50 2c 1x1", 64, 256, 1, 56, 1, 1, 0},
    {"resnet50 3a 1x1/2", 256, 512, 1, 56, 1, 2, 0},
    {"resnet50 3b 3x3", 128, 128, 1, 28, 3, 1, 1},
    {"resnet50 4b 3x3", 256, 256, 1, 14, 3, 1, 1},
    {"resnet50 4c 1x1", 256, 1024, 1, 14, 1, 1, 0},
    {"resnet50 5b 3x3", 512, 512, 1, 7, 3, 1, 1},
    {"resnet50 5c 1x1", 512, 2048, 1, 7, 1, 1, 0},
    {"vgg16 1b 3x3", 64, 64, 1, 224, 3, 1, 1},
    {"vgg16 4b 3x3", 512, 512, 1, 28, 3, 1, 1},
    {"unet 3x3 in 256", 32, 32, 1, 256, 3, 1, 1},
    {"mobilenet dw 112", 32, 32, 32, 112, 3, 1, 1},
    {"mobilenet dw 112/2", 96, 96, 96, 112, 3, 2, 1},
    {"mobilenet dw 56", 144, 144, 144, 56, 3, 1, 1},
    {"mobilenet dw 14", 384, 384, 384, 14, 3, 1, 1},
    {"mobilenet dw 7", 960, 960, 960, 7, 3, 1, 1},
    {"mobilenet 1x1", 144, 24, 1, 56, 1, 1, 0},
};

static struct accel_conv conv_of(const struct layer *l)
{
    const size_t out = accel_conv_out(l->size, l->kernel, l->stride, 1, l->pad, l->pad);
    const struct accel_conv c = {.spatial = 2,
                                 .batch = 1,
                                 .groups = l->groups,
                                 .cin = l->cin,
                                 .cout = l->cout,
                                 .in = {l->size, l->size},
                                 .out = {out, out},
                                 .kernel = {l->kernel, l->kernel},
                                 .stride = {l->stride, l->stride},
                                 .dilation = {1, 1},
                                 .pad_begin = {l->pad, l->pad}};

    return c;
}

/* The oracle takes too long for whole layers: some elements of each are enough, since the layer's
 * blocks all run. */
static void check_layer(const struct layer *l)
{
    const struct accel_conv c = conv_of(l);
    const size_t out = c.out[0], k = l->cin / l->groups, ny = l->cout * out * out;
    const float *x = kc_floats(l->cin * l->size * l->size),
                *w = kc_floats(l->cout * k * l->kernel * l->kernel);
    const struct accel_conv_epilogue e = {.bias = kc_floats(l->cout), .act.op = ACCEL_UNARY_RELU};
    float *y = kc_floats(ny);
    size_t packed_bytes, scratch_bytes;

    if (!KC_CASE("conv %s", l->name))
        return;
    accel_conv_f32_packed_bytes(kc_new, &c, &packed_bytes, NULL);
    void *packed = kc_aligned(packed_bytes);
    accel_conv_f32_pack(kc_new, &c, w, packed);
    for (size_t p = 0; p < 2; p++) {
        accel_conv_f32_scratch_bytes(kc_new, &c, accel_pool_threads(pools[p]), &scratch_bytes,
                                     NULL);
        void *scratch = kc_aligned(scratch_bytes);
        KC_CASE("conv %s, %zu threads", l->name, p + 1);
        accel_conv_f32(kc_new, pools[p], &c, x, packed, &e, y, scratch);
        for (int i = 0; i < 500; i++) {
            const size_t at = kc_below(ny), co = at / out / out, oy = at / out % out, ox = at % out;
            double sum = (double)e.bias[co], scale = fabs(sum);

            for (size_t ci = 0; ci < k; ci++)
                for (size_t t = 0; t < l->kernel * l->kernel; t++) {
                    const size_t iy = oy * l->stride + t / l->kernel - l->pad,
                                 ix = ox * l->stride + t % l->kernel - l->pad;
                    const size_t plane = co / (l->cout / l->groups) * k + ci;
                    if (iy >= l->size || ix >= l->size)
                        continue;
                    const double product = (double)w[(co * k + ci) * l->kernel * l->kernel + t] *
                                           (double)x[(plane * l->size + iy) * l->size + ix];
                    sum += product;
                    scale += fabs(product);
                }
            kc_near(y[at], ACCEL_MAX(sum, 0.0),
                    (double)(k * l->kernel * l->kernel) * FLT_EPSILON * scale);
        }
        KC_BENCH(2.0 * (double)ny * (double)(k * l->kernel * l->kernel),
                 accel_conv_f32(kc_new, pools[p], &c, x, packed, &e, y, scratch));
    }
    kc_release();
}

static void check_layers(void)
{
    for (size_t i = 0; i < ACCEL_COUNT(layers); i++)
        if (kc_new->cpu != 0 || layers[i].size < 56) /* plain C is slow */
            check_layer(&layers[i]);
}

static void bad_sizes_are_refused(void)
{
    const struct accel_conv good = conv_of(&layers[0]);
    struct accel_conv c = good;
    struct accel_error err;

    ok(accel_conv_check(&c, &err) == ACCEL_OK, "a good convolution passes");
    c.groups = 2;
    ok(accel_conv_check(&c, &err) == ACCEL_E_INVALID, "channels must divide into the groups");
    c = good;
    c.stride[1] = 0;
    ok(accel_conv_check(&c, &err) == ACCEL_E_INVALID, "a stride of 0 is refused");
    c = good;
    c.spatial = 4;
    ok(accel_conv_check(&c, &err) == ACCEL_E_INVALID, "four spatial dimensions are refused");
    c = good;
    c.in[0] = c.in[1] = SIZE_MAX / 1000;
    ok(accel_conv_check(&c, &err) == ACCEL_E_INVALID,
       "an input beyond the address space is refused");
    c = good;
    c.dilation[0] = SIZE_MAX / 4;
    ok(accel_conv_check(&c, &err) == ACCEL_E_INVALID, "a dilation that overflows is refused");
}

int main(int argc, char **argv)
{
    struct accel_error err;

    kc_begin(argc, argv);
    if (accel_pool_new(2, &pools[1], &err) != ACCEL_OK ||
        accel_pool_new(3, &pools[2], &err) != ACCEL_OK)
        return 1;
    kc_walk("a random convolution", check_random);
    kc_walk("a convolution of many channels on a small image", check_turned);
    ok(turned > 0, "%zu of them took the transposed form", turned);
    kc_walk("a random transposed convolution", check_transposed);
    kc_walk("a layer of a real model", check_layers);
    bad_sizes_are_refused();
    accel_pool_free(pools[1]);
    accel_pool_free(pools[2]);
    return tap_done();
}
