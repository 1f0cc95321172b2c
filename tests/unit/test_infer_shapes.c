/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx_build.h"
#include "tap.h"

#include "infer/onnx/onnx.h"
#include "infer/ops/op.h"

/* Shape that inference finds for value `name` of a model, as text; "?" when reading it fails. */
static const char *shape_in(struct accel_buf model, const char *name, struct accel_error *err)
{
    static char text[ACCEL_SHAPE_TEXT];
    struct accel_ir *ir = NULL;
    int rc = accel_onnx_read(model.data, model.size, NULL, NULL, NULL, &ir, err);

    strcpy(text, "?");
    if (rc == ACCEL_OK)
        rc = accel_ir_infer(ir, err);
    for (size_t i = 0; rc == ACCEL_OK && i < ir->values_count; i++)
        if (strcmp(ir->values[i]->name, name) == 0)
            accel_shape_format(&ir->values[i]->type.shape, text);
    accel_ir_free(ir);
    accel_buf_free(&model);
    return text;
}

/* x of dims -> one node -> y, with int64 constants c, d, e. */
static struct accel_buf one(struct accel_buf node, unsigned rank, const int64_t *dims, size_t n,
                            const int64_t *c)
{
    struct accel_buf g = {0};
    const int64_t count = (int64_t)n;

    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, rank, dims));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT, 0, NULL));
    if (n > 0)
        ob_add(&g, OB_INITIALIZER, ob_tensor("c", ACCEL_DTYPE_INT64, 1, &count, c, n * 8));
    ob_add(&g, OB_NODE, node);
    return ob_model(&g, 13);
}

static void values_go_through_shapes(void)
{
    struct accel_error err = {0};

    /* Dimensions have no identity here: that the batch is the same on both sides, and so the other
     * dimension 64, follows only once it has a number. */
    ok(strcmp(shape_in(ob_small_network(true), "flat", &err), "?x?") == 0,
       "Shape, Gather, Unsqueeze, Concat, Reshape with a free batch: rank 2");
    ok(strcmp(shape_in(ob_small_network(false), "flat", &err), "1x64") == 0, "and 1x64 without");
    ok(strcmp(shape_in(ob_small_network(true), "to", &err), "2") == 0, "the shape itself has 2");
    ok(strcmp(shape_in(ob_small_network(true), "y", &err), "?x5") == 0, "the output is ?x5");
}

