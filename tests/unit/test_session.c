/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_text.h"
#include "tap.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

static float picture[3 * 64];

static struct accel_named_tensor input(int64_t batch)
{
    struct accel_named_tensor in = {.name = "x",
                                    .tensor = {.dtype = ACCEL_DTYPE_FLOAT,
                                               .rank = 4,
                                               .dims = {batch, 1, 8, 8},
                                               .data = picture,
                                               .size_bytes = (size_t)batch * 256}};

    for (size_t i = 0; i < 3 * 64; i++)
        picture[i] = sinf((float)i);
    return in;
}

static struct accel_model *load(bool free_batch, const char *off)
{
    struct accel_buf buf = ob_small_network(free_batch);
    struct accel_load_options o;
    struct accel_model *m = NULL;
    struct accel_error err = {0};

    accel_load_options_init(&o);
    o.passes_off = off;
    if (ob_load(&buf, &o, &m, &err) != ACCEL_OK)
        printf("# %s\n", err.msg);
    accel_buf_free(&buf);
    return m;
}

/* y for a batch, into out[batch * 5]. */
static int run(struct accel_model *m, int64_t batch, float *out, struct accel_error *err)
{
    struct accel_named_tensor in = input(batch), y = {.name = "y"};
    struct accel_session *s = NULL;
    int rc = accel_session_new(m, NULL, &s, err);

    if (rc == ACCEL_OK)
        rc = accel_session_run(s, &in, 1, &y, 1, err);
    if (rc == ACCEL_OK)
        memcpy(out, y.tensor.data, y.tensor.size_bytes);
    accel_session_free(s);
    return rc;
}

static bool near(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-5f + 1e-4f * fabsf(b[i])))
            return false;
    return true;
}

/* The passes change what is computed how, never the result. */
static void passes_keep_the_result(void)
{
    const char *name;
    struct accel_model *plain = load(true, "all"), *full = load(true, NULL);
    struct accel_error err = {0};
    float want[15] = {0}, got[15];

    ok(plain != NULL && full != NULL && run(plain, 3, want, &err) == ACCEL_OK &&
           run(full, 3, got, &err) == ACCEL_OK && near(got, want, 15),
       "all passes on and all off give the same: %s", err.msg);
    ok(want[0] != want[5] && want[0] != 0, "and not merely zeros");
    ok(accel_model_analysis(full)->ops_count < accel_model_analysis(plain)->ops_count,
       "with fewer operators: %zu, not %zu", accel_model_analysis(full)->ops_count,
       accel_model_analysis(plain)->ops_count);
    for (size_t i = 0; (name = accel_pass_name(i, NULL)) != NULL; i++) {
        struct accel_model *m = load(true, name);

        ok(m != NULL && run(m, 3, got, &err) == ACCEL_OK && near(got, want, 15), "without %s too",
           name);
        accel_model_unref(m);
    }
    accel_model_unref(plain);
    accel_model_unref(full);
}

static void fuses_what_it_should(void)
{
    struct accel_model *m = load(false, NULL);
    const struct accel_analysis *a = accel_model_analysis(m);
    const char *want[] = {"Conv", "Conv", "MaxPool", "Reshape", "Gemm"};
    const char *fused[] = {"BatchNormalization+Relu", "Add", "", "", "Add"};

    ok(a->ops_count == 5, "thirteen nodes become five operators (%zu)", a->ops_count);
    for (size_t i = 0; i < 5 && i < a->ops_count; i++)
        ok(strcmp(a->ops[i].op, want[i]) == 0 && strcmp(a->ops[i].fused, fused[i]) == 0,
           "%s with '%s' folded in", a->ops[i].op, a->ops[i].fused);
    ok(a->nodes_in_file == 13 && a->parameters == 36 + 16 + 16 + 320 + 5 + 3,
       "nodes and parameters are counted: %zu, %zu", a->nodes_in_file, a->parameters);
    ok(a->ops_count > 0 && a->ops[0].flops >= 2.0 * 36 * 64, "a convolution has its flops");
    accel_model_unref(m);
}

