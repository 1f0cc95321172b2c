/* SPDX-License-Identifier: Apache-2.0 */
/* Maps through the API and at their limits; what operators make of them is compared with ONNX
 * Runtime in tests/models/oracle_cases/maps.py. */
#include "onnx_build.h"
#include "tap.h"

static struct accel_buf ml_node(const char *op, const char *input, const char *output)
{
    struct accel_buf node = ob_node(op, input, output);

    ob_text(&node, 7, "ai.onnx.ml");
    return node;
}

static struct accel_buf ml_model(struct accel_buf *graph)
{
    struct accel_buf model = ob_model(graph, 17), import = {0};

    ob_text(&import, 1, "ai.onnx.ml");
    ob_int(&import, 2, 1);
    ob_put(&model, 8, &import);
    return model;
}

/* TypeProto of a map from one type to another (field 5), in a sequence (field 4) if so. */
static struct accel_buf map_type(int64_t keys, enum accel_dtype values, bool sequence)
{
    struct accel_buf type = {0}, map = {0}, of = {0}, tensor = {0}, outer = {0}, element = {0};

    ob_int(&tensor, 1, values);
    ob_put(&of, 1, &tensor);
    ob_int(&map, 1, keys);
    ob_put(&map, 2, &of);
    ob_put(&type, 5, &map);
    if (!sequence)
        return type;
    ob_put(&element, 1, &type);
    ob_put(&outer, 4, &element);
    return outer;
}

static struct accel_buf map_value(const char *name, int64_t keys, enum accel_dtype values,
                                  bool sequence)
{
    struct accel_buf value = {0}, type = map_type(keys, values, sequence);

    ob_text(&value, 1, name);
    ob_put(&value, 2, &type);
    return value;
}

/* One node, from one input to one output. */
static struct accel_buf model_of(struct accel_buf node, struct accel_buf input,
                                 struct accel_buf output)
{
    struct accel_buf g = {0};

    ob_add(&g, OB_NODE, node);
    ob_add(&g, OB_INPUT, input);
    ob_add(&g, OB_OUTPUT, output);
    return ml_model(&g);
}

static struct accel_buf cast_model(int64_t keys)
{
    return model_of(ml_node("CastMap", "x", "y"), map_value("x", keys, ACCEL_DTYPE_FLOAT, false),
                    ob_value("y", ACCEL_DTYPE_FLOAT, 2, (const int64_t[]){1, -1}));
}

static struct accel_buf zip_model(void)
{
    struct accel_buf zip = ml_node("ZipMap", "s", "y"), g = {0};

    ob_attr_ints(&zip, "classlabels_int64s", 3, (const int64_t[]){7, -1, 3});
    ob_add(&g, OB_NODE, ob_node("Neg", "x", "s"));
    ob_add(&g, OB_NODE, zip);
    ob_add(&g, OB_NODE, ob_node("Exp", "s", "e"));
    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 2, (const int64_t[]){-1, 3}));
    ob_add(&g, OB_OUTPUT, map_value("y", ACCEL_DTYPE_INT64, ACCEL_DTYPE_FLOAT, true));
    ob_add(&g, OB_OUTPUT, ob_value("e", ACCEL_DTYPE_FLOAT, 2, (const int64_t[]){-1, 3}));
    return ml_model(&g);
}

static int open_model(struct accel_buf *bytes, const struct accel_limits *limits,
                      struct accel_model **m, struct accel_session **s, struct accel_error *err)
{
    const struct accel_session_options so = {.struct_size = sizeof(so), .threads = 1};
    struct accel_load_options o;

    accel_load_options_init(&o);
    o.values = true;
    if (limits != NULL)
        o.limits = *limits;
    const int rc = ob_load(bytes, &o, m, err);
    return rc == ACCEL_OK ? accel_session_new(*m, &so, s, err) : rc;
}

static int run_one(struct accel_session *s, const struct accel_named_value *in,
                   struct accel_named_value *out, struct accel_error *err)
{
    return accel_session_run_values(s, in, 1, out, 1, sizeof(*in), err);
}

