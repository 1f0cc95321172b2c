/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_ONNX_BUILD_H
#define TESTS_UNIT_ONNX_BUILD_H

/* Writes small ONNX files field by field, so that a test can also write wrong ones. A message is a
 * buffer; ob_put() appends it to another as a field and empties it. Field numbers:
 * schemas/onnx.proto. */

#include "acceld/infer.h"
#include "base/buf.h"

#include <string.h>

#define OB_UNUSED __attribute__((unused)) static

OB_UNUSED void ob_varint(struct accel_buf *b, uint64_t v)
{
    do {
        const uint8_t byte = (uint8_t)((v & 127) | (v > 127 ? 128 : 0));

        accel_buf_append(b, &byte, 1);
        v >>= 7;
    } while (v > 0);
}

OB_UNUSED void ob_int(struct accel_buf *b, uint32_t field, int64_t v)
{
    ob_varint(b, field << 3);
    ob_varint(b, (uint64_t)v);
}

OB_UNUSED void ob_bytes(struct accel_buf *b, uint32_t field, const void *data, size_t size)
{
    ob_varint(b, field << 3 | 2);
    ob_varint(b, size);
    if (size > 0)
        accel_buf_append(b, data, size);
}

OB_UNUSED void ob_text(struct accel_buf *b, uint32_t field, const char *text)
{
    ob_bytes(b, field, text, strlen(text));
}

OB_UNUSED void ob_put(struct accel_buf *b, uint32_t field, struct accel_buf *message)
{
    ob_bytes(b, field, message->data, message->size);
    accel_buf_free(message);
}

/* TensorProto with raw data. */
OB_UNUSED struct accel_buf ob_tensor(const char *name, enum accel_dtype dtype, unsigned rank,
                                     const int64_t *dims, const void *raw, size_t size)
{
    struct accel_buf t = {0};

    for (unsigned i = 0; i < rank; i++)
        ob_int(&t, 1, dims[i]);
    ob_int(&t, 2, dtype);
    ob_text(&t, 8, name);
    ob_bytes(&t, 9, raw, size);
    return t;
}

/* ValueInfoProto; a dimension below 0 is the symbol "N". */
OB_UNUSED struct accel_buf ob_value(const char *name, enum accel_dtype dtype, unsigned rank,
                                    const int64_t *dims)
{
    struct accel_buf value = {0}, type = {0}, tensor = {0}, shape = {0};

    for (unsigned i = 0; i < rank; i++) {
        struct accel_buf dim = {0};

        if (dims[i] < 0)
            ob_text(&dim, 2, "N");
        else
            ob_int(&dim, 1, dims[i]);
        ob_put(&shape, 1, &dim);
    }
    ob_int(&tensor, 1, dtype);
    ob_put(&tensor, 2, &shape);
    ob_put(&type, 1, &tensor);
    ob_text(&value, 1, name);
    ob_put(&value, 2, &type);
    return value;
}

/* Names separated by commas; an empty one is an argument left out. */
OB_UNUSED void ob_names(struct accel_buf *b, uint32_t field, const char *names)
{
    while (names[0] != '\0') {
        const size_t n = strcspn(names, ",");

        ob_bytes(b, field, names, n);
        names += n + (names[n] == ',');
    }
}

/* NodeProto called like its operator, in lower case not needed: "the_" + op. */
OB_UNUSED struct accel_buf ob_node(const char *op, const char *inputs, const char *outputs)
{
    struct accel_buf node = {0};

    ob_names(&node, 1, inputs);
    ob_names(&node, 2, outputs);
    ob_varint(&node, 3 << 3 | 2);
    ob_varint(&node, strlen(op) + 4);
    accel_buf_append(&node, "the_", 4);
    accel_buf_append(&node, op, strlen(op));
    ob_text(&node, 4, op);
    return node;
}

OB_UNUSED void ob_attr_int(struct accel_buf *node, const char *name, int64_t v)
{
    struct accel_buf a = {0};

    ob_text(&a, 1, name);
    ob_int(&a, 3, v);
    ob_int(&a, 20, 2);
    ob_put(node, 5, &a);
}

OB_UNUSED void ob_attr_ints(struct accel_buf *node, const char *name, size_t n, const int64_t *v)
{
    struct accel_buf a = {0};

    ob_text(&a, 1, name);
    for (size_t i = 0; i < n; i++)
        ob_int(&a, 8, v[i]);
    ob_int(&a, 20, 7);
    ob_put(node, 5, &a);
}

OB_UNUSED void ob_attr_text(struct accel_buf *node, const char *name, const char *v)
{
    struct accel_buf a = {0};

    ob_text(&a, 1, name);
    ob_text(&a, 4, v);
    ob_int(&a, 20, 3);
    ob_put(node, 5, &a);
}

OB_UNUSED void ob_attr_graph(struct accel_buf *node, const char *name, struct accel_buf *graph)
{
    struct accel_buf a = {0};

    ob_text(&a, 1, name);
    ob_put(&a, 6, graph);
    ob_int(&a, 20, 5);
    ob_put(node, 5, &a);
}

/* Parts of a GraphProto. */
enum { OB_NODE = 1, OB_INITIALIZER = 5, OB_INPUT = 11, OB_OUTPUT = 12 };

OB_UNUSED void ob_add(struct accel_buf *graph, uint32_t part, struct accel_buf message)
{
    ob_put(graph, part, &message);
}

