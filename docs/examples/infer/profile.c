/* SPDX-License-Identifier: Apache-2.0 */
/* profile: loads an ONNX model, runs it on zeros with a deadline, and says where the time went.
 *
 *     cc -std=c17 profile.c $(pkg-config --cflags --libs libaccelinfer) -o profile
 *     ./profile model.onnx
 *
 * It shows each step of the interface: load, inspect, plan, run with one's own buffers, results
 * lent without a copy, a profile, and errors. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <acceld/infer.h>

#define INPUTS_MAX 16
#define SHOWN_MAX  8 /* elements printed of each result */

static int failed(const char *doing, const struct accel_error *err)
{
    /* The message names the node, input or file, what is wrong and, where there is one, the cure.
     */
    fprintf(stderr, "%s: %s\n", doing, err->msg);
    return 1;
}

/* ---------------------------------------------------------------- inspect */

static void print_info(const char *what, const struct accel_tensor_info *info)
{
    printf("%s %s: %s", what, info->name, accel_dtype_name(info->dtype));
    for (uint32_t i = 0; i < info->rank; i++)
        if (info->dims[i] >= 0)
            printf("%s%" PRId64, i == 0 ? " " : "x", info->dims[i]);
        else /* free: any size may be given */
            printf("%s%s", i == 0 ? " " : "x",
                   info->dim_names[i] != NULL ? info->dim_names[i] : "?");
    printf("\n");
}

/* Zeros for an input, free dimensions as 1. The buffer is the caller's: free() it after the run. */
static int make_input(const struct accel_tensor_info *info, struct accel_named_tensor *input)
{
    size_t elements = 1;

    *input = (struct accel_named_tensor){.name = info->name,
                                         .tensor = {.dtype = info->dtype, .rank = info->rank}};
    for (uint32_t i = 0; i < info->rank; i++) {
        input->tensor.dims[i] = info->dims[i] < 0 ? 1 : info->dims[i];
        elements *= (size_t)input->tensor.dims[i];
    }
    input->tensor.size_bytes = elements * accel_dtype_size(info->dtype);
    input->tensor.data = calloc(1, input->tensor.size_bytes > 0 ? input->tensor.size_bytes : 1);
    return input->tensor.data != NULL && accel_dtype_size(info->dtype) > 0 ? 0 : 1;
}

/* ---------------------------------------------------------------- results */

/* Lent by the session: valid until its next run or its end. */
static void print_result(const struct accel_named_tensor *output)
{
    const struct accel_tensor *t = &output->tensor;
    const size_t size = accel_dtype_size(t->dtype), count = size > 0 ? t->size_bytes / size : 0;

    printf("%s: %zu elements of %s:", output->name, count, accel_dtype_name(t->dtype));
    for (size_t i = 0; i < count && i < SHOWN_MAX && t->dtype == ACCEL_DTYPE_FLOAT; i++)
        printf(" %.4g", ((const float *)t->data)[i]);
    printf("\n");
}

static void print_profile(struct accel_model *model, struct accel_session *session)
{
    const struct accel_analysis *a = accel_model_analysis(model);
    const int64_t *ns;
    const size_t count = accel_session_profile(session, &ns);

    for (size_t i = 0; i < count && i < a->ops_count; i++)
        printf("%10.1f us  %12.0f flop  %12.0f B  %s %s\n", (double)ns[i] / 1e3, a->ops[i].flops,
               a->ops[i].bytes_read + a->ops[i].bytes_written + a->ops[i].bytes_weights,
               a->ops[i].op, a->ops[i].name);
    printf("%zu bytes of tensors at the peak, %zu foretold\n", accel_session_arena_bytes(session),
           a->arena_bytes);
}

static int run(struct accel_model *model, struct accel_session *session)
{
    struct accel_named_tensor inputs[INPUTS_MAX] = {0}, output;
    const size_t count = accel_model_input_count(model);
    struct accel_error err = {0};
    int status = 0;

    for (size_t i = 0; status == 0 && i < count && i < INPUTS_MAX; i++)
        status = make_input(accel_model_input(model, i), &inputs[i]);
    if (status != 0 || count > INPUTS_MAX) {
        fprintf(stderr, "this example has no input for that model\n");
        status = 1;
    } else {
        /* tensor.data NULL: the result is lent, not copied. */
        output = (struct accel_named_tensor){.name = accel_model_output(model, 0)->name};
        if (accel_session_run(session, inputs, count, &output, 1, &err) != ACCEL_OK)
            status = failed("run", &err);
        else
            print_result(&output);
    }
    for (size_t i = 0; i < INPUTS_MAX; i++)
        free(inputs[i].tensor.data);
    return status;
}

int main(int argc, char **argv)
{
    struct accel_load_options load;
    const struct accel_session_options options = {
        .struct_size = sizeof(options), .threads = 1, .profile = true};
    struct accel_model *model = NULL;
    struct accel_session *session = NULL;
    struct accel_error err = {0};
    int status;

    if (argc != 2) {
        fprintf(stderr, "usage: profile MODEL\n");
        return 2;
    }
    accel_load_options_init(&load);
    load.limits.run_ms = 10000;                /* a run that takes longer ends with TIMEOUT */
    load.limits.arena_bytes = (size_t)1 << 30; /* a model that needs more is refused: LIMIT */
    if (accel_model_load_file(argv[1], &load, &model, &err) != ACCEL_OK)
        return failed("load", &err); /* the message begins with the file */
    for (size_t i = 0; i < accel_model_input_count(model); i++)
        print_info("input", accel_model_input(model, i));
    for (size_t i = 0; i < accel_model_output_count(model); i++)
        print_info("output", accel_model_output(model, i));
    if (accel_session_new(model, &options, &session, &err) != ACCEL_OK) {
        status = failed("session", &err);
    } else {
        status = run(model, session);
        if (status == 0)
            print_profile(model, session);
    }
    accel_session_free(session);
    accel_model_unref(model);
    return status;
}
