/* SPDX-License-Identifier: Apache-2.0 */
/* Trees that are none: every broken attribute is refused by name at load, so that a walk ends. The
 * model is a real one, tests/fixtures/sklearn-decision-tree: 406 nodes of 30 trees, 3 classes. */
#include "acceld/infer.h"
#include "base/fd.h"
#include "base/mem.h"
#include "onnx.pb-c.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

static char *file;
static size_t file_size;

typedef Accel__Onnx__AttributeProto attr_t;
typedef void change_fn(Accel__Onnx__ModelProto *model);

static attr_t *attr(Accel__Onnx__ModelProto *model, const char *name)
{
    Accel__Onnx__NodeProto *n = model->graph->node[0];

    for (size_t i = 0; i < n->n_attribute; i++)
        if (strcmp(n->attribute[i]->name, name) == 0)
            return n->attribute[i];
    return NULL;
}

/* The fixture with something changed: loaded. */
static int load(change_fn *change, struct accel_model **model, struct accel_error *err)
{
    Accel__Onnx__ModelProto *proto =
        accel__onnx__model_proto__unpack(NULL, file_size, (const uint8_t *)file);

    change(proto);
    const size_t size = accel__onnx__model_proto__get_packed_size(proto);
    ACCEL_CLEANUP(accel_freep) uint8_t *bytes = accel_malloc(size);
    accel__onnx__model_proto__pack(proto, bytes);
    accel__onnx__model_proto__free_unpacked(proto, NULL);
    *model = NULL;
    return accel_model_load_memory(bytes, size, NULL, NULL, NULL, model, err);
}

static void refused(change_fn *change, const char *names, const char *what)
{
    struct accel_model *model;
    struct accel_error err = {0};
    const int rc = load(change, &model, &err);

    ok(rc == ACCEL_E_INVALID && strstr(err.msg, names) != NULL, "%s: %s", what, err.msg);
    accel_model_unref(model);
}

/* The k-th inner node from the second on. */
static size_t inner(Accel__Onnx__ModelProto *m, size_t k)
{
    const attr_t *modes = attr(m, "nodes_modes");

    for (size_t i = 1; i < modes->n_strings; i++)
        if (memcmp(modes->strings[i].data, "LEAF", 4) != 0 && k-- == 0)
            return i;
    return 0;
}

/* An inner node whose true child is (or is not) a leaf. */
static size_t parent(Accel__Onnx__ModelProto *m, bool leaf)
{
    const attr_t *trees = attr(m, "nodes_treeids"), *ids = attr(m, "nodes_nodeids"),
                 *yes = attr(m, "nodes_truenodeids"), *modes = attr(m, "nodes_modes");

    for (size_t i = 0; i < modes->n_strings; i++)
        for (size_t j = 0; j < modes->n_strings; j++)
            if (memcmp(modes->strings[i].data, "LEAF", 4) != 0 &&
                trees->ints[i] == trees->ints[j] && ids->ints[j] == yes->ints[i] &&
                (memcmp(modes->strings[j].data, "LEAF", 4) == 0) == leaf)
                return i;
    return 0;
}

#define SET(function, name, index, value)            \
    static void function(Accel__Onnx__ModelProto *m) \
    {                                                \
        attr(m, name)->ints[index] = value;          \
    }
#define CUT(function, name, list)                    \
    static void function(Accel__Onnx__ModelProto *m) \
    {                                                \
        attr(m, name)->list--;                       \
    }

static void same(Accel__Onnx__ModelProto *m)
{
    (void)m;
}
SET(self, "nodes_truenodeids", 0, 0)
SET(back, "nodes_falsenodeids", inner(m, 20), attr(m, "nodes_nodeids")->ints[0])
SET(two_ways, "nodes_falsenodeids", parent(m, false),
    attr(m, "nodes_truenodeids")->ints[parent(m, false)])
SET(nowhere, "nodes_truenodeids", 0, 406)
SET(negative, "nodes_falsenodeids", 0, -1)
SET(other_tree, "nodes_treeids", 405, 1)
SET(twice, "nodes_nodeids", 1, attr(m, "nodes_nodeids")->ints[0])
SET(feature, "nodes_featureids", 0, -1)
SET(large_feature, "nodes_featureids", 0, INT64_MAX)
SET(far_feature, "nodes_featureids", 0, 1000)
SET(class_high, "class_ids", 0, 3)
SET(class_low, "class_ids", 0, INT64_MIN)
SET(class_node, "class_nodeids", 0, 100000)
SET(class_tree, "class_treeids", 0, 1000)
CUT(cut_values, "nodes_values", n_floats)
CUT(cut_true, "nodes_truenodeids", n_ints)
CUT(cut_false, "nodes_falsenodeids", n_ints)
CUT(cut_features, "nodes_featureids", n_ints)
CUT(cut_nodes, "nodes_nodeids", n_ints)
CUT(cut_missing, "nodes_missing_value_tracks_true", n_ints)
CUT(cut_class_nodes, "class_nodeids", n_ints)
CUT(cut_class_trees, "class_treeids", n_ints)
CUT(cut_weights, "class_weights", n_floats)