static void plans_for_each_shape(void)
{
    struct accel_model *m = load(true, NULL);
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    struct accel_named_tensor y = {.name = "y"};
    size_t arena = 0;

    ok(accel_session_new(m, NULL, &s, &err) == ACCEL_OK &&
           accel_session_arena_bytes(s) == accel_model_analysis(m)->arena_bytes,
       "a session begins with the declared shapes' arena");
    for (int64_t batch = 1; batch <= 3; batch++) {
        struct accel_named_tensor in = input(batch);

        y.tensor.data = NULL;
        ok(accel_session_run(s, &in, 1, &y, 1, &err) == ACCEL_OK && y.tensor.dims[0] == batch &&
               y.tensor.dims[1] == 5,
           "runs a batch of %d", (int)batch);
        ok(accel_session_arena_bytes(s) > arena, "which takes more memory");
        arena = accel_session_arena_bytes(s);
    }
    float one[5], again[5];
    struct accel_named_tensor in = input(1);
    run(m, 1, one, &err);
    y = (struct accel_named_tensor){.name = "y", .tensor = {.data = again, .size_bytes = 20}};
    ok(accel_session_run(s, &in, 1, &y, 1, &err) == ACCEL_OK && near(one, again, 5),
       "a shape seen before gives the same, into the caller's buffer");
    accel_session_free(s);
    accel_model_unref(m);
}

static void says_what_is_wrong_with_inputs(void)
{
    struct accel_model *m = load(true, NULL);
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    struct accel_named_tensor good = input(1), bad[2], y = {.name = "y"};
    float small[2];

    ok(accel_session_new(m, NULL, &s, &err) == ACCEL_OK, "a session");
#define REFUSED(n, text)                                               \
    ok(accel_session_run(s, bad, n, &y, 1, &err) == ACCEL_E_INVALID && \
           strstr(err.msg, text) != NULL,                              \
       "refused: %s", err.msg)
    REFUSED(0, "'x' is missing: float of shape ?x1x8x8");
    bad[0] = good;
    bad[0].name = "z";
    REFUSED(1, "no input 'z'");
    bad[0] = bad[1] = good;
    REFUSED(2, "twice");
    bad[0] = good;
    bad[0].tensor.dtype = ACCEL_DTYPE_DOUBLE;
    REFUSED(1, "takes float");
    bad[0] = good;
    bad[0].tensor.rank = 3;
    REFUSED(1, "takes ?x1x8x8");
    bad[0] = good;
    bad[0].tensor.dims[2] = 9;
    REFUSED(1, "1x1x9x8");
    bad[0] = good;
    bad[0].tensor.size_bytes = 255;
    REFUSED(1, "256 bytes");
    bad[0] = good;
    bad[0].tensor.dims[0] = -1;
    REFUSED(1, "size");
    bad[0] = good;
    bad[0].tensor.data = NULL;
    REFUSED(1, "no data");
    bad[0] = good;
    y.name = "q";
    REFUSED(1, "no output 'q'");
    y = (struct accel_named_tensor){.name = "y",
                                    .tensor = {.data = small, .size_bytes = sizeof(small)}};
    REFUSED(1, "needs 20 bytes");
#undef REFUSED
    accel_session_free(s);
    accel_model_unref(m);
}

