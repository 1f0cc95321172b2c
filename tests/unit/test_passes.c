/* SPDX-License-Identifier: Apache-2.0 */
/* What single passes do to graphs made for them; that none changes results is test_session's. */
#include "onnx_build.h"
#include "pass_test.h"
#include "tap.h"

#include <math.h>

static const int64_t image[] = {1, 1, 6, 6}, kernel[] = {1, 1, 3, 3};
static float pixels[36], weights[9];

static struct accel_model *load(struct accel_buf *g, int64_t opset, const char *off)
{
    struct accel_buf model = ob_model(g, opset);
    struct accel_load_options o;
    struct accel_model *m = NULL;
    struct accel_error err = {0};

    accel_load_options_init(&o);
    o.passes_off = off;
    if (ob_load(&model, &o, &m, &err) != ACCEL_OK)
        printf("# %s\n", err.msg);
    accel_buf_free(&model);
    return m;
}

/* Runs x -> y, floats; returns the number of results, 0 on failure. */
static size_t run(struct accel_model *m, enum accel_dtype dtype, const void *x, size_t size,
                  void *y, size_t y_size)
{
    struct accel_named_tensor in = {.name = "x",
                                    .tensor = {.dtype = dtype,
                                               .rank = 4,
                                               .dims = {1, 1, 6, 6},
                                               .data = (void *)(uintptr_t)x,
                                               .size_bytes = size}};
    struct accel_named_tensor out = {.name = "y", .tensor = {.data = y, .size_bytes = y_size}};
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    int rc = m == NULL ? ACCEL_E_INVALID : accel_session_new(m, NULL, &s, &err);

    if (rc == ACCEL_OK)
        rc = accel_session_run(s, &in, 1, &out, 1, &err);
    if (rc != ACCEL_OK)
        printf("# %s\n", err.msg);
    accel_session_free(s);
    return rc == ACCEL_OK ? out.tensor.size_bytes / accel_dtype_size(out.tensor.dtype) : 0;
}

static bool same(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-5f))
            return false;
    return n > 0;
}

/* Both ways; the optimised form must be `want` and give what the plain one gives. */
static void both_ways(struct accel_buf (*make)(void), int64_t opset, const char *want,
                      const char *what)
{
    struct accel_buf g = make();
    struct accel_model *plain = load(&g, opset, "all");
    float a[64] = {0}, b[64] = {1};

    g = make();
    struct accel_model *full = load(&g, opset, NULL);
    ok(strcmp(pt_ops(full), want) == 0, "%s: %s (%s)", what, want, pt_ops(full));
    const size_t n = run(plain, ACCEL_DTYPE_FLOAT, pixels, sizeof(pixels), a, sizeof(a));
    ok(n == run(full, ACCEL_DTYPE_FLOAT, pixels, sizeof(pixels), b, sizeof(b)) && same(a, b, n),
       "%s: with the same result", what);
    accel_model_unref(plain);
    accel_model_unref(full);
}

static struct accel_buf begin(unsigned rank, const int64_t *y)
{
    struct accel_buf g = {0};

    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 4, image));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT, rank, y));
    ob_add(&g, OB_INITIALIZER, ob_tensor("w", ACCEL_DTYPE_FLOAT, 4, kernel, weights, 36));
    return g;
}

static struct accel_buf padded_conv(void)
{
    static const int64_t pads[] = {0, 0, 0, 1, 0, 0, 1, 0}, eight[] = {8}, own[] = {1, 0, 0, 1};
    struct accel_buf g = begin(4, image), n;

    ob_add(&g, OB_INITIALIZER, ob_tensor("p", ACCEL_DTYPE_INT64, 1, eight, pads, 64));
    ob_add(&g, OB_NODE, ob_node("Pad", "x,p", "a"));
    n = ob_node("Conv", "a,w", "b");
    ob_attr_ints(&n, "pads", 4, own);
    ob_add(&g, OB_NODE, n);
    ob_add(&g, OB_NODE, ob_node("LeakyRelu", "b", "y"));
    return g;
}

/* Reflection is no padding that a Conv could do. */
static struct accel_buf reflected_conv(void)
{
    static const int64_t pads[] = {0, 0, 1, 1, 0, 0, 1, 1}, eight[] = {8};
    struct accel_buf g = begin(4, image), n = ob_node("Pad", "x,p", "a");

    ob_add(&g, OB_INITIALIZER, ob_tensor("p", ACCEL_DTYPE_INT64, 1, eight, pads, 64));
    ob_attr_text(&n, "mode", "reflect");
    ob_add(&g, OB_NODE, n);
    ob_add(&g, OB_NODE, ob_node("Conv", "a,w", "y"));
    return g;
}

static struct accel_buf identities(void)
{
    static const int64_t perm[] = {0, 1, 2, 3};
    struct accel_buf g = begin(4, image), n;