static void cut_modes(Accel__Onnx__ModelProto *m)
{
    attr_t *modes = attr(m, "nodes_modes");

    free(modes->strings[--modes->n_strings].data); /* protobuf-c's own, which it now forgets */
}

static void mode(Accel__Onnx__ModelProto *m)
{
    attr(m, "nodes_modes")->strings[0].data[0] = 'X';
}

static void transform(Accel__Onnx__ModelProto *m)
{
    attr(m, "post_transform")->s.data[0] = 'X';
}

static void no_labels(Accel__Onnx__ModelProto *m)
{
    attr(m, "classlabels_int64s")->n_ints = 0;
}

/* Both ways of a node end at one leaf: odd, but it is left. */
static void one_leaf(Accel__Onnx__ModelProto *m)
{
    const size_t i = parent(m, true);

    attr(m, "nodes_falsenodeids")->ints[i] = attr(m, "nodes_truenodeids")->ints[i];
}

/* A feature that only the input can lack: the model loads, the run is refused. */
static void feature_of_input(void)
{
    struct accel_model *model;
    struct accel_session *session = NULL;
    struct accel_error err = {0};
    float x[4] = {0};
    struct accel_named_tensor in = {.tensor = {.dtype = ACCEL_DTYPE_FLOAT,
                                               .rank = 2,
                                               .dims = {1, 4},
                                               .data = x,
                                               .size_bytes = sizeof(x)}};
    struct accel_named_tensor out = {0};

    int rc = load(far_feature, &model, &err);
    ok(rc == ACCEL_OK, "with a free number of features any feature loads%s", err.msg);
    if (rc != ACCEL_OK)
        return;
    in.name = accel_model_input(model, 0)->name;
    out.name = accel_model_output(model, 0)->name;
    rc = accel_session_new(model, NULL, &session, &err);
    if (rc == ACCEL_OK)
        rc = accel_session_run(session, &in, 1, &out, 1, &err);
    ok(rc == ACCEL_E_INVALID && strstr(err.msg, "nodes_featureids") != NULL,
       "but an input without it is refused: %s", err.msg);
    accel_session_free(session);
    accel_model_unref(model);
}

static void out_of_memory(void)
{
    bool clean = true;
    unsigned failures = 0;

    for (long nth = 0;; nth++) {
        struct accel_model *model = NULL;
        struct accel_error err = {0};

        accel_fault_arm(nth);
        const int rc = accel_model_load_memory(file, file_size, NULL, NULL, NULL, &model, &err);
        const bool reached = accel_fault_disarm();
        /* What merely counts CPUs does without its memory. */
        clean = clean && (rc == ACCEL_OK || (reached && rc == ACCEL_E_NOMEM));
        failures += rc == ACCEL_E_NOMEM;
        accel_model_unref(model);
        if (reached)
            continue;
        ok(clean && failures > 10, "a failing allocation is reported as such, %u times", failures);
        return;
    }
}

int main(void)
{
    struct accel_error err = {0};
    struct accel_model *model;

    if (!ok(accel_read_file("tests/fixtures/sklearn-decision-tree/model.onnx", 1 << 20, &file,
                            &file_size, &err) == ACCEL_OK,
            "the fixture is there %s", err.msg))
        return tap_done();
    ok(load(same, &model, &err) == ACCEL_OK, "unchanged it loads %s", err.msg);
    accel_model_unref(model);

    refused(self, "nodes_truenodeids", "a node that follows itself");
    refused(back, "nodes_falsenodeids", "a long cycle");
    refused(two_ways, "nodes_falsenodeids", "a node reached by two ways");
    refused(nowhere, "nodes_truenodeids", "a child that is not there");
    refused(negative, "nodes_falsenodeids", "a negative child");
    refused(other_tree, "nodes_", "a child in another tree");
    refused(twice, "nodes_nodeids", "a number given twice");
    refused(feature, "nodes_featureids", "a negative feature");
    refused(large_feature, "nodes_featureids", "a feature beyond any input");
    refused(class_high, "class_ids", "a class beyond the labels");
    refused(class_low, "class_ids", "a negative class");
    refused(class_node, "class_nodeids", "a weight of no node");
    refused(class_tree, "class_nodeids", "a weight of no tree");
    refused(cut_values, "nodes_values", "too few values");
    refused(cut_modes, "nodes_modes", "too few modes");
    refused(cut_true, "nodes_truenodeids", "too few true children");
    refused(cut_false, "nodes_falsenodeids", "too few false children");
    refused(cut_features, "nodes_featureids", "too few features");
    refused(cut_nodes, "nodes_nodeids", "too few numbers");
    refused(cut_missing, "nodes_missing_value_tracks_true", "too few tracks of missing values");
    refused(cut_class_nodes, "class_nodeids", "too few nodes of weights");
    refused(cut_class_trees, "class_treeids", "too few trees of weights");
    refused(cut_weights, "class_weights", "too few weights");
    refused(mode, "nodes_modes", "a mode that is none");
    refused(transform, "post_transform", "a transform that is none");
    refused(no_labels, "classlabels_int64s", "no labels");

    ok(load(one_leaf, &model, &err) == ACCEL_OK, "a leaf may be shared %s", err.msg);
    accel_model_unref(model);
    feature_of_input();
    out_of_memory();
    accel_free(file);
    return tap_done();
}
