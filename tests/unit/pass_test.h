/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_PASS_TEST_H
#define TESTS_UNIT_PASS_TEST_H

/* What the tests of graph passes share: a model (graph_text.h) is loaded with all passes off and
 * with some of them on; the second must be the operators that the case says, and both must give the
 * same numbers, for two sizes of the free dimension. */

#include "graph_text.h"
#include "tap.h"

#define PT_TENSORS 8

struct pass_case {
    const char *what;
    int64_t opset;
    const char *text;
    const char *on;   /* passes to run, comma-separated; NULL: all */
    const char *want; /* "Conv[Pad+Relu] Reshape": the operators that are left */
    /* How far two results may be apart: tolerance * (1 + |b|) for floats; whole numbers for
     * integers. 0: not at all. */
    double tolerance;
};

static inline struct accel_model *pt_load(const struct pass_case *c, bool plain)
{
    struct accel_buf model = gt_model(c->text, c->opset);
    struct accel_load_options o;
    struct accel_model *m = NULL;
    struct accel_error err = {0};
    char off[1024] = "";
    const char *name;

    accel_load_options_init(&o);
    for (size_t i = 0; c->on != NULL && (name = accel_pass_name(i, NULL)) != NULL; i++) {
        const char *at = strstr(c->on, name);
        const size_t n = strlen(name);

        if (at == NULL || (at[n] != ',' && at[n] != '\0'))
            snprintf(off + strlen(off), sizeof(off) - strlen(off), "%s,", name);
    }
    o.passes_off = plain ? "all" : off;
    if (ob_load(&model, &o, &m, &err) != ACCEL_OK)
        printf("# %s: %s\n", c->what, err.msg);
    accel_buf_free(&model);
    return m;
}

/* Operators of the optimised graph, "Conv[Pad+Relu] Reshape". Static memory. */
static inline const char *pt_ops(const struct accel_model *m)
{
    static char text[2048];
    const struct accel_analysis *a = m != NULL ? accel_model_analysis(m) : NULL;

    text[0] = '\0';
    for (size_t i = 0; a != NULL && i < a->ops_count; i++) {
        const char *fused = a->ops[i].fused;
        const size_t n = strlen(text);

        snprintf(text + n, sizeof(text) - n, "%s%s%s%s%s", i > 0 ? " " : "", a->ops[i].op,
                 fused[0] != '\0' ? "[" : "", fused, fused[0] != '\0' ? "]" : "");
    }
    return text;
}

/* The model on inputs made from their names, free dimensions `n`. Results are lent by *session. */
static inline bool pt_run(struct accel_model *m, int64_t n, struct accel_session **session,
                          struct accel_named_tensor out[PT_TENSORS])
{
    struct accel_named_tensor in[PT_TENSORS] = {0};
    struct accel_error err = {0};
    int rc = m == NULL ? ACCEL_E_INVALID : accel_session_new(m, NULL, session, &err);
    const size_t inputs = m != NULL ? accel_model_input_count(m) : 0;

    for (size_t i = 0; i < inputs && i < PT_TENSORS; i++) {
        const struct accel_tensor_info *info = accel_model_input(m, i);
        struct accel_tensor *t = &in[i].tensor;
        size_t count = 1;

        in[i].name = info->name;
        t->dtype = info->dtype;
        t->rank = info->rank;
        for (uint32_t d = 0; d < t->rank; d++) {
            t->dims[d] = info->dims[d] >= 0 ? info->dims[d] : n;
            count *= (size_t)t->dims[d];
        }
        t->size_bytes = count * accel_dtype_size(t->dtype);
        t->data = calloc(count + 1, accel_dtype_size(t->dtype));
        gt_fill(t->dtype, t->data, count, gt_seed(info->name));
    }
    for (size_t i = 0; m != NULL && i < accel_model_output_count(m) && i < PT_TENSORS; i++)
        out[i] = (struct accel_named_tensor){.name = accel_model_output(m, i)->name};
    if (rc == ACCEL_OK)
        rc = accel_session_run(*session, in, inputs, out, accel_model_output_count(m), &err);
    if (rc != ACCEL_OK)
        printf("# %s\n", err.msg);
    for (size_t i = 0; i < inputs && i < PT_TENSORS; i++)
        free(in[i].tensor.data);
    return rc == ACCEL_OK;
}

static inline double pt_at(const struct accel_tensor *t, size_t i)
{
    int64_t whole = 0;

    if (t->dtype == ACCEL_DTYPE_FLOAT)
        return (double)((const float *)t->data)[i];
    if (t->dtype == ACCEL_DTYPE_DOUBLE)
        return ((const double *)t->data)[i];
    if (t->dtype == ACCEL_DTYPE_INT8)
        return ((const int8_t *)t->data)[i];
    memcpy(&whole, (const char *)t->data + i * accel_dtype_size(t->dtype),
           accel_dtype_size(t->dtype));
    return (double)whole;
}

static inline bool pt_same(const struct accel_tensor *a, const struct accel_tensor *b,
                           double tolerance)
{
    const bool real = a->dtype == ACCEL_DTYPE_FLOAT || a->dtype == ACCEL_DTYPE_DOUBLE;
    const size_t count = a->size_bytes / accel_dtype_size(a->dtype);
    double worst = 0;

    if (a->dtype != b->dtype || a->rank != b->rank || a->size_bytes != b->size_bytes ||
        memcmp(a->dims, b->dims, a->rank * sizeof(a->dims[0])) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        const double x = pt_at(a, i), y = pt_at(b, i);
        const double apart = fabs(x - y) / (real ? 1 + fabs(y) : 1);

        if (!(apart <= tolerance) && !(isnan(x) && isnan(y)))
            worst = isnan(apart) ? HUGE_VAL : fmax(worst, apart);
    }
    if (worst > tolerance)
        printf("# apart by %g\n", worst);
    return worst <= tolerance && count > 0;
}

static inline void pass_case_run(const struct pass_case *c)
{
    struct accel_model *plain = pt_load(c, true), *full = pt_load(c, false);
    bool same = plain != NULL && full != NULL;

    ok(strcmp(pt_ops(full), c->want) == 0, "%s: %s (%s)", c->what, c->want, pt_ops(full));
    for (int64_t n = 1; n <= 3 && same; n += 2) {
        struct accel_named_tensor a[PT_TENSORS] = {0}, b[PT_TENSORS] = {0};
        struct accel_session *one = NULL, *two = NULL;

        same = pt_run(plain, n, &one, a) && pt_run(full, n, &two, b);
        for (size_t i = 0; same && i < accel_model_output_count(full) && i < PT_TENSORS; i++)
            same = pt_same(&b[i].tensor, &a[i].tensor, c->tolerance);
        accel_session_free(one);
        accel_session_free(two);
    }
    ok(same, "%s: with the same result", c->what);
    accel_model_unref(plain);
    accel_model_unref(full);
}

#define PASS_CASES_RUN(cases)                                        \
    for (size_t i_ = 0; i_ < sizeof(cases) / sizeof(*(cases)); i_++) \
    pass_case_run(&(cases)[i_])

#endif