static void takes_maps(void)
{
    struct accel_buf model = cast_model(ACCEL_DTYPE_INT64);
    struct accel_error err = {0};
    struct accel_model *m = NULL;
    struct accel_session *s = NULL;
    int64_t keys[] = {5, -2, 9};
    float values[] = {1, 2, 3};
    struct accel_tensor pair[] = {{ACCEL_DTYPE_INT64, 1, {3}, keys, sizeof(keys)},
                                  {ACCEL_DTYPE_FLOAT, 1, {3}, values, sizeof(values)}};
    struct accel_named_value in = {"x", ACCEL_VALUE_MAP, {0}, pair, 2}, out = {.name = "y"};

    ok(ob_load(&model, NULL, &m, &err) == ACCEL_E_UNSUPPORTED &&
           strstr(err.msg, "'x' is no tensor but a map") != NULL,
       "a model that takes a map is refused to who cannot give one: %s", err.msg);
    ok(open_model(&model, NULL, &m, &s, &err) == ACCEL_OK, "and taken from who can %s", err.msg);
    accel_buf_free(&model);
    ok(accel_model_input_kind(m, 0) == ACCEL_VALUE_MAP &&
           accel_model_input_keys(m, 0) == ACCEL_DTYPE_INT64 &&
           accel_model_input(m, 0)->dtype == ACCEL_DTYPE_FLOAT &&
           accel_model_output_kind(m, 0) == ACCEL_VALUE_TENSOR &&
           accel_model_output_keys(m, 0) == ACCEL_DTYPE_UNDEFINED &&
           accel_model_input_keys(m, 1) == ACCEL_DTYPE_UNDEFINED,
       "it says what is what");
    for (int again = 0; again < 3; again++)
        ok(run_one(s, &in, &out, &err) == ACCEL_OK && out.tensor.rank == 2 &&
               out.tensor.dims[1] == 3 && ((const float *)out.tensor.data)[0] == 2 &&
               ((const float *)out.tensor.data)[2] == 3 && keys[0] == 5,
           "its values come out in the order of its keys %s", err.msg);
    keys[2] = 5;
    ok(run_one(s, &in, &out, &err) == ACCEL_E_INVALID && strstr(err.msg, "key 5") != NULL,
       "no key may be there twice: %s", err.msg);
    keys[2] = 9;
    pair[1].dims[0] = 2;
    pair[1].size_bytes = 8;
    ok(run_one(s, &in, &out, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, "3 keys and 2 values") != NULL,
       "nor one without a value: %s", err.msg);
    pair[1] = pair[0];
    ok(run_one(s, &in, &out, &err) == ACCEL_E_INVALID && strstr(err.msg, "values of map 0") != NULL,
       "nor a value of another type: %s", err.msg);
    in.count = 1;
    ok(run_one(s, &in, &out, &err) == ACCEL_E_INVALID && strstr(err.msg, "'x'") != NULL,
       "nor keys alone: %s", err.msg);
    in.count = 4;
    ok(run_one(s, &in, &out, &err) == ACCEL_E_INVALID, "nor two maps: %s", err.msg);
    in.kind = ACCEL_VALUE_SEQUENCE | ACCEL_VALUE_MAP;
    ok(run_one(s, &in, &out, &err) == ACCEL_E_INVALID && strstr(err.msg, "takes a map") != NULL,
       "nor a sequence of maps: %s", err.msg);
    in = (struct accel_named_value){.name = "x", .tensor = pair[0]};
    ok(run_one(s, &in, &out, &err) == ACCEL_E_INVALID && strstr(err.msg, "takes a map") != NULL,
       "nor a tensor: %s", err.msg);
    pair[0] = (struct accel_tensor){.dtype = ACCEL_DTYPE_INT64, .rank = 1};
    pair[1] = (struct accel_tensor){.dtype = ACCEL_DTYPE_DOUBLE, .rank = 1};
    in = (struct accel_named_value){"x", ACCEL_VALUE_MAP, {0}, pair, 2};
    ok(run_one(s, &in, &out, &err) == ACCEL_OK && out.tensor.dims[1] == 0,
       "an empty map's values are of any type %s", err.msg);
    accel_session_free(s);
    accel_model_unref(m);
}

/* Scores that are their column's number, negative. */
static struct accel_named_value rows_of(float x[6])
{
    for (int i = 0; i < 6; i++)
        x[i] = (float)i;
    return (struct accel_named_value){.name = "x", .tensor = {ACCEL_DTYPE_FLOAT, 2, {2, 3}, x, 24}};
}