static void keeps_to_limits(void)
{
    struct accel_buf buf = ob_small_network(true);
    struct accel_load_options o;
    struct accel_model *m = NULL;
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    struct accel_named_tensor in = input(3), y = {.name = "y"};

    accel_load_options_init(&o);
    o.limits.arena_bytes = 4000;
    ok(ob_load(&buf, &o, &m, &err) == ACCEL_OK, "a batch of one fits into 4000 bytes: %s", err.msg);
    ok(accel_session_new(m, NULL, &s, &err) == ACCEL_OK &&
           accel_session_run(s, &in, 1, &y, 1, &err) == ACCEL_E_LIMIT,
       "a batch of three does not: %s", err.msg);
    accel_session_free(s);
    accel_model_unref(m);
    o.limits.arena_bytes = 100;
    ok(ob_load(&buf, &o, &m, &err) == ACCEL_E_LIMIT, "nothing fits into 100: %s", err.msg);
    accel_buf_free(&buf);
}

/* Every allocation of load, session and run fails in turn. */
static void survives_every_failed_allocation(void)
{
    struct accel_buf buf = ob_small_network(true);
    const struct accel_session_options so = {.struct_size = sizeof(so), .threads = 1};
    struct accel_model *whole = load(true, NULL);
    struct accel_error ignored;
    long nth = 0, wrong = 0;
    float want[10] = {0};

    ok(run(whole, 2, want, &ignored) == ACCEL_OK, "a batch of two");
    accel_model_unref(whole);
    for (;; nth++) {
        struct accel_named_tensor in = input(2), y = {.name = "y"};
        struct accel_model *m = NULL;
        struct accel_session *s = NULL;
        struct accel_error err = {0};

        accel_fault_arm(nth);
        int rc = ob_load(&buf, NULL, &m, &err);
        if (rc == ACCEL_OK)
            rc = accel_session_new(m, &so, &s, &err);
        if (rc == ACCEL_OK)
            rc = accel_session_run(s, &in, 1, &y, 1, &err);
        const bool reached = accel_fault_disarm();
        const bool right = rc == ACCEL_OK && near(y.tensor.data, want, 10);
        accel_session_free(s);
        accel_model_unref(m);
        if (!reached) {
            ok(rc == ACCEL_OK, "loads and runs when no allocation fails");
            break;
        }
        /* Counting CPUs does without the memory for a large mask: then all is as it should be. */
        wrong += rc != ACCEL_E_NOMEM && !(rc == ACCEL_OK && right);
    }
    ok(wrong == 0 && nth > 100, "each of %ld failed allocations is reported or does not matter",
       nth);
    accel_buf_free(&buf);
}

static void allocates_nothing_in_a_run(void)
{
    struct accel_model *m = load(false, NULL);
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    struct accel_named_tensor in = input(1), y = {.name = "y"};
    int rc = accel_session_new(m, NULL, &s, &err);

    if (rc == ACCEL_OK)
        rc = accel_session_run(s, &in, 1, &y, 1, &err);
    accel_fault_arm(0);
    y.tensor.data = NULL;
    if (rc == ACCEL_OK)
        rc = accel_session_run(s, &in, 1, &y, 1, &err);
    ok(!accel_fault_disarm() && rc == ACCEL_OK, "the second run asks for no memory");
    accel_session_free(s);
    accel_model_unref(m);
}

static struct accel_model *load_text(const char *text)
{
    struct accel_buf buf = gt_model(text, 17);
    struct accel_model *m = NULL;
    struct accel_error err = {0};

    if (ob_load(&buf, NULL, &m, &err) != ACCEL_OK)
        printf("# %s\n", err.msg);
    accel_buf_free(&buf);
    return m;
}

