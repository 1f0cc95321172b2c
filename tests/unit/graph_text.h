/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_GRAPH_TEXT_H
#define TESTS_UNIT_GRAPH_TEXT_H

/* Small models from text, so that a test of a graph pass shows its graph. One line is one of
 *
 *     in x float N,3,8,8               a dimension N is free; no dimensions: a scalar
 *     out y float N,3,8,8
 *     out y float ?                    of no stated shape
 *     const w float 4,3,3,3            numbers made from the name, floats in -1..1
 *     const s int64 2 = 6,6            numbers given
 *     Conv x,w -> c pads=[1,1,1,1] group=1 alpha=0.5 mode='reflect'
 *     com.microsoft:Gelu c -> y
 *
 * and begins at the line's first character that is no blank. An argument left out is an empty name.
 * A mistake in the text fails the test program. */

#include "onnx_build.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static inline void gt_die(const char *line)
{
    printf("Bail out! graph text: %s\n", line);
    exit(1);
}

static inline enum accel_dtype gt_dtype(const char *name)
{
    for (int t = 1; t < 32; t++)
        if (strcmp(accel_dtype_name((enum accel_dtype)t), name) == 0)
            return (enum accel_dtype)t;
    gt_die(name);
    return ACCEL_DTYPE_UNDEFINED;
}

/* "N,3,8" into dims, N as -1; returns the rank. "-": a scalar. */
static inline unsigned gt_dims(const char *text, int64_t *dims)
{
    unsigned rank = 0;

    if (text == NULL || strcmp(text, "-") == 0)
        return 0;
    while (*text != '\0') {
        char *end;

        dims[rank++] = *text == 'N' ? -1 : strtoll(text, &end, 10);
        text += strcspn(text, ",");
        text += *text == ',';
    }
    return rank;
}

/* Element i of a tensor: v. */
static inline void gt_store(enum accel_dtype dtype, void *data, size_t i, double v)
{
    const size_t size = accel_dtype_size(dtype);
    const int64_t whole = (int64_t)v;

    if (dtype == ACCEL_DTYPE_FLOAT)
        ((float *)data)[i] = (float)v;
    else if (dtype == ACCEL_DTYPE_DOUBLE)
        ((double *)data)[i] = v;
    else
        memcpy((char *)data + i * size, &whole, size); /* little-endian */
}

/* Numbers that depend on the seed and the place alone: floats in -1..1, 8-bit integers over their
 * range, others 0 and 1. */
static inline void gt_fill(enum accel_dtype dtype, void *data, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++) {
        const unsigned bits = (unsigned)((i + 1) * 2654435761u + seed * 40503u) * 2246822519u;
        const unsigned high = bits >> 16;

        if (dtype == ACCEL_DTYPE_FLOAT || dtype == ACCEL_DTYPE_DOUBLE)
            gt_store(dtype, data, i, (double)high / 32768 - 1);
        else if (dtype == ACCEL_DTYPE_UINT8)
            gt_store(dtype, data, i, (double)(high & 255));
        else if (dtype == ACCEL_DTYPE_INT8)
            gt_store(dtype, data, i, (double)(high & 255) - 128);
        else
            gt_store(dtype, data, i, (double)(high & 1));
    }
}

static inline unsigned gt_seed(const char *name)
{
    unsigned seed = 7;

    while (*name != '\0')
        seed = seed * 31 + (unsigned char)*name++;
    return seed;
}