static void operators_infer(void)
{
    static const int64_t x[] = {2, 3, 4}, free_x[] = {-1, 3, 4};
    const struct {
        const char *op, *inputs;
        size_t n;
        int64_t c[6];
        const int64_t *dims;
        const char *want;
    } cases[] = {
        {"Reshape", "x,c", 2, {0, -1}, x, "2x12"},
        {"Reshape", "x,c", 2, {-1, 6}, x, "4x6"},
        {"Reshape", "x,c", 2, {0, -1}, free_x, "?x?"},
        {"Reshape", "x,c", 2, {5, 5}, x, "?"},
        {"Reshape", "x,c", 2, {-1, -1}, x, "?"},
        {"Unsqueeze", "x,c", 2, {0, -1}, x, "1x2x3x4x1"},
        {"Expand", "x,c", 4, {5, 1, 1, 4}, x, "5x2x3x4"},
        {"Expand", "x,c", 1, {3}, x, "?"},
        {"Tile", "x,c", 3, {2, 1, 3}, x, "4x3x12"},
        {"Pad", "x,c", 6, {0, 1, 0, 0, 1, 2}, x, "2x5x6"},
        {"Pad", "x,c", 6, {0, 1, 0, 0, 1, 2}, free_x, "?x5x6"},
        {"Relu", "x", 0, {0}, free_x, "?x3x4"},
        {"Transpose", "x", 0, {0}, x, "4x3x2"},
        {"Flatten", "x", 0, {0}, x, "2x12"},
        {"GlobalAveragePool", "x", 0, {0}, x, "2x3x1"},
        {"Shape", "x", 0, {0}, free_x, "3"},
        {"ReduceMean", "x", 0, {0}, x, "1x1x1"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct accel_error err = {0};
        const char *got = shape_in(one(ob_node(cases[i].op, cases[i].inputs, "y"), 3, cases[i].dims,
                                       cases[i].n, cases[i].c),
                                   "y", &err);

        ok(strcmp(got, cases[i].want) == 0, "%s gives %s (%s) %s", cases[i].op, cases[i].want, got,
           err.msg);
        if (strcmp(cases[i].want, "?") == 0)
            ok(err.code == ACCEL_E_INVALID && strstr(err.msg, cases[i].op) != NULL,
               "and says why not: %s", err.msg);
    }
}

static void windows_infer(void)
{
    static const int64_t image[] = {1, 1, 7, 7}, kernel[] = {3, 3}, strides[] = {2, 2};
    static const struct {
        const char *pad;
        int64_t ceil;
        const char *want;
    } cases[] = {
        {"NOTSET", 0, "1x1x3x3"},     {"VALID", 0, "1x1x3x3"},  {"SAME_UPPER", 0, "1x1x4x4"},
        {"SAME_LOWER", 0, "1x1x4x4"}, {"NOTSET", 1, "1x1x3x3"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct accel_error err = {0};
        struct accel_buf n = ob_node("MaxPool", "x", "y");

        ob_attr_ints(&n, "kernel_shape", 2, kernel);
        ob_attr_ints(&n, "strides", 2, strides);
        ob_attr_text(&n, "auto_pad", cases[i].pad);
        ob_attr_int(&n, "ceil_mode", cases[i].ceil);
        const char *got = shape_in(one(n, 4, image, 0, NULL), "y", &err);
        ok(strcmp(got, cases[i].want) == 0, "MaxPool %s gives %s (%s) %s", cases[i].pad,
           cases[i].want, got, err.msg);
    }
}

static void shapes_broadcast(void)
{
    const struct accel_shape a = {.has_rank = true, .rank = 3, .dims = {-1, 1, 4}};
    const struct accel_shape b = {.has_rank = true, .rank = 2, .dims = {3, 1}};
    const struct accel_shape c = {.has_rank = true, .rank = 1, .dims = {5}};
    struct accel_shape out;
    struct accel_error err = {0};
    char text[ACCEL_SHAPE_TEXT];

    ok(accel_shape_broadcast(&a, &b, &out, &err) == ACCEL_OK &&
           strcmp(accel_shape_format(&out, text), "?x3x4") == 0,
       "?x1x4 with 3x1 is ?x3x4");
    ok(accel_shape_broadcast(&a, &c, &out, &err) == ACCEL_E_INVALID, "4 with 5 is not: %s",
       err.msg);
}

/* What the table promises to everybody who reads it. */
static void table_is_sound(void)
{
    size_t i = 0, wrong = 0;

    for (const struct accel_op *op; (op = accel_op_at(i)) != NULL; i++) {
        int oldest = 0;

        if ((op->flags & ACCEL_OP_REMOVED) != 0)
            continue;
        if (op->infer == NULL || op->run == NULL || op->domain == NULL || op->since < 1 ||
            op->out[0].name == NULL ||
            accel_op_find(op->domain, op->name, op->since, &oldest) != op)
            wrong++;
    }
    ok(i > 50 && wrong == 0, "all %zu entries are whole and found by their version", i);
    ok(accel_op_find("", "Softmax", 12, NULL)->since == 1 &&
           accel_op_find("", "Softmax", 13, NULL)->since == 13,
       "the version decides what Softmax means");
    ok(accel_op_find("", "Upsample", 10, NULL) == NULL, "Upsample is gone from opset 10 on");
    ok(accel_op_find("com.example", "Relu", 1, NULL) == NULL, "a domain is part of the name");
}

int main(void)
{
    values_go_through_shapes();
    operators_infer();
    windows_infer();
    shapes_broadcast();
    table_is_sound();
    return tap_done();
}