/* What is lent is the session's, also where the model hands its input on as it is. */
static void lends_memory_of_its_own(void)
{
    static const char *const outputs[] = {"y", "z", "x"};
    struct accel_model *m = load_text("in x float N\nout y float N\nout z float N\nout x float N\n"
                                      "const s int64 1 = -1\n"
                                      "Identity x -> y\n"
                                      "Reshape x,s -> z\n");
    struct accel_session *s = NULL;
    struct accel_error err = {0};

    ok(m != NULL && accel_session_new(m, NULL, &s, &err) == ACCEL_OK, "a session");
    for (size_t i = 0; i < ACCEL_COUNT(outputs); i++) {
        float *data = malloc(3 * sizeof(*data));
        const struct accel_named_tensor in = {"x",
                                              {ACCEL_DTYPE_FLOAT, 1, {3}, data, 3 * sizeof(*data)}};
        struct accel_named_tensor out = {.name = outputs[i]};

        data[0] = data[1] = 1, data[2] = (float)i;
        const int rc = accel_session_run(s, &in, 1, &out, 1, &err);
        const bool mine = out.tensor.data == data;
        free(data);
        ok(rc == ACCEL_OK && !mine && ((float *)out.tensor.data)[2] == (float)i,
           "the result '%s' outlives the input that it is: %s", outputs[i], err.msg);
    }
    accel_session_free(s);
    accel_model_unref(m);
}

/* Initialisers that are listed as inputs are the model's own. */
static void keeps_its_defaults(void)
{
    static const int64_t two[] = {2};
    static const float numbers[] = {3, 4};
    struct accel_buf g = {0}, buf;
    struct accel_model *m = NULL;
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    float data[2] = {1, 1}, sum[2];

    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 1, two));
    ob_add(&g, OB_INPUT, ob_value("w", ACCEL_DTYPE_FLOAT, 1, two));
    ob_add(&g, OB_INITIALIZER, ob_tensor("w", ACCEL_DTYPE_FLOAT, 1, two, numbers, 8));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT, 1, two));
    ob_add(&g, OB_NODE, ob_node("Add", "x,w", "y"));
    buf = ob_model(&g, 13);
    const struct accel_tensor t = {ACCEL_DTYPE_FLOAT, 1, {2}, data, sizeof(data)};
    const struct accel_named_tensor in[] = {{"x", t}, {"w", t}};
    struct accel_named_tensor y = {.name = "y", .tensor = {.data = sum, .size_bytes = sizeof(sum)}};

    ok(ob_load(&buf, NULL, &m, &err) == ACCEL_OK && accel_model_input_count(m) == 1 &&
           accel_session_new(m, NULL, &s, &err) == ACCEL_OK,
       "an input with a default is none of those to give: %s", err.msg);
    ok(accel_session_run(s, in, 1, &y, 1, &err) == ACCEL_OK && sum[0] == 4 && sum[1] == 5,
       "the default is what is taken: %s", err.msg);
    ok(accel_session_run(s, in, 2, &y, 1, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, "'w' has its value in the model") != NULL,
       "and said of one that is given: %s", err.msg);
    accel_session_free(s);
    accel_model_unref(m);
    accel_buf_free(&buf);
}

/* With few elements Range and Cast follow from shapes and are no steps, with many they are. */
static void profiles_in_the_order_of_the_analysis(void)
{
    static float data[4000];
    const struct accel_session_options o = {
        .struct_size = sizeof(o), .threads = 1, .profile = true};
    struct accel_model *m = load_text("in x float N\nout y float N\n"
                                      "const zero int64 - = 0\nconst one int64 - = 1\n"
                                      "Relu x -> early\n"
                                      "Size early -> n\n"
                                      "Range zero,n,one -> r\n"
                                      "Cast r -> f to=1\n"
                                      "Add early,f -> sum\n"
                                      "Erf sum -> y\n");
    const struct accel_analysis *a = m != NULL ? accel_model_analysis(m) : NULL;
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    const int64_t *ns = NULL;

    ok(a != NULL && accel_session_new(m, &o, &s, &err) == ACCEL_OK, "a session with a profile");
    for (int64_t n = 1; n <= 4000; n += 3999) {
        const struct accel_named_tensor in = {
            "x", {ACCEL_DTYPE_FLOAT, 1, {n}, data, (size_t)n * sizeof(*data)}};
        struct accel_named_tensor y = {.name = "y"};
        const bool ran = accel_session_run(s, &in, 1, &y, 1, &err) == ACCEL_OK;

        ok(ran && accel_session_profile(s, &ns) == a->ops_count &&
               (n == 1 || ns[a->ops_count - 1] > 0),
           "%d elements: a time for each of the %zu operators of the analysis", (int)n,
           a->ops_count);
    }
    accel_session_free(s);
    accel_model_unref(m);
}

