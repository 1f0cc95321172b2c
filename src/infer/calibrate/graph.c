/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/calibrate/graph.h"

#include "acceld/infer.h"
#include "onnx.pb-c.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX  24
#define ARGS_MAX   16
#define ATTRS_MAX  32
#define VALUES_MAX (NODES_MAX * ARGS_MAX)
#define OPSET      17
#define OPSET_ML   3
#define IR_VERSION 8

struct writer {
    struct accel_bump *mem;
    const char *at; /* in the text */
    Accel__Onnx__GraphProto graph;
    Accel__Onnx__NodeProto *nodes[NODES_MAX];
    Accel__Onnx__TensorProto *constants[VALUES_MAX];
    Accel__Onnx__ValueInfoProto *inputs[VALUES_MAX], *outputs[ARGS_MAX];
    char *previous; /* the first output of the node before */
    size_t names;
    bool failed; /* no memory, or a text that is none */
};

static void *take(struct writer *w, size_t count, size_t size)
{
    void *p = accel_bump_alloc(w->mem, count + 1, size);

    w->failed = w->failed || p == NULL;
    return p;
}

static char *new_name(struct writer *w)
{
    char *name = accel_bump_printf(w->mem, "v%zu", w->names++);

    w->failed = w->failed || name == NULL;
    return name;
}

static bool skip(struct writer *w, char c)
{
    while (*w->at == ' ')
        w->at++;
    if (*w->at != c)
        return false;
    w->at++;
    return true;
}

static char *word(struct writer *w)
{
    const char *from = w->at;

    while (isalnum((unsigned char)*w->at) || *w->at == '_')
        w->at++;
    const size_t n = (size_t)(w->at - from);
    char *text = take(w, n, 1);
    if (text != NULL)
        memcpy(text, from, n);
    w->failed = w->failed || n == 0;
    return text;
}

/* Numbers with `between` in between; *count (out). */
static int64_t *numbers(struct writer *w, char between, size_t *count)
{
    int64_t *list = take(w, strlen(w->at) / 2 + 2, sizeof(*list));

    *count = 0;
    while (list != NULL && (isdigit((unsigned char)*w->at) || *w->at == '-')) {
        char *end;
        list[(*count)++] = strtoll(w->at, &end, 10);
        w->at = end;
        if (*w->at != between)
            break;
        w->at++;
    }
    return list;
}

/* ---------------------------------------------------------------- tensors */

static const struct {
    char letter;
    int dtype;
    size_t size;
} types[] = {
    {'f', ACCEL_DTYPE_FLOAT, 4}, {'h', ACCEL_DTYPE_FLOAT16, 2}, {'b', ACCEL_DTYPE_INT8, 1},
    {'u', ACCEL_DTYPE_UINT8, 1}, {'i', ACCEL_DTYPE_INT32, 4},   {'l', ACCEL_DTYPE_INT64, 8},
    {'o', ACCEL_DTYPE_BOOL, 1},
};

