/* SPDX-License-Identifier: Apache-2.0 */
/* DecoderMaskedMultiHeadAttention at its limits: heads without columns have scores all the same. */
#include "graph_text.h"
#include "tap.h"

#include <math.h>

#define CELLS (4 * 2 * 6)

/* The memory of qk is one where numbers lay before it. */
static const char text[] = "in x float 48\nin q float 4,1,0\nin k float 4,2,6,0\nout y float 48\n"
                           "out t float 4,2,1,6\nNeg x -> a\nNeg a -> y\n"
                           "com.microsoft:DecoderMaskedMultiHeadAttention q,k,k -> o,,,t "
                           "num_heads=2 output_qk=1";

static int scores_of(float *scores, struct accel_error *err)
{
    static float x[CELLS];
    struct accel_named_tensor y[] = {{.name = "y"}, {.name = "t"}};
    struct accel_tensor made = {
        .data = x, .size_bytes = sizeof(x), .dtype = ACCEL_DTYPE_FLOAT, .rank = 1, .dims = {CELLS}};
    const struct accel_tensor query = {.dtype = ACCEL_DTYPE_FLOAT, .rank = 3, .dims = {4, 1, 0}},
                              key = {.dtype = ACCEL_DTYPE_FLOAT, .rank = 4, .dims = {4, 2, 6, 0}};
    const struct accel_named_tensor in[] = {{.name = "x", .tensor = made},
                                            {.name = "q", .tensor = query},
                                            {.name = "k", .tensor = key}};
    struct accel_buf model = gt_model(text, 15);
    struct accel_session *session = NULL;
    struct accel_model *m = NULL;
    struct accel_load_options o;

    for (size_t i = 0; i < CELLS; i++)
        x[i] = 1;
    accel_load_options_init(&o);
    int rc = ob_load(&model, &o, &m, err);
    if (rc == ACCEL_OK)
        rc = accel_session_new(m, NULL, &session, err);
    if (rc == ACCEL_OK)
        rc = accel_session_run(session, in, 3, y, 2, err);
    if (rc == ACCEL_OK && y[1].tensor.size_bytes == CELLS * sizeof(*scores))
        memcpy(scores, y[1].tensor.data, CELLS * sizeof(*scores));
    accel_session_free(session);
    accel_model_unref(m);
    accel_buf_free(&model);
    return rc;
}

int main(void)
{
    float scores[CELLS] = {0};
    struct accel_error err = {0};
    size_t numbers = 0;

    ok(scores_of(scores, &err) == ACCEL_OK, "heads without columns run: %s", err.msg);
    for (size_t i = 0; i < CELLS; i++)
        numbers += !isnan(scores[i]);
    /* A sum of nothing by 1 / sqrt(0). */
    ok(numbers == 0, "%zu of %d scores of theirs are numbers", numbers, CELLS);
    return tap_done();
}
