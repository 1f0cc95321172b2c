/* SPDX-License-Identifier: Apache-2.0 */
/* SparseAttention refuses masks and lengths that cannot be, which only a run shows. */
#include "graph_text.h"
#include "tap.h"

/* Two rows of queries, three blocks of 16, a cache of 32; why NULL: it runs. */
static const struct {
    const char *rows, *columns, *total, *length, *why;
} cases[] = {
    {"0,1,2,3", "0,1,0", "20", "20", NULL},
    {"0,1,2,3", "0,1,0", "2", "1", NULL},
    {"0,1,5,5", "0,1,0", "20", "20", "row 1 of layout 0 from 1 to 5 of 3 columns"},
    {"0,2,1,3", "0,1,0", "20", "20", "row 1 of layout 0 from 2 to 1 of 3 columns"},
    {"0,-1,0,3", "0,1,0", "20", "20", "row 1 of layout 0 from -1 to 0 of 3 columns"},
    {"0,1,2,3", "0,3,0", "20", "20", "block_col_indices[0][1] is 3 of 3 blocks"},
    {"0,1,2,3", "0,-1,0", "20", "20", "block_col_indices[0][1] is -1 of 3 blocks"},
    {"0,1,2,3", "0,1,0", "20", "21", "key_total_sequence_lengths[0] is 21 of 20"},
    {"0,1,2,3", "0,1,0", "20", "1", "key_total_sequence_lengths[0] is 1 of 20 with 2 rows"},
    {"0,1,2,3", "0,1,0", "2", "0", "key_total_sequence_lengths[0] is 0 of 2"},
};

static int run_case(size_t i, struct accel_error *err)
{
    static float q[2 * 16];
    struct accel_named_tensor y = {.name = "y"};
    const struct accel_named_tensor in = {.name = "q",
                                          .tensor = {.data = q,
                                                     .size_bytes = sizeof(q),
                                                     .dtype = ACCEL_DTYPE_FLOAT,
                                                     .rank = 3,
                                                     .dims = {1, 2, 16}}};
    struct accel_session *session = NULL;
    struct accel_model *m = NULL;
    struct accel_load_options o;
    char text[1024];

    snprintf(text, sizeof(text),
             "in q float 1,2,16\nconst k float 1,2,8\nconst v float 1,2,8\nconst c float 1,1,32,8\n"
             "const d float 1,1,32,8\nconst r int32 1,4 = %s\nconst i int32 1,3 = %s\n"
             "const t int32 1 = %s\nconst l int32 1 = %s\nout y float 1,2,16\n"
             "com.microsoft:SparseAttention q,k,v,c,d,r,i,t,l -> y,o,u num_heads=2 kv_num_heads=1 "
             "sparse_block_size=16",
             cases[i].rows, cases[i].columns, cases[i].total, cases[i].length);
    struct accel_buf model = gt_model(text, 15);
    accel_load_options_init(&o);
    int rc = ob_load(&model, &o, &m, err);
    if (rc == ACCEL_OK)
        rc = accel_session_new(m, NULL, &session, err);
    if (rc == ACCEL_OK)
        rc = accel_session_run(session, &in, 1, &y, 1, err);
    accel_session_free(session);
    accel_model_unref(m);
    accel_buf_free(&model);
    return rc;
}

int main(void)
{
    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        struct accel_error err = {0};
        const int rc = run_case(i, &err);

        if (cases[i].why == NULL)
            ok(rc == ACCEL_OK, "rows %s, length %s of %s run%s%s", cases[i].rows, cases[i].length,
               cases[i].total, rc == ACCEL_OK ? "" : ": ", err.msg);
        else
            ok(rc == ACCEL_E_INVALID && strstr(err.msg, cases[i].why) != NULL, "'%s' is in: %s",
               cases[i].why, err.msg);
    }
    return tap_done();
}