/* The shape is an input: nothing behind Reshape can be planned, all of it must run. */
static void runs_what_cannot_be_planned(void)
{
    static const int64_t free_one[] = {-1}, two[] = {2}, free_two[] = {-1, -1};
    struct accel_buf g = {0}, buf;
    struct accel_model *m = NULL;
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    float x[12];

    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 1, free_one));
    ob_add(&g, OB_INPUT, ob_value("shape", ACCEL_DTYPE_INT64, 1, two));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT, 2, free_two));
    ob_add(&g, OB_NODE, ob_node("Neg", "x", "n"));
    ob_add(&g, OB_NODE, ob_node("Reshape", "n,shape", "r"));
    ob_add(&g, OB_NODE, ob_node("Transpose", "r", "t"));
    ob_add(&g, OB_NODE, ob_node("MatMul", "t,r", "y"));
    buf = ob_model(&g, 13);
    ok(ob_load(&buf, NULL, &m, &err) == ACCEL_OK &&
           accel_session_new(m, NULL, &s, &err) == ACCEL_OK,
       "a model whose shapes are data loads: %s", err.msg);
    for (size_t i = 0; i < 12; i++)
        x[i] = (float)i;
    for (int64_t columns = 1; columns <= 4; columns++) {
        int64_t shape[2] = {-1, columns};
        const struct accel_named_tensor in[2] = {
            {"x", {ACCEL_DTYPE_FLOAT, 1, {12}, x, sizeof(x)}},
            {"shape", {ACCEL_DTYPE_INT64, 1, {2}, shape, sizeof(shape)}}};
        struct accel_named_tensor y = {.name = "y"};
        float want = 0; /* the last element: the last column with itself */

        for (size_t i = (size_t)columns - 1; i < 12; i += (size_t)columns)
            want += x[i] * x[i];
        ok(accel_session_run(s, in, 2, &y, 1, &err) == ACCEL_OK && y.tensor.dims[0] == columns &&
               y.tensor.dims[1] == columns &&
               ((float *)y.tensor.data)[columns * columns - 1] == want,
           "into %d columns: %s", (int)columns, err.msg);
    }
    int64_t wrong[2] = {5, 5};
    const struct accel_named_tensor in[2] = {{"x", {ACCEL_DTYPE_FLOAT, 1, {12}, x, sizeof(x)}},
                                             {"shape",
                                              {ACCEL_DTYPE_INT64, 1, {2}, wrong, sizeof(wrong)}}};
    struct accel_named_tensor y = {.name = "y"};
    ok(accel_session_run(s, in, 2, &y, 1, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, "the_Reshape") != NULL,
       "a shape that does not fit names the node: %s", err.msg);
    accel_session_free(s);
    accel_model_unref(m);
    accel_buf_free(&buf);
}

/* Eight products of 512 x 512: far more than a millisecond on anything. */
static struct accel_model *slow_model(int64_t run_ms)
{
    static const int64_t dims[] = {512, 512};
    static const char *const names[] = {"x", "a", "b", "c", "d", "e", "f", "g", "y"};
    struct accel_buf g = {0}, buf;
    struct accel_load_options o;
    struct accel_model *m = NULL;
    struct accel_error err = {0};

