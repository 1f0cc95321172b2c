/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx_build.h"
#include "tap.h"

#include "infer/onnx/onnx.h"
#include "infer/ops/op.h"

static const int64_t four[] = {4};

/* A graph with input x [4] and output y [4]. */
static struct accel_buf graph(void)
{
    struct accel_buf g = {0};

    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 1, four));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT, 1, four));
    return g;
}

/* Loads and expects a refusal whose message holds both texts. Takes the model. */
static void refused(struct accel_buf model, int code, const char *one, const char *two,
                    const char *what)
{
    struct accel_model *m = NULL;
    struct accel_error err = {0};
    const int rc = ob_load(&model, NULL, &m, &err);

    ok(rc == code && strstr(err.msg, one) != NULL && strstr(err.msg, two) != NULL, "refuses %s: %s",
       what, err.msg);
    if (rc == ACCEL_OK)
        accel_model_unref(m);
    accel_buf_free(&model);
}

static struct accel_buf with_node(struct accel_buf node)
{
    struct accel_buf g = graph();

    ob_add(&g, OB_NODE, node);
    return ob_model(&g, 13);
}

static void refuses_broken_graphs(void)
{
    struct accel_buf g, n;

    g = graph();
    ob_add(&g, OB_NODE, ob_node("Add", "x,b", "a"));
    ob_add(&g, OB_NODE, ob_node("Relu", "a", "b"));
    ob_add(&g, OB_NODE, ob_node("Relu", "b", "y"));
    refused(ob_model(&g, 13), ACCEL_E_INVALID, "the_", "cycle", "a cycle");
    refused(with_node(ob_node("Relu", "y", "y")), ACCEL_E_INVALID, "the_Relu", "cycle",
            "a node that reads itself");
    refused(with_node(ob_node("Relu", "nowhere", "y")), ACCEL_E_INVALID, "the_Relu", "nowhere",
            "a missing input");
    g = graph();
    ob_add(&g, OB_NODE, ob_node("Relu", "x", "y"));
    ob_add(&g, OB_NODE, ob_node("Abs", "x", "y"));
    refused(ob_model(&g, 13), ACCEL_E_INVALID, "the_Abs", "already defined", "two producers");
    refused(with_node(ob_node("Relu", "x", "z")), ACCEL_E_INVALID, "'y'", "no node",
            "an output that nothing produces");
    refused(with_node(ob_node("Frobnicate", "x", "y")), ACCEL_E_UNSUPPORTED, "the_Frobnicate",
            "Frobnicate-13", "an unknown operator");
    refused(with_node(ob_node("Add", "x", "y")), ACCEL_E_INVALID, "the_Add", "inputs",
            "too few inputs");
    refused(with_node(ob_node("Conv", "x,x,x,x", "y")), ACCEL_E_INVALID, "the_Conv", "inputs",
            "an input that only passes may add");
    n = ob_node("Softmax", "x", "y");
    ob_attr_text(&n, "axis", "one");
    refused(with_node(n), ACCEL_E_INVALID, "the_Softmax", "axis", "an attribute of another type");
    n = ob_node("Softmax", "x", "y");
    ob_attr_int(&n, "axes", 1);
    refused(with_node(n), ACCEL_E_UNSUPPORTED, "the_Softmax", "axes", "an attribute nobody knows");
    n = ob_node("Softmax", "x", "y");
    ob_attr_int(&n, "axis", 1);
    refused(with_node(n), ACCEL_E_INVALID, "the_Softmax", "axis 1", "an axis outside the tensor");
    g = graph();
    refused(ob_model(&g, 13), ACCEL_E_INVALID, "'y'", "no node", "a graph without nodes");
    g = graph();
    ob_add(&g, OB_NODE, ob_node("Relu", "x", "y"));
    refused(ob_model(&g, 99), ACCEL_E_UNSUPPORTED, "opset 99", "7 to", "an opset of the future");
}

/* A model of one Mish of the core's own domain. */
static struct accel_buf own_operator(bool import)
{
    struct accel_buf n = ob_node("Mish", "x", "y"), model, set = {0};

    ob_text(&n, 7, ACCEL_DOMAIN_OWN);
    model = with_node(n);
    if (import) {
        ob_text(&set, 1, ACCEL_DOMAIN_OWN);
        ob_int(&set, 2, 1);
        ob_put(&model, 8, &set);
    }
    return model;
}