static void gives_maps(void)
{
    struct accel_buf bytes = zip_model();
    struct accel_error err = {0};
    struct accel_model *m = NULL;
    struct accel_session *s = NULL;
    float x[6];
    const struct accel_named_value in = rows_of(x);
    struct accel_named_value out[] = {{.name = "y"}, {.name = "s"}, {.name = "e"}};

    ok(open_model(&bytes, NULL, &m, &s, &err) == ACCEL_OK &&
           accel_model_output_kind(m, 0) == (ACCEL_VALUE_SEQUENCE | ACCEL_VALUE_MAP) &&
           accel_model_output_keys(m, 0) == ACCEL_DTYPE_INT64,
       "a ZipMap makes a sequence of maps %s", err.msg);
    ok(accel_session_run_values(s, &in, 1, out, 3, sizeof(in), &err) == ACCEL_OK &&
           out[0].kind == (ACCEL_VALUE_SEQUENCE | ACCEL_VALUE_MAP) && out[0].count == 4 &&
           out[0].items[2].dtype == ACCEL_DTYPE_INT64 &&
           ((const int64_t *)out[0].items[2].data)[0] == -1 &&
           ((const float *)out[0].items[3].data)[0] == -4 &&
           ((const float *)out[0].items[3].data)[2] == -3,
       "one for each row, their keys ascending %s", err.msg);
    ok(out[1].kind == ACCEL_VALUE_TENSOR && out[1].tensor.rank == 2 && out[1].tensor.dims[0] == 2 &&
           ((const float *)out[1].tensor.data)[5] == -5,
       "what they were made of goes by its own name, whatever is computed later");
    accel_session_free(s);
    accel_model_unref(m);

    struct accel_named_tensor plain_in = {"x", in.tensor};
    struct accel_named_tensor plain[] = {{.name = "y"}, {.name = "s"}};
    ok(ob_load(&bytes, NULL, &m, &err) == ACCEL_OK &&
           accel_session_new(m, NULL, &s, &err) == ACCEL_OK &&
           accel_model_output_kind(m, 0) == ACCEL_VALUE_TENSOR &&
           accel_session_run(s, &plain_in, 1, plain, 2, &err) == ACCEL_OK &&
           plain[0].tensor.rank == 2 && ((const float *)plain[0].tensor.data)[5] == -5 &&
           ((const float *)plain[1].tensor.data)[5] == -5,
       "who takes tensors only is given the rows, by either name %s", err.msg);
    accel_session_free(s);
    accel_model_unref(m);
    accel_buf_free(&bytes);
}

static void holds_maps_against_the_limit(void)
{
    const struct accel_limits limits = {.arena_bytes = 1u << 14};
    struct accel_buf bytes = zip_model();
    struct accel_error err = {0};
    struct accel_model *m = NULL;
    struct accel_session *s = NULL;
    float x[3 * 64] = {0};
    struct accel_named_value in = {.name = "x",
                                   .tensor = {ACCEL_DTYPE_FLOAT, 2, {64, 3}, x, sizeof(x)}};
    struct accel_named_value out = {.name = "y"};

    ok(open_model(&bytes, &limits, &m, &s, &err) == ACCEL_OK, "a model of few bytes %s", err.msg);
    for (int again = 0; again < 3; again++)
        ok(run_one(s, &in, &out, &err) == ACCEL_OK && out.count == 128, "64 maps fit %s", err.msg);
    accel_session_free(s);
    accel_model_unref(m);
    m = NULL;
    s = NULL;
    ok(open_model(&bytes, &(struct accel_limits){.arena_bytes = 1u << 13}, &m, &s, &err) ==
               ACCEL_OK &&
           run_one(s, &in, &out, &err) == ACCEL_E_LIMIT,
       "not into half as much: %s", err.msg);
    accel_session_free(s);
    accel_model_unref(m);
    accel_buf_free(&bytes);
}