    ob_add(&g, OB_NODE, ob_node("Identity", "x", "a"));
    ob_add(&g, OB_NODE, ob_node("Dropout", "a", "b"));
    n = ob_node("Cast", "b", "c");
    ob_attr_int(&n, "to", ACCEL_DTYPE_FLOAT);
    ob_add(&g, OB_NODE, n);
    n = ob_node("Transpose", "c", "d");
    ob_attr_ints(&n, "perm", 4, perm);
    ob_add(&g, OB_NODE, n);
    ob_add(&g, OB_NODE, ob_node("Abs", "d", "e"));
    ob_add(&g, OB_NODE, ob_node("Identity", "e", "y"));
    ob_add(&g, OB_NODE, ob_node("Exp", "d", "unused"));
    return g;
}

/* What is computed from constants, and what nobody reads. */
static struct accel_buf constants(void)
{
    static const int64_t two[] = {2}, shape[] = {6, 6};
    struct accel_buf g = begin(2, shape);

    ob_add(&g, OB_INITIALIZER, ob_tensor("s", ACCEL_DTYPE_INT64, 1, two, shape, 16));
    ob_add(&g, OB_INITIALIZER,
           ob_tensor("nothing", ACCEL_DTYPE_INT64, 1, two, (int64_t[2]){0}, 16));
    ob_add(&g, OB_NODE, ob_node("Add", "s,nothing", "t"));
    ob_add(&g, OB_NODE, ob_node("Relu", "w", "positive"));
    ob_add(&g, OB_NODE, ob_node("ReduceMax", "positive", "largest"));
    ob_add(&g, OB_NODE, ob_node("Reshape", "x,t", "r"));
    ob_add(&g, OB_NODE, ob_node("Squeeze", "largest", "one"));
    ob_add(&g, OB_NODE, ob_node("Mul", "r,one", "y"));
    return g;
}

/* A Conv whose result is read twice, or is an output itself, keeps its result. */
static struct accel_buf read_twice(void)
{
    static const int64_t y[] = {1, 1, 4, 4};
    struct accel_buf g = begin(4, y);

    ob_add(&g, OB_OUTPUT, ob_value("c", ACCEL_DTYPE_FLOAT, 4, y));
    ob_add(&g, OB_NODE, ob_node("Conv", "x,w", "c"));
    ob_add(&g, OB_NODE, ob_node("Relu", "c", "y"));
    return g;
}

/* Half precision in, half precision out, float in between. */
static void widens_halves(void)
{
    static const uint16_t half_w[9] = {0x3c00, 0, 0xbc00, 0x4000, 0, 0xc000, 0x3c00, 0, 0xbc00};
    static const int64_t y_dims[] = {1, 1, 4, 4};
    struct accel_buf g = {0};
    uint16_t x[36], y[16] = {0};
    size_t right = 0;

    for (size_t i = 0; i < 36; i++)
        x[i] = (uint16_t)(0x3c00 + i % 6 * 0x40); /* 1, 1.0625, 1.125, ... along a row */
    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT16, 4, image));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT16, 4, y_dims));
    ob_add(&g, OB_INITIALIZER, ob_tensor("w", ACCEL_DTYPE_FLOAT16, 4, kernel, half_w, 18));
    ob_add(&g, OB_NODE, ob_node("Conv", "x,w", "c"));
    ob_add(&g, OB_NODE, ob_node("Neg", "c", "y"));
    struct accel_model *m = load(&g, 13, NULL);
    ok(strcmp(pt_ops(m), "Cast Conv Neg Cast") == 0, "casts at the edges: %s", pt_ops(m));
    ok(m != NULL && accel_model_input(m, 0)->dtype == ACCEL_DTYPE_FLOAT16 &&
           accel_model_output(m, 0)->dtype == ACCEL_DTYPE_FLOAT16,
       "inputs and outputs stay halves");
    ok(run(m, ACCEL_DTYPE_FLOAT16, x, sizeof(x), y, sizeof(y)) == 16, "runs");
    for (size_t i = 0; i < 16; i++)
        right += y[i] == 0x3800; /* Sobel of a slope of 1/16: 4 * 2/16 = 0.5 */
    ok(right == 16, "every result is 0.5, exactly");
    accel_model_unref(m);
}

static void names_are_checked(void)
{
    struct accel_buf g = identities(), model = ob_model(&g, 12);
    struct accel_load_options o;
    struct accel_model *m = NULL;
    struct accel_error err = {0};

    accel_load_options_init(&o);
    o.passes_off = "dead-code,no-such-pass";
    ok(ob_load(&model, &o, &m, &err) == ACCEL_E_INVALID && strstr(err.msg, "no-such-pass") != NULL,
       "a pass nobody knows is refused: %s", err.msg);
    accel_buf_free(&model);
}

int main(void)
{
    for (size_t i = 0; i < 36; i++)
        pixels[i] = sinf((float)i);
    for (size_t i = 0; i < 9; i++)
        weights[i] = (float)i / 8 - 0.5f;
    both_ways(padded_conv, 13, "Conv[Pad+LeakyRelu]", "fold-pad and fuse-activation");
    both_ways(reflected_conv, 13, "Pad Conv", "a reflecting Pad stays");
    both_ways(identities, 12, "Abs", "drop-identity and dead-code");
    both_ways(constants, 13, "Reshape Mul", "fold-constants");
    both_ways(read_twice, 13, "Conv Relu", "a result that is read twice is kept");
    widens_halves();
    names_are_checked();
    return tap_done();
}
