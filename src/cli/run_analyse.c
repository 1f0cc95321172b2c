/* SPDX-License-Identifier: Apache-2.0 */
/* accel-run analyse: what running a model takes, and what the core cannot run of it. */

#include <stdio.h>
#include <string.h>

#include "cli/ctl.h"
#include "cli/run.h"
#include "cli/waiting.h"
#include "core/analysis_json.h"

static void free_analysis(struct accel_analysis **a)
{
    accel_analysis_free(*a);
}

/* Of the inputs, or of the outputs. model: what the analysis is of. */
static void print_values(const struct accel_analysis *a, const struct accel_model *model,
                         bool inputs)
{
    for (size_t i = 0; i < (inputs ? a->inputs_count : a->outputs_count); i++) {
        const struct accel_tensor_info *info = inputs ? &a->inputs[i] : &a->outputs[i];
        const enum accel_value_kind kind =
            inputs ? accel_model_input_kind(model, i) : accel_model_output_kind(model, i);

        printf("%-8s %s: ", i > 0 ? "" : inputs ? "inputs" : "outputs", info->name);
        if (kind != ACCEL_VALUE_TENSOR)
            printf("%s of ", accel_value_kind_text(kind));
        if ((kind & ACCEL_VALUE_MAP) != 0) {
            printf("%s to %s\n",
                   accel_dtype_name(inputs ? accel_model_input_keys(model, i)
                                           : accel_model_output_keys(model, i)),
                   accel_dtype_name(info->dtype));
            continue;
        }
        printf("%s ", accel_dtype_name(info->dtype));
        if (!info->has_rank)
            printf("of any shape");
        else if (info->rank == 0)
            printf("scalar");
        for (uint32_t d = 0; d < info->rank; d++) {
            printf("%s", d > 0 ? "x" : "");
            if (info->dims[d] >= 0)
                printf("%lld", (long long)info->dims[d]);
            else
                printf("%s", info->dim_names[d] != NULL ? info->dim_names[d] : "?");
        }
        printf("\n");
    }
}

static void print_ops(const struct accel_analysis *a)
{
    static const char *const titles[] = {"operator", "fused",   "kind",  "MFLOP", "read",
                                         "written",  "weights", "shape", "name"};
    ACCEL_CLEANUP(accel_table_free)
    struct accel_table *table = accel_table_new(titles, ACCEL_COUNT(titles));

    for (size_t c = 3; c <= 6; c++)
        accel_table_align_right(table, c);
    for (size_t i = 0; i < a->ops_count; i++) {
        const struct accel_op_analysis *op = &a->ops[i];

        accel_table_cell(table, "%s%s%s%s", op->domain, op->domain[0] != '\0' ? ":" : "", op->op,
                         op->unsupported != NULL ? " (!)" : "");
        accel_table_cell(table, "%s", op->fused);
        accel_table_cell(table, "%s", accel_kind_name(op->kind));
        accel_table_cell(table, "%.3f", op->flops / 1e6);
        accel_table_cell(table, "%s", accel_ctl_bytes(op->bytes_read));
        accel_table_cell(table, "%s", accel_ctl_bytes(op->bytes_written));
        accel_table_cell(table, "%s", accel_ctl_bytes(op->bytes_weights));
        accel_table_cell(table, "%s", op->shape);
        accel_table_cell(table, "%s", op->name);
    }
    accel_table_print(table, stdout);
}

static void print_analysis(const struct accel_analysis *a, const struct accel_model *model)
{
    print_ops(a);
    printf("\nproducer %s, IR version %lld, opset %lld, %zu nodes in the file, %zu listed\n",
           a->producer[0] != '\0' ? a->producer : "unknown", (long long)a->ir_version,
           (long long)a->opset, a->nodes_in_file, a->ops_count);
    print_values(a, model, true);
    print_values(a, model, false);
    printf("%.6g GFLOP, %s of traffic, mostly %s\n", a->flops / 1e9, accel_ctl_bytes(a->bytes),
           accel_dtype_name(a->precision));
    printf("%.3f M parameters, %s packed; peak memory of a run: tensors %s, work space %s, inputs "
           "and outputs %s\n",
           (double)a->parameters / 1e6, accel_ctl_bytes((double)a->weights_bytes),
           accel_ctl_bytes((double)a->arena_bytes), accel_ctl_bytes((double)a->scratch_bytes),
           accel_ctl_bytes((double)a->io_bytes));
    if (a->runnable) {
        printf("runnable: yes\n");
        return;
    }
    printf("runnable: no, the core lacks\n");
    for (size_t i = 0; i < a->ops_count; i++)
        if (a->ops[i].unsupported != NULL)
            printf("  %s (%s%s%s, opset %lld): %s\n", a->ops[i].name, a->ops[i].domain,
                   a->ops[i].domain[0] != '\0' ? ":" : "", a->ops[i].op, (long long)a->ops[i].opset,
                   a->ops[i].unsupported);
}