static inline struct accel_buf gt_constant(const char *name, const char *type, const char *shape,
                                           const char *numbers)
{
    const enum accel_dtype dtype = gt_dtype(type);
    int64_t dims[8];
    const unsigned rank = gt_dims(shape, dims);
    size_t count = 1;

    for (unsigned i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    char *data = calloc(count + 1, accel_dtype_size(dtype));
    if (data == NULL)
        gt_die(name);
    if (numbers == NULL)
        gt_fill(dtype, data, count, gt_seed(name));
    for (size_t i = 0; numbers != NULL && i < count; i++) {
        char *end;

        gt_store(dtype, data, i, strtod(numbers, &end));
        if (end == numbers)
            gt_die(name);
        /* One number for all, or one each. */
        if (*end == ',')
            numbers = end + 1;
    }
    struct accel_buf t = ob_tensor(name, dtype, rank, dims, data, count * accel_dtype_size(dtype));
    free(data);
    return t;
}

static inline void gt_attr_float(struct accel_buf *node, const char *name, float v)
{
    struct accel_buf a = {0};

    ob_text(&a, 1, name);
    ob_varint(&a, 2 << 3 | 5);
    accel_buf_append(&a, &v, sizeof(v));
    ob_int(&a, 20, 1);
    ob_put(node, 5, &a);
}

/* "axis=1", "pads=[1,1]", "alpha=0.5", "mode='reflect'" */
static inline void gt_attr(struct accel_buf *node, char *text)
{
    char *value = strchr(text, '=');
    int64_t list[32];
    size_t n = 0;

    if (value == NULL)
        gt_die(text);
    *value++ = '\0';
    if (*value == '[') {
        for (char *at = value + 1, *end; *at != ']'; at = end + (*end == ',')) {
            list[n++] = strtoll(at, &end, 10);
            if (end == at)
                gt_die(text);
        }
        ob_attr_ints(node, text, n, list);
    } else if (*value == '\'') {
        value[strlen(value) - 1] = '\0';
        ob_attr_text(node, text, value + 1);
    } else if (strpbrk(value, ".e") != NULL) {
        gt_attr_float(node, text, strtof(value, NULL));
    } else {
        ob_attr_int(node, text, strtoll(value, NULL, 10));
    }
}

/* A node called like its output, so that two of one operator can be told apart. */
static inline struct accel_buf gt_node(char *op, const char *inputs, const char *outputs)
{
    struct accel_buf node = {0};
    char *colon = strchr(op, ':');

    ob_names(&node, 1, inputs);
    ob_names(&node, 2, outputs);
    ob_bytes(&node, 3, outputs, strcspn(outputs, ","));
    ob_text(&node, 4, colon != NULL ? colon + 1 : op);
    if (colon != NULL)
        ob_bytes(&node, 7, op, (size_t)(colon - op));
    return node;
}

/* ValueInfoProto with a type but no shape. */
static inline struct accel_buf gt_shapeless(const char *name, enum accel_dtype dtype)
{
    struct accel_buf value = {0}, type = {0}, tensor = {0};

    ob_int(&tensor, 1, dtype);
    ob_put(&type, 1, &tensor);
    ob_text(&value, 1, name);
    ob_put(&value, 2, &type);
    return value;
}

static inline void gt_line(struct accel_buf *graph, char *line)
{
    char *word[24], *save = NULL;
    size_t n = 0;

    for (char *w = strtok_r(line, " ", &save); w != NULL && n < 24; w = strtok_r(NULL, " ", &save))
        word[n++] = w;
    if (n == 0)
        return;
    if (n >= 3 && (strcmp(word[0], "in") == 0 || strcmp(word[0], "out") == 0)) {
        int64_t dims[8];

        if (n > 3 && strcmp(word[3], "?") == 0) {
            ob_add(graph, word[0][0] == 'i' ? OB_INPUT : OB_OUTPUT,
                   gt_shapeless(word[1], gt_dtype(word[2])));
            return;
        }
        const unsigned rank = gt_dims(n > 3 ? word[3] : NULL, dims);
        ob_add(graph, word[0][0] == 'i' ? OB_INPUT : OB_OUTPUT,
               ob_value(word[1], gt_dtype(word[2]), rank, dims));
    } else if (n >= 3 && strcmp(word[0], "const") == 0) {
        const bool scalar = n == 3 || word[3][0] == '=';
        const size_t equals = scalar ? 3 : 4;

        ob_add(graph, OB_INITIALIZER,
               gt_constant(word[1], word[2], scalar ? NULL : word[3],
                           n > equals + 1 ? word[equals + 1] : NULL));
    } else if (n >= 4 && strcmp(word[2], "->") == 0) {
        struct accel_buf node = gt_node(word[0], word[1], word[3]);

        for (size_t i = 4; i < n; i++)
            gt_attr(&node, word[i]);
        ob_add(graph, OB_NODE, node);
    } else if (n >= 3 && strcmp(word[1], "->") == 0) { /* without inputs */
        struct accel_buf node = gt_node(word[0], "", word[2]);

        for (size_t i = 3; i < n; i++)
            gt_attr(&node, word[i]);
        ob_add(graph, OB_NODE, node);
    } else {
        gt_die(word[0]);
    }
}

/* A whole model; com.microsoft is imported when a node is of it. */
static inline struct accel_buf gt_model(const char *text, int64_t opset)
{
    struct accel_buf graph = {0}, model, import = {0};

    for (const char *at = text; *at != '\0';) {
        char line[512];

        while (*at == ' ')
            at++;
        snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
        gt_line(&graph, line);
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    model = ob_model(&graph, opset);
    if (strstr(text, "com.microsoft:") != NULL) {
        ob_text(&import, 1, "com.microsoft");
        ob_int(&import, 2, 1);
        ob_put(&model, 8, &import);
    }
    return model;
}

#endif