static void keeps_its_own_operators(void)
{
    struct accel_operator op;
    size_t shown = 0, own = 0, all = 0;

    refused(own_operator(true), ACCEL_E_INVALID, "'acceld'", "graph passes",
            "an import of the core's own operators");
    refused(own_operator(false), ACCEL_E_INVALID, "the_Mish", "imports no opset",
            "one of them without import");
    for (const struct accel_op *o; (o = accel_op_at(all)) != NULL; all++)
        own += strcmp(o->domain, ACCEL_DOMAIN_OWN) == 0;
    while (accel_operator_at(shown, &op) && strcmp(op.domain, ACCEL_DOMAIN_OWN) != 0)
        shown++;
    ok(own > 0 && shown + own == all, "lists %zu of %zu operators, and none of its own", shown,
       all);
}

static void refuses_broken_tensors(void)
{
    static const int64_t huge[] = {536870912}, negative[] = {-4}, over[] = {1LL << 40, 1LL << 40};
    static const int64_t hidden[] = {1LL << 62, 0, 1LL << 62};
    const float data[4] = {1, 2, 3, 4};
    const struct {
        unsigned rank;
        const int64_t *dims;
        size_t bytes;
        int code;
        const char *reason, *what;
    } cases[] = {
        {1, huge, 4, ACCEL_E_INVALID, "2147483648", "a 2 GB claim in a small file"},
        {1, negative, 16, ACCEL_E_INVALID, "negative", "a negative dimension"},
        {2, over, 16, ACCEL_E_INVALID, "overflows", "dimensions that overflow"},
        {3, hidden, 0, ACCEL_E_INVALID, "overflows", "an overflow behind a zero"},
        {1, four, 15, ACCEL_E_INVALID, "16 bytes", "data a byte short"},
        {1, four, 12, ACCEL_E_INVALID, "16 bytes", "data an element short"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct accel_buf g = graph();

        ob_add(&g, OB_INITIALIZER,
               ob_tensor("w", ACCEL_DTYPE_FLOAT, cases[i].rank, cases[i].dims, data,
                         cases[i].bytes));
        ob_add(&g, OB_NODE, ob_node("Add", "x,w", "y"));
        refused(ob_model(&g, 13), cases[i].code, "'w'", cases[i].reason, cases[i].what);
    }
}

/* A branch that makes z. */
static struct accel_buf leaf(const char *op)
{
    struct accel_buf g = {0};

    ob_add(&g, OB_NODE, ob_node(op, "x", "z"));
    ob_add(&g, OB_OUTPUT, ob_value("z", ACCEL_DTYPE_FLOAT, 1, four));
    return g;
}

/* If nested `depth` deep. */
static struct accel_buf nested(unsigned depth)
{
    struct accel_buf inner = leaf("Relu");

    for (unsigned i = 0; i < depth; i++) {
        struct accel_buf outer = {0}, n = ob_node("If", "c", i + 1 == depth ? "y" : "z");
        struct accel_buf other = leaf("Neg");

        ob_attr_graph(&n, "then_branch", &inner);
        ob_attr_graph(&n, "else_branch", &other);
        ob_add(&outer, OB_NODE, n);
        if (i + 1 < depth)
            ob_add(&outer, OB_OUTPUT, ob_value("z", ACCEL_DTYPE_FLOAT, 1, four));
        inner = outer;
    }
    ob_add(&inner, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 1, four));
    ob_add(&inner, OB_INPUT, ob_value("c", ACCEL_DTYPE_BOOL, 0, NULL));
    ob_add(&inner, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT, 1, four));
    return ob_model(&inner, 13);
}

static void bounds_what_may_grow(void)
{
    struct accel_load_options o;
    struct accel_error err = {0};
    struct accel_model *m = NULL;
    struct accel_buf g = graph(), model;
    struct accel_ir *ir = NULL;

    refused(nested(3000), ACCEL_E_LIMIT, "the_If", "deeper than 32", "3,000 nested graphs");
    model = nested(8);
    ok(accel_onnx_read(model.data, model.size, NULL, NULL, NULL, &ir, &err) == ACCEL_OK &&
           ir->nodes_in_file == 8 + 8 + 1 && ir->irs_count == 1 + 16,
       "8 nested graphs are read and their nodes counted");
    accel_ir_free(ir);
    accel_buf_free(&model);
    accel_load_options_init(&o);
    o.limits.nodes = 3;
    ob_add(&g, OB_NODE, ob_node("Relu", "x", "a"));
    ob_add(&g, OB_NODE, ob_node("Relu", "a", "b"));
    ob_add(&g, OB_NODE, ob_node("Relu", "b", "c"));
    ob_add(&g, OB_NODE, ob_node("Relu", "c", "y"));
    model = ob_model(&g, 13);
    ok(ob_load(&model, &o, &m, &err) == ACCEL_E_LIMIT && strstr(err.msg, "limit of 3") != NULL,
       "more nodes than the limit are refused: %s", err.msg);
    o.limits.nodes = 4;
    ok(ob_load(&model, &o, &m, &err) == ACCEL_OK, "as many as the limit are not");
    accel_model_unref(m);
    o.limits.tensor_bytes = 15;
    ok(ob_load(&model, &o, &m, &err) == ACCEL_E_LIMIT, "a tensor over the limit is refused: %s",
       err.msg);
    o.limits = (struct accel_limits){.model_bytes = 10};
    ok(ob_load(&model, &o, &m, &err) == ACCEL_E_LIMIT, "so is a model: %s", err.msg);
    accel_buf_free(&model);
}