/* A scatter (Steele and others' SplitMix64): branches on data are as hard to foresee as on real. */
static uint64_t scatter(size_t i)
{
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Between 0.01 and 0.6: good for a root, a logarithm, a variance. */
static float made_up(size_t i)
{
    return 0.01f + (float)(scatter(i) & 0xffff) / 111000.0f;
}

void accel_calibration_fill(int dtype, size_t bytes, void *data)
{
    size_t size = 1;

    for (size_t t = 0; t < ACCEL_COUNT(types); t++)
        if (types[t].dtype == dtype)
            size = types[t].size;
    for (size_t i = 0; i < bytes / size; i++) {
        const int64_t small = (int64_t)(scatter(i) & 7);

        if (dtype == ACCEL_DTYPE_FLOAT)
            ((float *)data)[i] = made_up(i);
        else if (dtype == ACCEL_DTYPE_FLOAT16)
            ((uint16_t *)data)[i] = (uint16_t)(0x3000 + (scatter(i) & 1023)); /* 1/8 to 1/4 */
        else if (dtype == ACCEL_DTYPE_BOOL)
            ((uint8_t *)data)[i] = (uint8_t)(small & 1);
        else if (size == 1)
            ((uint8_t *)data)[i] = (uint8_t)(scatter(i) % 61);
        else if (size == 4)
            ((int32_t *)data)[i] = (int32_t)small;
        else
            ((int64_t *)data)[i] = small;
    }
}

static void put_value(int dtype, double value, int64_t whole, void *to)
{
    if (dtype == ACCEL_DTYPE_FLOAT)
        *(float *)to = (float)value;
    else if (dtype == ACCEL_DTYPE_INT32)
        *(int32_t *)to = (int32_t)whole;
    else if (dtype == ACCEL_DTYPE_INT64)
        memcpy(to, &whole, sizeof(whole));
    else
        *(uint8_t *)to = (uint8_t)whole;
}

/* "=1:2": the values themselves. */
static void listed_values(struct writer *w, Accel__Onnx__TensorProto *t, size_t size)
{
    size_t n = 0;
    uint8_t *data = take(w, strlen(w->at) + 1, size);
    int64_t *dims = take(w, 1, sizeof(*dims));

    do {
        char *end = NULL;
        const double value = strtod(w->at, &end);
        if (data == NULL || end == w->at) {
            w->failed = true;
            return;
        }
        put_value(t->data_type, value, strtoll(w->at, NULL, 10), data + n++ * size);
        w->at = end;
    } while (skip(w, ':'));
    if (dims != NULL)
        dims[0] = (int64_t)n;
    t->dims = dims;
    t->n_dims = n > 1;
    t->has_raw_data = 1;
    t->raw_data = (ProtobufCBinaryData){n * size, data};
}

/* A constant, or the type of an input when `letter` is small. */
static char *tensor(struct writer *w, char letter, size_t t)
{
    char *name = new_name(w);
    Accel__Onnx__TensorProto *constant = take(w, 1, sizeof(*constant));
    size_t rank, bytes = types[t].size;

    if (constant == NULL)
        return NULL;
    accel__onnx__tensor_proto__init(constant);
    constant->name = name;
    constant->has_data_type = 1;
    constant->data_type = types[t].dtype;
    if (isupper((unsigned char)letter) && skip(w, '=')) {
        listed_values(w, constant, types[t].size);
        w->constants[w->graph.n_initializer++] = constant;
        return name;
    }
    int64_t *dims = numbers(w, 'x', &rank);
    for (size_t d = 0; dims != NULL && d < rank; d++)
        bytes *= (size_t)dims[d];
    if (isupper((unsigned char)letter)) {
        uint8_t *data = take(w, bytes, 1);
        if (data != NULL)
            accel_calibration_fill(types[t].dtype, bytes, data);
        constant->dims = dims;
        constant->n_dims = rank;
        constant->has_raw_data = 1;
        constant->raw_data = (ProtobufCBinaryData){bytes, data};
        w->constants[w->graph.n_initializer++] = constant;
        return name;
    }
    Accel__Onnx__ValueInfoProto *info = take(w, 1, sizeof(*info));
    Accel__Onnx__TypeProto *type = take(w, 1, sizeof(*type));
    Accel__Onnx__TypeProto__Tensor *of = take(w, 1, sizeof(*of));
    Accel__Onnx__TensorShapeProto *shape = take(w, 1, sizeof(*shape));
    Accel__Onnx__TensorShapeProto__Dimension **list = take(w, rank, sizeof(*list));
    Accel__Onnx__TensorShapeProto__Dimension *each = take(w, rank, sizeof(*each));
    if (w->failed)
        return NULL;
    accel__onnx__value_info_proto__init(info);
    accel__onnx__type_proto__init(type);
    accel__onnx__type_proto__tensor__init(of);
    accel__onnx__tensor_shape_proto__init(shape);
    for (size_t d = 0; d < rank; d++) {
        accel__onnx__tensor_shape_proto__dimension__init(&each[d]);
        each[d].has_dim_value = 1;
        each[d].dim_value = dims[d];
        list[d] = &each[d];
    }
    shape->dim = list;
    shape->n_dim = rank;
    of->has_elem_type = 1;
    of->elem_type = types[t].dtype;
    of->shape = shape;
    type->tensor_type = of;
    info->name = name;
    info->type = type;
    w->inputs[w->graph.n_input++] = info;
    return name;
}

static char *argument(struct writer *w)
{
    if (skip(w, '$')) {
        w->failed = w->failed || w->previous == NULL;
        return w->previous;
    }
    if (skip(w, '_'))
        return (char *)"";
    for (size_t t = 0; t < ACCEL_COUNT(types); t++) {
        const char letter = *w->at;
        if (tolower((unsigned char)letter) != types[t].letter)
            continue;
        w->at++;
        return tensor(w, letter, t);
    }
    w->failed = true;
    return NULL;
}

/* ---------------------------------------------------------------- attributes */

static Accel__Onnx__AttributeProto *attribute(struct writer *w, Accel__Onnx__NodeProto *node,
                                              const char *name, int type)
{
    Accel__Onnx__AttributeProto *a = take(w, 1, sizeof(*a));

    if (a == NULL || node->n_attribute == ATTRS_MAX) {
        w->failed = true;
        return NULL;
    }
    accel__onnx__attribute_proto__init(a);
    a->name = (char *)name;
    a->has_type = 1;
    a->type = (Accel__Onnx__AttributeProto__AttributeType)type;
    node->attribute[node->n_attribute++] = a;
    return a;
}

static void ints_attribute(struct writer *w, Accel__Onnx__NodeProto *node, const char *name,
                           int64_t *values, size_t count)
{
    Accel__Onnx__AttributeProto *a =
        attribute(w, node, name, ACCEL__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);

    if (a == NULL)
        return;
    a->ints = values;
    a->n_ints = count;
}

static void floats_attribute(struct writer *w, Accel__Onnx__NodeProto *node, const char *name,
                             size_t count)
{
    Accel__Onnx__AttributeProto *a =
        attribute(w, node, name, ACCEL__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS);
    float *values = take(w, count, sizeof(*values));

    if (a == NULL || values == NULL)
        return;
    accel_calibration_fill(ACCEL_DTYPE_FLOAT, count * sizeof(*values), values);
    a->floats = values;
    a->n_floats = count;
}

static void string_attribute(struct writer *w, Accel__Onnx__NodeProto *node, const char *name,
                             const char *text)
{
    Accel__Onnx__AttributeProto *a =
        attribute(w, node, name, ACCEL__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);

    if (a == NULL || text == NULL)
        return;
    a->has_s = 1;
    a->s = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

/* `count` complete binary trees in depth-first order of the standard's arrays: node i of a tree has
 * the children 2i + 1 and 2i + 2, its last 2^depth nodes are leaves. */
static void trees(struct writer *w, Accel__Onnx__NodeProto *node, size_t count, size_t depth,
                  bool classes)
{
    static const char *const names[] = {"nodes_treeids",      "nodes_nodeids",
                                        "nodes_featureids",   "nodes_truenodeids",
                                        "nodes_falsenodeids", "target_treeids",
                                        "target_nodeids",     "target_ids"};
    static const char *const class_names[] = {"class_treeids", "class_nodeids", "class_ids"};
    const size_t each = ((size_t)2 << depth) - 1, inner = ((size_t)1 << depth) - 1;
    const size_t n = count * each, leaves = count * (each - inner);
    int64_t *lists[ACCEL_COUNT(names)];
    Accel__Onnx__AttributeProto *modes =
        attribute(w, node, "nodes_modes", ACCEL__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS);
    ProtobufCBinaryData *mode = take(w, n, sizeof(*mode));
    size_t leaf = 0;

    for (size_t l = 0; l < ACCEL_COUNT(names); l++)
        lists[l] = take(w, n, sizeof(*lists[l]));
    if (w->failed)
        return;
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < each; i++) {
            const size_t at = t * each + i;
            lists[0][at] = (int64_t)t;
            lists[1][at] = (int64_t)i;
            lists[2][at] = (int64_t)(at % 4);
            lists[3][at] = i < inner ? (int64_t)(2 * i + 1) : 0;
            lists[4][at] = i < inner ? (int64_t)(2 * i + 2) : 0;
            mode[at] = i < inner ? (ProtobufCBinaryData){9, (uint8_t *)"BRANCH_LT"}
                                 : (ProtobufCBinaryData){4, (uint8_t *)"LEAF"};
            if (i < inner)
                continue;
            lists[5][leaf] = (int64_t)t;
            lists[6][leaf++] = (int64_t)i;
        }
    modes->strings = mode;
    modes->n_strings = n;
    for (size_t l = 0; l < ACCEL_COUNT(names); l++)
        ints_attribute(w, node, l >= 5 && classes ? class_names[l - 5] : names[l], lists[l],
                       l < 5 ? n : leaves);
    floats_attribute(w, node, "nodes_values", n);
    floats_attribute(w, node, classes ? "class_weights" : "target_weights", leaves);
}

static void number_attribute(struct writer *w, Accel__Onnx__NodeProto *node, const char *name)
{
    const size_t length = strcspn(w->at, " |");
    size_t n;

    if (memchr(w->at, '.', length) != NULL && strstr(w->at, "..") != w->at + 1) {
        Accel__Onnx__AttributeProto *a =
            attribute(w, node, name, ACCEL__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
        if (a != NULL) {
            a->has_f = 1;
            a->f = strtof(w->at, NULL);
        }
        w->at += length;
        return;
    }
    int64_t *values = numbers(w, ',', &n);
    if (strncmp(w->at, "..", 2) == 0 && n == 1) {
        w->at += 2;
        const int64_t first = values[0], last = strtoll(w->at, (char **)&w->at, 10);
        values = take(w, (size_t)(last - first + 1), sizeof(*values));
        for (n = 0; values != NULL && first + (int64_t)n <= last; n++)
            values[n] = first + (int64_t)n;
    } else if (n == 1 && w->at[-1] != ',') {
        Accel__Onnx__AttributeProto *a =
            attribute(w, node, name, ACCEL__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
        if (a != NULL) {
            a->has_i = 1;
            a->i = values[0];
        }
        return;
    }
    ints_attribute(w, node, name, values, n);
}

static void read_attribute(struct writer *w, Accel__Onnx__NodeProto *node)
{
    const char *name = word(w);
    size_t n;

    if (!skip(w, '=') || name == NULL) {
        w->failed = true;
    } else if (strcmp(name, "trees") == 0 || strcmp(name, "classtrees") == 0) {
        const int64_t *sizes = numbers(w, 'x', &n);
        if (sizes != NULL && n == 2)
            trees(w, node, (size_t)sizes[0], (size_t)sizes[1], name[0] == 'c');
    } else if (skip(w, '*')) {
        const int64_t *count = numbers(w, ',', &n);
        if (count != NULL && n == 1)
            floats_attribute(w, node, name, (size_t)count[0]);
    } else if (isalpha((unsigned char)*w->at)) {
        string_attribute(w, node, name, word(w));
    } else {
        number_attribute(w, node, name);
    }
}

/* ---------------------------------------------------------------- nodes */

static void read_node(struct writer *w)
{
    Accel__Onnx__NodeProto *node = take(w, 1, sizeof(*node));
    size_t outputs = 1;

    if (node == NULL || w->graph.n_node == NODES_MAX) {
        w->failed = true;
        return;
    }
    while (skip(w, ' '))
        ;
    accel__onnx__node_proto__init(node);
    node->input = take(w, ARGS_MAX, sizeof(*node->input));
    node->output = take(w, ARGS_MAX, sizeof(*node->output));
    node->attribute = take(w, ATTRS_MAX, sizeof(Accel__Onnx__AttributeProto *));
    if (strncmp(w->at, "ml.", 3) == 0) {
        w->at += 3;
        node->domain = (char *)"ai.onnx.ml";
    }
    node->op_type = word(w);
    if (skip(w, '/'))
        outputs = (size_t)strtoul(w->at, (char **)&w->at, 10);
    if (w->failed || !skip(w, '(') || outputs > ARGS_MAX) {
        w->failed = true;
        return;
    }
    while (!w->failed && node->n_input < ARGS_MAX && *w->at != ')') {
        while (skip(w, ' '))
            ;
        node->input[node->n_input++] = argument(w);
        (void)skip(w, ',');
    }
    w->failed = w->failed || !skip(w, ')');
    for (size_t o = 0; o < outputs; o++)
        node->output[node->n_output++] = new_name(w);
    for (;;) {
        while (skip(w, ' '))
            ;
        if (w->failed || *w->at == '|' || *w->at == '\0')
            break;
        read_attribute(w, node);
    }
    w->previous = node->output[0];
    w->nodes[w->graph.n_node++] = node;
}

static void add_outputs(struct writer *w)
{
    const Accel__Onnx__NodeProto *last = w->nodes[w->graph.n_node - 1];

    for (size_t o = 0; o < last->n_output; o++) {
        Accel__Onnx__ValueInfoProto *info = take(w, 1, sizeof(*info));
        if (info == NULL)
            return;
        accel__onnx__value_info_proto__init(info);
        info->name = last->output[o];
        w->outputs[w->graph.n_output++] = info;
    }
}

int accel_calibration_graph(const char *text, struct accel_bump *mem, void **bytes, size_t *size,
                            struct accel_error *err)
{
    struct writer w = {.mem = mem, .at = text};
    Accel__Onnx__ModelProto model = ACCEL__ONNX__MODEL_PROTO__INIT;
    Accel__Onnx__OperatorSetIdProto opset = ACCEL__ONNX__OPERATOR_SET_ID_PROTO__INIT;
    Accel__Onnx__OperatorSetIdProto ml = ACCEL__ONNX__OPERATOR_SET_ID_PROTO__INIT;
    Accel__Onnx__OperatorSetIdProto *opsets[] = {&opset, &ml};

    accel__onnx__graph_proto__init(&w.graph);
    do
        read_node(&w);
    while (!w.failed && skip(&w, '|'));
    if (!w.failed)
        add_outputs(&w);
    if (w.failed || *w.at != '\0')
        return accel_fail(err, ACCEL_E_INTERNAL, "no graph: '%.60s' (at '%.20s')", text, w.at);
    w.graph.name = (char *)"calibration";
    w.graph.node = w.nodes;
    w.graph.initializer = w.constants;
    w.graph.input = w.inputs;
    w.graph.output = w.outputs;
    opset.has_version = ml.has_version = 1;
    opset.version = OPSET;
    opset.domain = (char *)"";
    ml.version = OPSET_ML;
    ml.domain = (char *)"ai.onnx.ml";
    model.has_ir_version = 1;
    model.ir_version = IR_VERSION;
    model.graph = &w.graph;
    model.opset_import = opsets;
    model.n_opset_import = ACCEL_COUNT(opsets);
    *size = accel__onnx__model_proto__get_packed_size(&model);
    *bytes = accel_bump_alloc(mem, *size, 1);
    if (*bytes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a graph of %zu bytes", *size);
    accel__onnx__model_proto__pack(&model, *bytes);
    return ACCEL_OK;
}