/* ModelProto of IR 8; takes the graph. */
OB_UNUSED struct accel_buf ob_model(struct accel_buf *graph, int64_t opset)
{
    struct accel_buf model = {0}, import = {0};

    ob_int(&model, 1, 8);
    ob_text(&model, 2, "test");
    ob_put(&model, 7, graph);
    ob_text(&import, 1, "");
    ob_int(&import, 2, opset);
    ob_put(&model, 8, &import);
    return model;
}

OB_UNUSED int ob_load(const struct accel_buf *model, const struct accel_load_options *options,
                      struct accel_model **out, struct accel_error *err)
{
    return accel_model_load_memory(model->data, model->size, NULL, NULL, options, out, err);
}

/* x [N or 1, 1, 8, 8] -> Conv 3x3 (4 channels) -> BatchNormalization -> Relu -> + Conv -> MaxPool
 * -> Reshape by Shape/Gather/Concat -> MatMul -> Add -> y: a bit of everything. */
OB_UNUSED struct accel_buf ob_small_network(bool free_batch)
{
    static const int64_t w_dims[] = {4, 1, 3, 3}, w2_dims[] = {4, 4, 1, 1}, c_dims[] = {4};
    static const int64_t m_dims[] = {64, 5}, b_dims[] = {5}, one[] = {1}, kernel[] = {2, 2};
    static const int64_t pads[] = {1, 1, 1, 1}, minus_one[] = {-1}, zero[] = {0};
    const int64_t x_dims[] = {free_batch ? -1 : 1, 1, 8, 8}, y_dims[] = {free_batch ? -1 : 1, 5};
    float numbers[320], positive[4];
    struct accel_buf g = {0}, n;

    for (size_t i = 0; i < 320; i++)
        numbers[i] = (float)((int)(i * 37 % 101) - 50) / 64;
    for (size_t i = 0; i < 4; i++)
        positive[i] = 0.5f + (float)i;
    ob_text(&g, 2, "small");
    ob_add(&g, OB_INITIALIZER, ob_tensor("w", ACCEL_DTYPE_FLOAT, 4, w_dims, numbers, 144));
    ob_add(&g, OB_INITIALIZER, ob_tensor("w2", ACCEL_DTYPE_FLOAT, 4, w2_dims, numbers, 64));
    ob_add(&g, OB_INITIALIZER, ob_tensor("gamma", ACCEL_DTYPE_FLOAT, 1, c_dims, numbers + 9, 16));
    ob_add(&g, OB_INITIALIZER, ob_tensor("beta", ACCEL_DTYPE_FLOAT, 1, c_dims, numbers + 5, 16));
    ob_add(&g, OB_INITIALIZER, ob_tensor("mean", ACCEL_DTYPE_FLOAT, 1, c_dims, numbers + 2, 16));
    ob_add(&g, OB_INITIALIZER, ob_tensor("var", ACCEL_DTYPE_FLOAT, 1, c_dims, positive, 16));
    ob_add(&g, OB_INITIALIZER, ob_tensor("m", ACCEL_DTYPE_FLOAT, 2, m_dims, numbers, 1280));
    ob_add(&g, OB_INITIALIZER, ob_tensor("b", ACCEL_DTYPE_FLOAT, 1, b_dims, numbers, 20));
    ob_add(&g, OB_INITIALIZER, ob_tensor("zero", ACCEL_DTYPE_INT64, 0, NULL, zero, 8));
    ob_add(&g, OB_INITIALIZER, ob_tensor("minus", ACCEL_DTYPE_INT64, 1, one, minus_one, 8));
    ob_add(&g, OB_INITIALIZER, ob_tensor("axis0", ACCEL_DTYPE_INT64, 1, one, zero, 8));
    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 4, x_dims));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT, 2, y_dims));
    n = ob_node("Conv", "x,w", "c");
    ob_attr_ints(&n, "pads", 4, pads);
    ob_add(&g, OB_NODE, n);
    ob_add(&g, OB_NODE, ob_node("BatchNormalization", "c,gamma,beta,mean,var", "bn"));
    ob_add(&g, OB_NODE, ob_node("Relu", "bn", "r"));
    ob_add(&g, OB_NODE, ob_node("Conv", "r,w2", "c2"));
    ob_add(&g, OB_NODE, ob_node("Add", "c2,r", "sum"));
    n = ob_node("MaxPool", "sum", "p");
    ob_attr_ints(&n, "kernel_shape", 2, kernel);
    ob_attr_ints(&n, "strides", 2, kernel);
    ob_add(&g, OB_NODE, n);
    ob_add(&g, OB_NODE, ob_node("Shape", "p", "s"));
    ob_add(&g, OB_NODE, ob_node("Gather", "s,zero", "batch"));
    ob_add(&g, OB_NODE, ob_node("Unsqueeze", "batch,axis0", "batch1"));
    n = ob_node("Concat", "batch1,minus", "to");
    ob_attr_int(&n, "axis", 0);
    ob_add(&g, OB_NODE, n);
    ob_add(&g, OB_NODE, ob_node("Reshape", "p,to", "flat"));
    ob_add(&g, OB_NODE, ob_node("MatMul", "flat,m", "mm"));
    ob_add(&g, OB_NODE, ob_node("Add", "mm,b", "y"));
    return ob_model(&g, 13);
}

#endif