static void survives_every_cut(void)
{
    struct accel_buf model = ob_small_network(true);
    size_t loaded = 0, silent = 0;

    for (size_t n = 0; n < model.size; n++) {
        struct accel_model *m = NULL;
        struct accel_error err = {0};
        /* A copy of its own size: a sanitizer sees a read beyond it. */
        char *copy = accel_malloc(n);

        memcpy(copy, model.data, n);
        if (accel_model_load_memory(copy, n, NULL, NULL, NULL, &m, &err) == ACCEL_OK) {
            loaded++;
            accel_model_unref(m);
        } else {
            silent += err.msg[0] == '\0';
        }
        accel_free(copy);
    }
    ok(loaded == 0 && silent == 0, "a file cut at any of %zu places is refused with a reason",
       model.size);
    accel_buf_free(&model);
}

static void survives_every_flip(void)
{
    struct accel_buf model = ob_small_network(true);
    size_t loaded = 0;

    for (size_t n = 0; n < model.size; n++) {
        const char was = model.data[n];

        for (unsigned k = 0; k < 3; k++) {
            struct accel_model *m = NULL;
            struct accel_error err = {0};
            struct accel_load_options o;

            accel_load_options_init(&o);
            o.limits.arena_bytes = o.limits.tensor_bytes = 1 << 24;
            model.data[n] = (char)(k == 0 ? was ^ 1 : k == 1 ? ~was : was + 7);
            if (ob_load(&model, &o, &m, &err) == ACCEL_OK) {
                loaded++;
                accel_model_unref(m);
            }
        }
        model.data[n] = was;
    }
    ok(loaded < model.size * 3, "%zu of %zu damaged files still load, none does harm", loaded,
       model.size * 3);
    accel_buf_free(&model);
}

static int no_file(void *context, const char *location, const void **bytes, size_t *size,
                   struct accel_error *err)
{
    snprintf(context, 64, "%s", location);
    *bytes = "0123456789abcdef0123";
    *size = 20;
    (void)err;
    return ACCEL_OK;
}

/* x + w, w external with these entries. */
static struct accel_buf external_model(const char *location, const char *offset)
{
    struct accel_buf g = graph(), t = {0}, e;
    const char *const entries[][2] = {{"location", location}, {"offset", offset}, {"length", "16"}};

    ob_int(&t, 1, 4);
    ob_int(&t, 2, ACCEL_DTYPE_FLOAT);
    ob_text(&t, 8, "w");
    for (size_t i = 0; i < 3; i++) {
        e = (struct accel_buf){0};
        ob_text(&e, 1, entries[i][0]);
        ob_text(&e, 2, entries[i][1]);
        ob_put(&t, 13, &e);
    }
    ob_int(&t, 14, 1);
    ob_add(&g, OB_INITIALIZER, t);
    ob_add(&g, OB_NODE, ob_node("Add", "x,w", "y"));
    return ob_model(&g, 13);
}

static void external_data_stays_in_its_folder(void)
{
    struct accel_buf model = external_model("weights.bin", "4");
    struct accel_model *m = NULL;
    struct accel_error err = {0};
    char asked[64] = "";

    ok(accel_model_load_memory(model.data, model.size, no_file, asked, NULL, &m, &err) ==
               ACCEL_OK &&
           strcmp(asked, "weights.bin") == 0,
       "external data is asked for by its location");
    accel_model_unref(m);
    ok(ob_load(&model, NULL, &m, &err) == ACCEL_E_INVALID && strstr(err.msg, "'w'") != NULL,
       "without a resolver it is refused: %s", err.msg);
    accel_buf_free(&model);
    model = external_model("../weights.bin", "0");
    ok(accel_model_load_memory(model.data, model.size, no_file, asked, NULL, &m, &err) ==
           ACCEL_E_INVALID,
       "a path out of the folder is refused: %s", err.msg);
    accel_buf_free(&model);
    model = external_model("weights.bin", "5");
    ok(accel_model_load_memory(model.data, model.size, no_file, asked, NULL, &m, &err) ==
           ACCEL_E_INVALID,
       "an offset beyond the file is refused: %s", err.msg);
    accel_buf_free(&model);
}

/* n initialisers that each are the first bytes of one file. */
static struct accel_buf sharing_model(size_t n, enum accel_dtype dtype, int64_t elements)
{
    struct accel_buf g = graph();