/* The figures of `run`, which is how the model runs, over the nodes of `file`. A node that only a
 * pass makes runnable (a half precision one) is no reason against the model. */
static int nodes_of_file(const struct accel_analysis *run, const struct accel_analysis *file,
                         struct accel_bump *mem, struct accel_analysis *out,
                         struct accel_error *err)
{
    struct accel_op_analysis *ops = accel_bump_alloc(mem, file->ops_count + 1, sizeof(*ops));

    if (ops == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an analysis");
    *out = *run;
    if (!run->runnable && file->runnable) /* what a pass made cannot be run: show that */
        return ACCEL_OK;
    for (size_t i = 0; i < file->ops_count; i++) {
        ops[i] = file->ops[i];
        if (run->runnable)
            ops[i].unsupported = NULL;
    }
    out->ops = ops;
    out->ops_count = file->ops_count;
    out->flops = file->flops;
    out->bytes = file->bytes;
    return ACCEL_OK;
}

static int print_result(const struct accel_analysis *a, const struct accel_model *model, bool json,
                        struct accel_error *err)
{
    if (!json) {
        print_analysis(a, model);
        return ACCEL_OK;
    }
    json_t *document = accel_analysis_to_json(a, err);
    if (document == NULL)
        return err->code;
    accel_ctl_print_json(document);
    json_decref(document);
    return ACCEL_OK;
}

static int check_form(const char *dump, bool json, int *status, struct accel_error *err)
{
    *status = 2;
    if (dump != NULL && strcmp(dump, "dot") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "--dump takes dot, not \"%s\"", dump);
    if (dump != NULL && json)
        return accel_fail(err, ACCEL_E_INVALID, "--json and --dump: only one of them");
    *status = 1;
    return ACCEL_OK;
}

int accel_run_analyse(int argc, char **argv, int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_run_options_free) struct accel_run_options o = {0};
    ACCEL_CLEANUP(free_analysis) struct accel_analysis *run = NULL, *file = NULL;
    ACCEL_CLEANUP(accel_waiting_end) struct accel_waiting waiting = {0};
    struct accel_analysis shown;
    bool json = false, after = false;
    const char *dump = NULL;
    const struct accel_opt opts[] = {
        {"after-passes", 'a', ACCEL_OPT_FLAG, &after, NULL,
         "the operators that run, with what was fused into them"},
        {"json", 'j', ACCEL_OPT_FLAG, &json, NULL, "print JSON"},
        {"dump", 0, ACCEL_OPT_STRING, &dump, "dot", "draw the graph instead, for Graphviz"},
        ACCEL_RUN_OPT_LOAD(&o),
        ACCEL_RUN_OPT_SHAPES(&o),
        {0},
    };
    struct accel_load_options plain;
    int operands;
    int rc = accel_run_parse(
        "analyse MODEL [--after-passes] [--json | --dump dot]",
        "Says of each node of the file, or of each operator after the graph passes, its FLOPs,\n"
        "bytes and shapes; what memory a run takes; and every node that the core cannot run: exit\n"
        "status 1 if there is one.",
        opts, &o, argc, argv, 1, 1, &operands, status, err);

    if (rc == ACCEL_OK)
        rc = check_form(dump, json, status, err);
    accel_waiting_begin(&waiting, "analyse");
    if (rc == ACCEL_OK)
        rc = accel_analyse_file(argv[0], &o.load, &run, err);
    if (rc == ACCEL_OK && !after) {
        plain = o.load;
        plain.passes_off = "all";
        plain.every_node = true;
        rc = accel_analyse_file(argv[0], &plain, &file, err);
    }
    accel_waiting_end(&waiting);
    if (rc == ACCEL_OK && dump != NULL)
        rc = accel_analysis_dot(after ? run : file, stdout, err);
    if (rc == ACCEL_OK && dump == NULL && !after)
        rc = nodes_of_file(run, file, &o.mem, &shown, err);
    if (rc == ACCEL_OK && dump == NULL)
        rc = print_result(after ? run : &shown, accel_analysis_model(run), json, err);
    if (rc == ACCEL_OK)
        *status = run->runnable ? 0 : 1;
    return rc;
}
