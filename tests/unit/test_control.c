/* SPDX-License-Identifier: Apache-2.0 */
/* Subgraphs and sequences at their limits; what they compute is compared with ONNX Runtime in
 * tests/models/oracle_cases/control.py. */
#include "onnx_build.h"
#include "tap.h"

static const int64_t two[] = {2};

/* Loop over x (float[2]) for n (the input) iterations, or without end: `op` of the carried value
 * and itself is carried on, and a copy of it collected. */
static struct accel_buf loop_model(const char *op, bool counted)
{
    struct accel_buf body = {0}, g = {0};
    struct accel_buf n = ob_node("Loop", counted ? "n,,x" : ",,x", "y,all");

    struct accel_buf step = ob_node(op, "s,s", "t");
    if (strcmp(op, "Concat") == 0)
        ob_attr_int(&step, "axis", 0);
    ob_add(&body, OB_NODE, ob_node("Identity", "go", "more"));
    ob_add(&body, OB_NODE, step);
    ob_add(&body, OB_NODE, ob_node("Neg", "x", "each"));
    ob_add(&body, OB_INPUT, ob_value("i", ACCEL_DTYPE_INT64, 0, NULL));
    ob_add(&body, OB_INPUT, ob_value("go", ACCEL_DTYPE_BOOL, 0, NULL));
    ob_add(&body, OB_INPUT, ob_value("s", ACCEL_DTYPE_FLOAT, 1, two));
    ob_add(&body, OB_OUTPUT, ob_value("more", ACCEL_DTYPE_BOOL, 0, NULL));
    ob_add(&body, OB_OUTPUT, ob_value("t", ACCEL_DTYPE_FLOAT, 1, two));
    ob_add(&body, OB_OUTPUT, ob_value("each", ACCEL_DTYPE_FLOAT, 1, two));
    ob_attr_graph(&n, "body", &body);
    ob_add(&g, OB_NODE, n);
    if (counted)
        ob_add(&g, OB_INPUT, ob_value("n", ACCEL_DTYPE_INT64, 0, NULL));
    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 1, two));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT, 1, two));
    ob_add(&g, OB_OUTPUT, ob_value("all", ACCEL_DTYPE_FLOAT, 2, (const int64_t[]){-1, 2}));
    return ob_model(&g, 17);
}

struct looped {
    struct accel_model *model;
    struct accel_session *session;
    struct accel_named_tensor y[2];
};

static int run_loop(struct looped *l, int64_t trips, struct accel_error *err)
{
    float x[] = {1, 2};
    const struct accel_named_tensor in[] = {
        {"n", {.dtype = ACCEL_DTYPE_INT64, .data = &trips, .size_bytes = sizeof(trips)}},
        {"x", {ACCEL_DTYPE_FLOAT, 1, {2}, x, sizeof(x)}}};

    l->y[0] = (struct accel_named_tensor){.name = "y"};
    l->y[1] = (struct accel_named_tensor){.name = "all"};
    return accel_session_run(l->session, in, 2, l->y, 2, err);
}

static void open_loop(struct looped *l, const char *op, const struct accel_limits *limits)
{
    const struct accel_session_options so = {.struct_size = sizeof(so), .threads = 1};
    struct accel_buf model = loop_model(op, true);
    struct accel_load_options o;
    struct accel_error err = {0};

    accel_load_options_init(&o);
    o.limits = *limits;
    *l = (struct looped){0};
    ok(ob_load(&model, &o, &l->model, &err) == ACCEL_OK &&
           accel_session_new(l->model, &so, &l->session, &err) == ACCEL_OK,
       "a loop of %s is loaded %s", op, err.msg);
    accel_buf_free(&model);
}

static void close_loop(struct looped *l)
{
    accel_session_free(l->session);
    accel_model_unref(l->model);
}

static void ends_what_has_no_end(void)
{
    struct accel_error err = {0};
    struct looped l;

    open_loop(&l, "Max", &(struct accel_limits){.run_ms = 50, .tensor_bytes = 1u << 30});
    ok(run_loop(&l, 3, &err) == ACCEL_OK && l.y[1].tensor.dims[0] == 3, "three iterations %s",
       err.msg);
    ok(run_loop(&l, INT64_MAX, &err) == ACCEL_E_TIMEOUT && strstr(err.msg, "50 ms") != NULL,
       "more than there is time for: %s", err.msg);
    ok(run_loop(&l, 2, &err) == ACCEL_OK && l.y[1].tensor.dims[0] == 2, "and two after it");
    close_loop(&l);
    open_loop(&l, "Max", &(struct accel_limits){.tensor_bytes = 4096});
    ok(run_loop(&l, INT64_MAX, &err) == ACCEL_E_LIMIT && strstr(err.msg, "4096") != NULL,
       "what is collected is held against the limit: %s", err.msg);
    ok(run_loop(&l, 512, &err) == ACCEL_OK && l.y[1].tensor.size_bytes == 4096,
       "as much as that is not too much %s", err.msg);
    close_loop(&l);
    open_loop(&l, "Concat", &(struct accel_limits){.arena_bytes = 1u << 16});
    ok(run_loop(&l, 64, &err) == ACCEL_E_LIMIT, "so is what is carried: %s", err.msg);
    ok(run_loop(&l, 4, &err) == ACCEL_OK && l.y[0].tensor.dims[0] == 32, "four doublings %s",
       err.msg);
    close_loop(&l);
}