    ob_add(&g, OB_INPUT, ob_value("x", ACCEL_DTYPE_FLOAT, 2, dims));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_FLOAT, 2, dims));
    for (size_t i = 0; i < 8; i++) {
        char inputs[8];

        snprintf(inputs, sizeof(inputs), "%s,x", names[i]);
        ob_add(&g, OB_NODE, ob_node("MatMul", inputs, names[i + 1]));
    }
    buf = ob_model(&g, 13);
    accel_load_options_init(&o);
    o.limits.run_ms = run_ms;
    o.cpu_mask = 0;
    if (ob_load(&buf, &o, &m, &err) != ACCEL_OK)
        printf("# %s\n", err.msg);
    accel_buf_free(&buf);
    return m;
}

static float matrix[512 * 512];

static int run_slow(struct accel_session *s, struct accel_error *err)
{
    const struct accel_named_tensor in = {
        "x", {ACCEL_DTYPE_FLOAT, 2, {512, 512}, matrix, sizeof(matrix)}};
    struct accel_named_tensor y = {.name = "y"};

    return accel_session_run(s, &in, 1, &y, 1, err);
}

static void *cancel_until_told(void *context)
{
    struct accel_session *s = ((void **)context)[0];
    const atomic_bool *done = ((void **)context)[1];

    while (!atomic_load(done))
        accel_session_cancel(s);
    return NULL;
}

static void ends_early(void)
{
    struct accel_model *m = slow_model(1);
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    atomic_bool done = false;
    void *context[2];
    pthread_t thread;

    ok(m != NULL && accel_session_new(m, NULL, &s, &err) == ACCEL_OK &&
           run_slow(s, &err) == ACCEL_E_TIMEOUT,
       "a run past its deadline ends: %s", err.msg);
    accel_session_free(s);
    accel_model_unref(m);
    m = slow_model(0);
    ok(m != NULL && accel_session_new(m, NULL, &s, &err) == ACCEL_OK, "a session without one");
    context[0] = s;
    context[1] = &done;
    ok(pthread_create(&thread, NULL, cancel_until_told, context) == 0, "a thread that cancels");
    ok(run_slow(s, &err) == ACCEL_E_CANCELLED, "a run ends when it is cancelled: %s", err.msg);
    atomic_store(&done, true);
    pthread_join(thread, NULL);
    ok(run_slow(s, &err) == ACCEL_OK, "the next run is not");
    accel_session_free(s);
    accel_model_unref(m);
}

static void *run_many(void *context)
{
    static const struct accel_session_options so = {.struct_size = sizeof(so), .threads = 2};
    struct accel_model *m = context;
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    float first[10];
    bool right = accel_session_new(m, &so, &s, &err) == ACCEL_OK;

    for (int i = 0; right && i < 20; i++) {
        const struct accel_named_tensor in = {"x",
                                              {ACCEL_DTYPE_FLOAT, 4, {2, 1, 8, 8}, picture, 512}};
        struct accel_named_tensor y = {.name = "y"};

        right = accel_session_run(s, &in, 1, &y, 1, &err) == ACCEL_OK;
        if (right && i == 0)
            memcpy(first, y.tensor.data, sizeof(first));
        right = right && memcmp(first, y.tensor.data, sizeof(first)) == 0;
    }
    accel_session_free(s);
    return right ? m : NULL;
}

static void sessions_share_a_model(void)
{
    struct accel_model *m = load(true, NULL);
    pthread_t threads[3];
    size_t right = 0;

    input(2);
    for (size_t i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, run_many, m);
    for (size_t i = 0; i < 3; i++) {
        void *result;

        pthread_join(threads[i], &result);
        right += result == m;
    }
    ok(right == 3, "three sessions run one model at the same time");
    accel_model_unref(m);
}

int main(void)
{
    runs_what_cannot_be_planned();
    ends_early();
    sessions_share_a_model();
    passes_keep_the_result();
    fuses_what_it_should();
    plans_for_each_shape();
    says_what_is_wrong_with_inputs();
    keeps_to_limits();
    survives_every_failed_allocation();
    allocates_nothing_in_a_run();
    lends_memory_of_its_own();
    keeps_its_defaults();
    profiles_in_the_order_of_the_analysis();
    return tap_done();
}