    for (size_t i = 0; i < n; i++) {
        struct accel_buf t = {0}, e = {0};
        char name[24];

        snprintf(name, sizeof(name), "w%zu", i);
        ob_int(&t, 1, elements);
        ob_int(&t, 2, dtype);
        ob_text(&t, 8, name);
        ob_text(&e, 1, "location");
        ob_text(&e, 2, "weights.bin");
        ob_put(&t, 13, &e);
        ob_int(&t, 14, 1);
        ob_add(&g, OB_INITIALIZER, t);
    }
    ob_add(&g, OB_NODE, ob_node("Relu", "x", "y"));
    return ob_model(&g, 13);
}

static int one_file(void *context, const char *location, const void **bytes, size_t *size,
                    struct accel_error *err)
{
    static const char zero[65536];

    (void)context;
    (void)location;
    (void)err;
    *bytes = zero;
    *size = sizeof(zero);
    return ACCEL_OK;
}

static int load_sharing(size_t n, enum accel_dtype dtype, int64_t elements, struct accel_error *err)
{
    struct accel_buf model = sharing_model(n, dtype, elements);
    struct accel_load_options o;
    struct accel_model *m = NULL;

    accel_load_options_init(&o);
    o.limits.model_bytes = 1 << 20;
    const int rc = accel_model_load_memory(model.data, model.size, one_file, NULL, &o, &m, err);
    accel_buf_free(&model);
    accel_model_unref(m);
    return rc;
}

static void external_data_is_counted_each_time(void)
{
    struct accel_error err = {0};

    ok(load_sharing(16, ACCEL_DTYPE_INT4, 2 * 65536, &err) == ACCEL_OK &&
           load_sharing(256, ACCEL_DTYPE_FLOAT, 1024, &err) == ACCEL_OK &&
           load_sharing(64, ACCEL_DTYPE_FLOAT, 16384, &err) == ACCEL_OK,
       "tensors may share the bytes of a file: %s", err.msg);
    ok(load_sharing(17, ACCEL_DTYPE_INT4, 2 * 65536, &err) == ACCEL_E_LIMIT,
       "copies of these are held against the limit, 4-bit numbers: %s", err.msg);
    ok(load_sharing(257, ACCEL_DTYPE_FLOAT, 1024, &err) == ACCEL_E_LIMIT, "and small tensors: %s",
       err.msg);
}

static void external_strings_are_refused(void)
{
    struct accel_error err = {0};

    ok(load_sharing(1, ACCEL_DTYPE_STRING, 2, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, "'w0'") != NULL && strstr(err.msg, "strings") != NULL,
       "bytes of a file are no strings: %s", err.msg);
}

/* LeakyRelu with an attribute of so many fields `number`, each of `size` zero bytes. */
static struct accel_buf with_fields(enum accel_attr_type type, uint32_t number, size_t count,
                                    size_t size)
{
    struct accel_buf n = ob_node("LeakyRelu", "x", "y"), a = {0};
    static const char zero[4096];

    ob_text(&a, 1, "alpha");
    ob_int(&a, 20, type);
    for (size_t i = 0; i < count; i++) {
        struct accel_buf v = {0};

        accel_buf_append(&v, zero, size);
        ob_put(&a, number, &v);
    }
    ob_put(&n, 5, &a);
    return with_node(n);
}

static void bounds_what_attributes_hold(void)
{
    refused(with_fields(ACCEL_ATTR_FLOAT, 2, 1, 4096), ACCEL_E_INVALID, "the_LeakyRelu", "'alpha'",
            "a packed list where one float belongs");
    refused(with_fields(ACCEL_ATTR_FLOAT, 2, 2, 4), ACCEL_E_INVALID, "'alpha'", "2 values",
            "two floats where one belongs");
    refused(with_fields(ACCEL_ATTR_FLOATS, 2, 1, 4096), ACCEL_E_INVALID, "the_LeakyRelu", "'alpha'",
            "a list in the field of one");
    refused(with_fields(ACCEL_ATTR_STRING, 4, 3, 2), ACCEL_E_INVALID, "'alpha'", "3 values",
            "three strings where one belongs");
    refused(with_fields(ACCEL_ATTR_TENSORS, 10, 5, 0), ACCEL_E_INVALID, "the_LeakyRelu",
            "another type", "a list of tensors, without a look at them");
}

int main(void)
{
    refuses_broken_graphs();
    keeps_its_own_operators();
    refuses_broken_tensors();
    bounds_what_may_grow();
    survives_every_cut();
    survives_every_flip();
    external_data_stays_in_its_folder();
    external_data_is_counted_each_time();
    external_strings_are_refused();
    bounds_what_attributes_hold();
    return tap_done();
}