static void frees_all_whatever_fails(void)
{
    struct accel_buf model = loop_model("Concat", true);
    const struct accel_session_options so = {.struct_size = sizeof(so), .threads = 1};
    long nth = 0, wrong = 0;

    for (;; nth++) {
        struct accel_error err = {0};
        struct looped l = {0};

        accel_fault_arm(nth);
        int rc = ob_load(&model, NULL, &l.model, &err);
        if (rc == ACCEL_OK)
            rc = accel_session_new(l.model, &so, &l.session, &err);
        if (rc == ACCEL_OK)
            rc = run_loop(&l, 3, &err);
        const bool reached = accel_fault_disarm();
        const bool right = rc == ACCEL_OK && l.y[0].tensor.dims[0] == 16;
        close_loop(&l);
        if (!reached) {
            ok(right, "a loop runs when no allocation fails");
            break;
        }
        /* A buffer that could not be doubled is made as large as it must be: all is as it should
         * be then. */
        wrong += rc != ACCEL_E_NOMEM && !right;
    }
    ok(wrong == 0, "%ld allocations failed one by one, all were reported", nth);
    accel_buf_free(&model);
}

/* A value_info of a sequence of float vectors: TypeProto.sequence_type is field 4. */
static struct accel_buf sequence_value(const char *name)
{
    struct accel_buf value = {0}, type = {0}, sequence = {0}, element = {0}, tensor = {0};

    ob_int(&tensor, 1, ACCEL_DTYPE_FLOAT);
    ob_put(&element, 1, &tensor);
    ob_put(&sequence, 1, &element);
    ob_put(&type, 4, &sequence);
    ob_text(&value, 1, name);
    ob_put(&value, 2, &type);
    return value;
}

static struct accel_buf sequence_model(void)
{
    struct accel_buf g = {0};

    ob_add(&g, OB_NODE, ob_node("SequenceInsert", "s,x", "longer"));
    ob_add(&g, OB_NODE, ob_node("SequenceLength", "longer", "count"));
    ob_add(&g, OB_INPUT, sequence_value("s"));
    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 1, two));
    ob_add(&g, OB_OUTPUT, sequence_value("longer"));
    ob_add(&g, OB_OUTPUT, ob_value("count", ACCEL_DTYPE_INT64, 0, NULL));
    return ob_model(&g, 17);
}

