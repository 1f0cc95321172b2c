/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a run is what its plan said before: over every model of tests/fixtures (with
 * ACCELD_TEST_DATA: of that, too), for several sizes of the free dimensions. */
#include "base/mem.h"
#include "pass_test.h"

#include <dirent.h>
#include <malloc.h>

static struct accel_model *load_text(const char *text)
{
    const struct pass_case c = {.what = "plan", .opset = 13, .text = text};

    return pt_load(&c, false);
}

/* Bytes that operator i of the analysis writes, -1: there is no such operator. */
static double traffic(const struct accel_model *m, const char *op)
{
    const struct accel_analysis *a = accel_model_analysis(m);

    for (size_t i = 0; i < a->ops_count; i++)
        if (strcmp(a->ops[i].op, op) == 0)
            return a->ops[i].bytes_read + a->ops[i].bytes_written;
    return -1;
}

/* ---------------------------------------------------------------- views */

static void pieces_of_a_split_lie_in_it(void)
{
    struct accel_model *m = load_text("in x float 8,16\nout y float 2,16\nout z float 2,16\n"
                                      "out u float 4,16\nconst sizes int64 3 = 2,2,4\n"
                                      "Neg x -> n\nSplit n,sizes -> a,b,c\n"
                                      "Add a,b -> y\nExp b -> z\nAbs c -> u\n");
    struct accel_named_tensor out[PT_TENSORS];
    struct accel_session *s = NULL;
    float x[128];
    size_t right = 0;

    ok(m != NULL && pt_run(m, 1, &s, out), "a Split of rows runs");
    gt_fill(ACCEL_DTYPE_FLOAT, x, 128, gt_seed("x"));
    const float *y = out[0].tensor.data, *z = out[1].tensor.data, *u = out[2].tensor.data;
    for (size_t i = 0; i < 32; i++) {
        right += y[i] == -x[i] - x[32 + i];
        right += fabsf(z[i] - expf(-x[32 + i])) < 1e-6f;
        right += u[i] == fabsf(x[64 + i]) && u[32 + i] == fabsf(x[96 + i]);
    }
    ok(right == 96, "every piece is the right one (%zu of 96)", right);
    ok(traffic(m, "Split") == 0, "and nothing was copied: %g bytes", traffic(m, "Split"));
    /* x negated, and the two results that are made while another piece is still wanted. */
    ok(accel_model_analysis(m)->arena_bytes == 512 + 2 * 128,
       "the pieces take no memory of their own: %zu bytes", accel_model_analysis(m)->arena_bytes);
    accel_session_free(s);
    accel_model_unref(m);
}

static void pieces_that_lie_apart_are_copied(void)
{
    struct accel_model *m = load_text("in x float 4,32\nout y float 4,16\n"
                                      "Neg x -> n\nSplit n -> a,b axis=1\nAdd a,b -> y\n");
    struct accel_model *odd = load_text("in x float 6,5\nout y float 3,5\n"
                                        "Neg x -> n\nSplit n -> a,b\nAdd a,b -> y\n");
    const struct pass_case cases[] = {
        {"a Split of columns", 13,
         "in x float 4,32\nout y float 4,16\n"
         "Neg x -> n\nSplit n -> a,b axis=1\nAdd a,b -> y\n",
         NULL, "Neg Split Add", 0},
        {"a Split at an address that kernels do not like", 13,
         "in x float 6,5\nout y float 3,5\n"
         "Neg x -> n\nSplit n -> a,b\nAdd a,b -> y\n",
         NULL, "Neg Split Add", 0},
    };

    PASS_CASES_RUN(cases);
    ok(traffic(m, "Split") > 0 && traffic(odd, "Split") > 0, "they are copied");
    accel_model_unref(m);
    accel_model_unref(odd);
}

/* Each takes over its operand's bytes, and a piece keeps the whole from being taken. */
static void operands_are_taken_over(void)
{
    struct accel_model *m = load_text("in x float 64\nout y float 64\nconst k float 64\n"
                                      "const c bool 64\n"
                                      "Abs x -> a\nSqrt a -> b\nAdd k,b -> d\n"
                                      "Where c,k,d -> e\nSoftmax e -> y\n");

    ok(m != NULL && accel_model_analysis(m)->arena_bytes == 256,
       "five operators in a row work on one tensor's bytes: %zu",
       m != NULL ? accel_model_analysis(m)->arena_bytes : 0);
    accel_model_unref(m);
}

static void parts_of_a_concat_are_written_in_place(void)
{
    struct accel_model *m =
        load_text("in x float 1,4,16\nin z float 1,2,16\nout y float 1,6,16\n"
                  "Abs x -> a\nNeg z -> b\nConcat a,b -> c axis=1\nExp c -> y\n");

    ok(m != NULL && traffic(m, "Concat") == 0 && accel_model_analysis(m)->arena_bytes == 384,
       "a Concat along the first real axis costs nothing: %g bytes in an arena of %zu",
       traffic(m, "Concat"), m != NULL ? accel_model_analysis(m)->arena_bytes : 0);
    accel_model_unref(m);
}

/* ---------------------------------------------------------------- what was said before */