static void refused(struct accel_buf model, int code, const char *part, const char *what)
{
    struct accel_error err = {0};
    struct accel_model *m = NULL;
    struct accel_session *s = NULL;

    ok(open_model(&model, NULL, &m, &s, &err) == code && strstr(err.msg, part) != NULL, "%s: %s",
       what, err.msg);
    accel_session_free(s);
    accel_model_unref(m);
    accel_buf_free(&model);
}

static void refuses_what_it_lacks(void)
{
    struct accel_buf vectorizer = ml_node("DictVectorizer", "x", "y");
    struct accel_buf large = ml_node("CastMap", "x", "y");
    struct accel_buf x = map_value("x", ACCEL_DTYPE_INT64, ACCEL_DTYPE_FLOAT, false);
    struct accel_buf maps = map_value("x", ACCEL_DTYPE_INT64, ACCEL_DTYPE_FLOAT, true);
    struct accel_buf y = ob_value("y", ACCEL_DTYPE_FLOAT, 0, NULL);
    const int64_t two[] = {2};

    refused(cast_model(ACCEL_DTYPE_INT32), ACCEL_E_UNSUPPORTED, "'x'", "keys of int32");
    refused(cast_model(ACCEL_DTYPE_STRING), ACCEL_E_UNSUPPORTED, "keys are string",
            "keys that a CastMap has no columns for");
    refused(cast_model(1000), ACCEL_E_UNSUPPORTED, "'x'", "keys of no type");
    refused(model_of(ob_node("SequenceLength", "x", "y"), maps,
                     ob_value("y", ACCEL_DTYPE_INT64, 0, NULL)),
            ACCEL_E_UNSUPPORTED, "a sequence of maps", "an operator for sequences of tensors");
    ob_attr_text(&vectorizer, "string_vocabulary", "word");
    refused(model_of(vectorizer, x, y), ACCEL_E_INVALID, "string_vocabulary",
            "a vocabulary that is one text");
    ob_attr_text(&large, "map_form", "SPARSE");
    ob_attr_int(&large, "max_map", INT64_MAX);
    refused(model_of(large, map_value("x", ACCEL_DTYPE_INT64, ACCEL_DTYPE_FLOAT, false),
                     ob_value("y", ACCEL_DTYPE_FLOAT, 0, NULL)),
            ACCEL_E_INVALID, "overflows", "more columns than there is memory");
    refused(model_of(ml_node("CastMap", "x", "y"), ob_value("x", ACCEL_DTYPE_FLOAT, 1, two),
                     ob_value("y", ACCEL_DTYPE_FLOAT, 0, NULL)),
            ACCEL_E_INVALID, "a tensor: a map is needed", "a tensor where a map is needed");
}

static void frees_all_whatever_fails(void)
{
    struct accel_buf models[] = {zip_model(), cast_model(ACCEL_DTYPE_INT64)};
    int64_t keys[] = {2, 1};
    float x[6], values[] = {1, 2};
    const struct accel_tensor pair[] = {{ACCEL_DTYPE_INT64, 1, {2}, keys, sizeof(keys)},
                                        {ACCEL_DTYPE_FLOAT, 1, {2}, values, sizeof(values)}};
    const struct accel_named_value in[] = {rows_of(x), {"x", ACCEL_VALUE_MAP, {0}, pair, 2}};
    long wrong = 0, failed = 0;

    for (size_t i = 0; i < 2; i++) {
        bool reached = true;

        for (long nth = 0; reached; nth++) {
            struct accel_error err = {0};
            struct accel_model *m = NULL;
            struct accel_session *s = NULL;
            struct accel_named_value out = {.name = "y"};

            accel_fault_arm(nth);
            int rc = open_model(&models[i], NULL, &m, &s, &err);
            if (rc == ACCEL_OK)
                rc = run_one(s, &in[i], &out, &err);
            reached = accel_fault_disarm();
            failed += reached;
            wrong += reached ? rc != ACCEL_E_NOMEM && rc != ACCEL_OK : rc != ACCEL_OK;
            accel_session_free(s);
            accel_model_unref(m);
        }
        accel_buf_free(&models[i]);
    }
    ok(wrong == 0, "%ld allocations failed one by one, all were reported", failed);
}

int main(void)
{
    takes_maps();
    gives_maps();
    holds_maps_against_the_limit();
    refuses_what_it_lacks();
    frees_all_whatever_fails();
    return tap_done();
}