static void takes_and_gives_sequences(void)
{
    struct accel_buf model = sequence_model();
    struct accel_load_options o;
    struct accel_error err = {0};
    struct accel_model *m = NULL;
    struct accel_session *s = NULL;
    float numbers[] = {1, 2, 3};
    const struct accel_tensor items[] = {{ACCEL_DTYPE_FLOAT, 1, {3}, numbers, 12},
                                         {ACCEL_DTYPE_FLOAT, 1, {1}, numbers, 4}};
    struct accel_named_value in[] = {
        {.name = "s", .kind = ACCEL_VALUE_SEQUENCE, .items = items, .count = 2},
        {.name = "x", .tensor = {ACCEL_DTYPE_FLOAT, 1, {2}, numbers, 8}}};
    int64_t count = 0;
    struct accel_named_value out[] = {
        {.name = "longer"},
        {.name = "count", .tensor = {ACCEL_DTYPE_INT64, 0, {0}, &count, sizeof(count)}}};
    const size_t size = sizeof(in[0]);

    accel_load_options_init(&o);
    ok(ob_load(&model, &o, &m, &err) == ACCEL_E_UNSUPPORTED && strstr(err.msg, "'s'") != NULL,
       "a model that takes a sequence is refused to who cannot give one: %s", err.msg);
    o.values = true;
    ok(ob_load(&model, &o, &m, &err) == ACCEL_OK &&
           accel_session_new(m, NULL, &s, &err) == ACCEL_OK,
       "and taken from who can %s", err.msg);
    accel_buf_free(&model);
    ok(accel_model_input_kind(m, 0) == ACCEL_VALUE_SEQUENCE &&
           accel_model_input_kind(m, 1) == ACCEL_VALUE_TENSOR &&
           accel_model_output_kind(m, 0) == ACCEL_VALUE_SEQUENCE &&
           accel_model_input_kind(m, 2) == ACCEL_VALUE_OTHER,
       "it says what is what");
    for (int again = 0; again < 3; again++)
        ok(accel_session_run_values(s, in, 2, out, 2, size, &err) == ACCEL_OK &&
               out[0].kind == ACCEL_VALUE_SEQUENCE && out[0].count == 3 && count == 3 &&
               out[0].items[0].data != numbers && out[0].items[0].size_bytes == 12 &&
               ((const float *)out[0].items[2].data)[1] == 2,
           "one tensor more comes out %s", err.msg);
    in[0].count = 0;
    ok(accel_session_run_values(s, in, 2, out, 2, size, &err) == ACCEL_OK && out[0].count == 1,
       "an empty one may be given %s", err.msg);
    in[0].count = 2;
    in[0].kind = ACCEL_VALUE_OPTIONAL;
    ok(accel_session_run_values(s, in, 2, out, 2, size, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, "'s' is absent") != NULL,
       "not none at all: %s", err.msg);
    in[0].kind = ACCEL_VALUE_SEQUENCE;
    struct accel_tensor wrong[] = {items[0], items[1]};
    wrong[1].dtype = ACCEL_DTYPE_INT32;
    in[0].items = wrong;
    ok(accel_session_run_values(s, in, 2, out, 2, size, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, "tensor 1") != NULL,
       "nor one of two types: %s", err.msg);
    const struct accel_named_tensor plain = {"s", items[0]};
    struct accel_named_tensor result = {.name = "longer"};
    ok(accel_session_run(s, &plain, 1, &result, 1, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, "a sequence") != NULL,
       "nor a tensor: %s", err.msg);
    ok(accel_session_run_values(s, in, 2, out, 2, size - 8, &err) == ACCEL_E_INVALID,
       "values of another version are refused: %s", err.msg);
    accel_session_free(s);
    accel_model_unref(m);
}

/* y = If (c) { op of x }; the other branch holds what no core has. */
static struct accel_buf choice(bool constant, const char *op)
{
    struct accel_buf g = {0}, then = {0}, otherwise = {0}, n = ob_node("If", "c", "y");
    const uint8_t yes = 1;

    ob_add(&then, OB_NODE, ob_node(op, "x", "t"));
    ob_add(&then, OB_OUTPUT, ob_value("t", ACCEL_DTYPE_FLOAT, 1, two));
    ob_add(&otherwise, OB_NODE, ob_node("Frobnicate", "x", "f"));
    ob_add(&otherwise, OB_OUTPUT, ob_value("f", ACCEL_DTYPE_FLOAT, 1, two));
    ob_attr_graph(&n, "then_branch", &then);
    ob_attr_graph(&n, "else_branch", &otherwise);
    ob_add(&g, OB_NODE, n);
    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 1, two));
    if (constant)
        ob_add(&g, OB_INITIALIZER, ob_tensor("c", ACCEL_DTYPE_BOOL, 0, NULL, &yes, 1));
    else
        ob_add(&g, OB_INPUT, ob_value("c", ACCEL_DTYPE_BOOL, 0, NULL));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT, 1, two));
    return ob_model(&g, 17);
}

static void inlines_the_branch_that_is_known(void)
{
    struct accel_buf open = choice(false, "Neg"), known = choice(true, "Neg");
    struct accel_load_options o;
    struct accel_error err = {0};
    struct accel_model *m = NULL;

    accel_load_options_init(&o);
    ok(ob_load(&open, &o, &m, &err) == ACCEL_E_UNSUPPORTED && strstr(err.msg, "Frobnicate") != NULL,
       "what cannot be run in a branch is refused: %s", err.msg);
    ok(ob_load(&known, &o, &m, &err) == ACCEL_OK && accel_model_analysis(m)->ops_count == 1 &&
           strcmp(accel_model_analysis(m)->ops[0].op, "Neg") == 0,
       "a branch that is never taken is not there %s", err.msg);
    accel_model_unref(m);
    o.passes_off = "inline-if";
    ok(ob_load(&known, &o, &m, &err) == ACCEL_E_UNSUPPORTED, "it is without the pass: %s", err.msg);
    accel_buf_free(&open);
    accel_buf_free(&known);
}

int main(void)
{
    inlines_the_branch_that_is_known();
    ends_what_has_no_end();
    takes_and_gives_sequences();
    frees_all_whatever_fails();
    return tap_done();
}