/* Loads with every free dimension bound to n (0: left free). */
static struct accel_model *load_bound(const char *path, const struct accel_model *open, int64_t n,
                                      struct accel_error *err)
{
    struct accel_dim_binding dims[64];
    char names[64][160];
    struct accel_load_options o;
    struct accel_model *m = NULL;
    size_t count = 0;

    accel_load_options_init(&o);
    for (size_t i = 0; open != NULL && i < accel_model_input_count(open); i++) {
        const struct accel_tensor_info *info = accel_model_input(open, i);

        for (uint32_t d = 0; d < info->rank && count < 64; d++) {
            if (info->dims[d] >= 0)
                continue;
            snprintf(names[count], sizeof(names[count]), "%s:%u", info->name, d);
            dims[count] = (struct accel_dim_binding){.name = names[count], .value = n};
            count++;
        }
    }
    o.dims = dims;
    o.dims_count = count;
    if (accel_model_load_file(path, &o, &m, err) != ACCEL_OK)
        return NULL;
    return m;
}

static bool free_dims(const struct accel_model *m)
{
    for (size_t i = 0; i < accel_model_input_count(m); i++)
        for (uint32_t d = 0; d < accel_model_input(m, i)->rank; d++)
            if (accel_model_input(m, i)->dims[d] < 0)
                return true;
    return false;
}

/* One model at one size. Some sizes are none of the model's: that is no reason to fail. */
static bool as_planned(const char *name, const char *path, struct accel_model *open, int64_t n)
{
    struct accel_error err = {0};
    struct accel_model *bound = load_bound(path, open, n, &err);
    struct accel_named_tensor out[PT_TENSORS];
    struct accel_session *s = NULL;
    bool ran = false;

    if (bound != NULL && accel_model_output_count(open) <= PT_TENSORS &&
        accel_model_input_count(open) <= PT_TENSORS && pt_run(open, n, &s, out)) {
        /* Free dimensions count as 1 in the model's own analysis. With others the same model with
         * these bound says it beforehand, unless a pass could do more with it. */
        const bool same =
            accel_model_analysis(bound)->ops_count == accel_model_analysis(open)->ops_count;
        const size_t said = accel_model_analysis(n == 1 || !same ? open : bound)->arena_bytes;

        ran = n == 1 || same;
        if (ran)
            ok(accel_session_arena_bytes(s) == said, "%s, %d: %zu bytes said, %zu used", name,
               (int)n, said, accel_session_arena_bytes(s));
    }
    accel_session_free(s);
    accel_model_unref(bound);
    return ran;
}

static size_t models_of(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t ran = 0;

    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        struct accel_error err = {0};
        char path[512];

        snprintf(path, sizeof(path), "%s/%s/model.onnx", folder, e->d_name);
        struct accel_model *open = e->d_name[0] != '.' ? load_bound(path, NULL, 0, &err) : NULL;
        for (int64_t n = 1; open != NULL && n <= 4; n += n < 2 || !free_dims(open) ? 1 : 2) {
            ran += as_planned(e->d_name, path, open, n);
            if (!free_dims(open))
                break;
        }
        accel_model_unref(open);
    }
    if (dir != NULL)
        closedir(dir);
    return ran;
}

/* ---------------------------------------------------------------- many shapes */

/* Plans for shapes seen long ago are thrown out: what a session holds has an end. */
static void shapes_without_end_take_no_memory(void)
{
    struct accel_buf buf = ob_small_network(true);
    struct accel_model *m = NULL;
    struct accel_session *s = NULL;
    struct accel_error err = {0};
    static float picture[40 * 64];
    size_t before = 0;
    int rc = ob_load(&buf, NULL, &m, &err);

    accel_buf_free(&buf);
    if (rc == ACCEL_OK)
        rc = accel_session_new(m, NULL, &s, &err);
    for (int round = 0; round < 12 && rc == ACCEL_OK; round++) {
        if (round == 2)
            before = mallinfo2().uordblks;
        for (int64_t n = 1; n <= 40 && rc == ACCEL_OK; n++) {
            struct accel_named_tensor in = {.name = "x",
                                            .tensor = {.dtype = ACCEL_DTYPE_FLOAT,
                                                       .rank = 4,
                                                       .dims = {n, 1, 8, 8},
                                                       .data = picture,
                                                       .size_bytes = (size_t)n * 256}};
            struct accel_named_tensor y = {.name = "y"};

            rc = accel_session_run(s, &in, 1, &y, 1, &err);
        }
    }
    ok(rc == ACCEL_OK, "480 runs of 40 shapes: %s", err.msg);
    ok(mallinfo2().uordblks <= before + 4096, "no more memory after 480 than after 80: %zu and %zu",
       (size_t)mallinfo2().uordblks, before);
    accel_session_free(s);
    accel_model_unref(m);
}

int main(void)
{
    const char *more = getenv("ACCELD_TEST_DATA");

    pieces_of_a_split_lie_in_it();
    pieces_that_lie_apart_are_copied();
    operands_are_taken_over();
    parts_of_a_concat_are_written_in_place();
    shapes_without_end_take_no_memory();
    ok(models_of("tests/fixtures") >= 14, "the models of tests/fixtures ran");
    if (more != NULL)
        ok(models_of(more) > 0, "the models of %s ran", more);
    return tap_done();
}
