/* SPDX-License-Identifier: Apache-2.0 */
/* accel-run analyse: what running a model takes, and what the core cannot run of it. */

#include <stdio.h>

#include "cli/ctl.h"
#include "cli/run.h"
#include "core/analysis_json.h"

static void free_analysis(struct accel_analysis **a)
{
    accel_analysis_free(*a);
}

static void print_tensors(const char *title, const struct accel_tensor_info *infos, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct accel_tensor_info *info = &infos[i];

        printf("%-8s %s: %s ", i == 0 ? title : "", info->name, accel_dtype_name(info->dtype));
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

static void print_analysis(const struct accel_analysis *a)
{
    print_ops(a);
    printf("\nproducer %s, IR version %lld, opset %lld, %zu nodes in the file, %zu operators\n",
           a->producer[0] != '\0' ? a->producer : "unknown", (long long)a->ir_version,
           (long long)a->opset, a->nodes_in_file, a->ops_count);
    print_tensors("inputs", a->inputs, a->inputs_count);
    print_tensors("outputs", a->outputs, a->outputs_count);
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

int accel_run_analyse(int argc, char **argv, int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_run_options_free) struct accel_run_options o = {0};
    ACCEL_CLEANUP(free_analysis) struct accel_analysis *a = NULL;
    bool json = false;
    const struct accel_opt opts[] = {
        {"json", 'j', ACCEL_OPT_FLAG, &json, NULL, "print JSON"},
        ACCEL_RUN_OPT_LOAD(&o),
        ACCEL_RUN_OPT_SHAPES(&o),
        {0},
    };
    struct accel_load_options load;
    int operands;
    int rc = accel_run_parse(
        "analyse MODEL [--json]",
        "Says of each operator of the optimised graph its FLOPs, bytes and shapes, what memory a\n"
        "run takes, and every node that the core cannot run. Exit status 1 if there is one.",
        opts, argc, argv, 1, 1, &operands, status, err);

    if (rc == ACCEL_OK)
        rc = accel_run_load_options(&o, &load, err);
    if (rc != ACCEL_OK)
        return rc;
    rc = accel_analyse_file(argv[0], &load, &a, err);
    if (rc != ACCEL_OK)
        return rc;
    if (json) {
        json_t *document = accel_analysis_to_json(a, err);

        if (document == NULL)
            return err->code;
        accel_ctl_print_json(document);
        json_decref(document);
    } else {
        print_analysis(a);
    }
    *status = a->runnable ? 0 : 1;
    return ACCEL_OK;
}
