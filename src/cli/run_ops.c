/* SPDX-License-Identifier: Apache-2.0 */
/* accel-run ops: the operator table, for people, for programs and for docs/operators.md. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/ctl.h"
#include "cli/run.h"

struct table {
    struct accel_operator *ops;
    size_t count;
};

static void free_table(struct table *t)
{
    free(t->ops);
}

static int by_name(const void *a, const void *b)
{
    const struct accel_operator *x = a, *y = b;
    const int domain = strcmp(x->domain, y->domain), name = strcmp(x->name, y->name);

    return domain != 0 ? domain : name != 0 ? name : (x->since > y->since) - (x->since < y->since);
}

/* The entries that a model can reach, sorted. */
static int read_table(struct table *t, struct accel_error *err)
{
    struct accel_operator op;
    size_t count = 0;

    while (accel_operator_at(count, &op))
        count++;
    t->ops = accel_calloc(count, sizeof(*t->ops));
    if (t->ops == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu operators", count);
    for (size_t i = 0; i < count; i++)
        if (accel_operator_at(i, &t->ops[t->count]))
            t->count++;
    qsort(t->ops, t->count, sizeof(*t->ops), by_name);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- types in words */

/* "float16 float double int8" into a text of TYPES_TEXT bytes. */
#define TYPES_TEXT 512

static const char *types_text(uint64_t types, char text[TYPES_TEXT])
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned d = 1; d < 64; d++)
        if ((types >> d & 1) != 0 && used < TYPES_TEXT)
            used += (size_t)snprintf(text + used, TYPES_TEXT - used, "%s%s", used > 0 ? " " : "",
                                     accel_dtype_name((enum accel_dtype)d));
    return text;
}

/* Is argument i the first of its group? The others have the same types and need no words. */
static bool leads(const struct accel_operator_arg *args, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (args[i].group != 0 && args[j].group == args[i].group)
            return false;
    return true;
}

/* "X, B: float double; I: int64": the names of a group before its types. */
static void print_args(const struct accel_operator_arg *args, size_t count)
{
    char text[TYPES_TEXT];

    for (size_t i = 0; i < count; i++) {
        if (!leads(args, i))
            continue;
        printf("%s%s", i > 0 ? "; " : "", args[i].name);
        for (size_t j = i + 1; j < count && args[i].group != 0; j++)
            if (args[j].group == args[i].group)
                printf(", %s", args[j].name);
        printf(": %s", types_text(args[i].types, text));
    }
}

/* ---------------------------------------------------------------- the three forms */

static const char *domain_name(const struct accel_operator *op)
{
    return op->domain[0] != '\0' ? op->domain : "ai.onnx";
}

static void print_markdown(const struct table *t)
{
    const char *domain = NULL;

    puts("# The operators of the inference core\n\n"
         "Made by `make operators` from the operator table itself (`accel-run ops --markdown`). A "
         "row\n"
         "is one meaning of an operator: it holds from the opset version given up to that of the "
         "next\n"
         "row of the same operator. Arguments before a colon share one type of those behind it.\n\n"
         "Where float is listed without float16, float16 and bfloat16 are taken as well: the pass\n"
         "`widen-f16` has them computed in float.");
    for (size_t i = 0; i < t->count; i++) {
        const struct accel_operator *op = &t->ops[i];

        if (domain == NULL || strcmp(domain, op->domain) != 0)
            printf("\n## %s\n\n| operator | from opset | inputs | outputs |\n|---|---|---|---|\n",
                   domain_name(op));
        domain = op->domain;
        printf("| %s | %d | ", op->name, op->since);
        if (op->removed)
            printf("no longer in the standard");
        else
            print_args(op->inputs, op->inputs_count);
        printf(" | ");
        print_args(op->outputs, op->removed ? 0 : op->outputs_count);
        printf(" |\n");
    }
}

static void print_text(const struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct accel_operator *op = &t->ops[i];

        printf("%-14s %-32s %3d  ", domain_name(op), op->name, op->since);
        if (op->removed)
            printf("no longer in the standard");
        else
            print_args(op->inputs, op->inputs_count);
        putchar('\n');
    }
}

static json_t *args_json(const struct accel_operator_arg *args, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        const char group[2] = {args[i].group, '\0'};
        json_t *types = json_array();

        for (unsigned d = 1; d < 64; d++)
            if ((args[i].types >> d & 1) != 0)
                json_array_append_new(types, json_string(accel_dtype_name((enum accel_dtype)d)));
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:b, s:o}", "name", args[i].name,
                                              "group", group, "optional", args[i].optional,
                                              "variadic", args[i].variadic, "types", types));
    }
    return list;
}

static void print_json(const struct table *t)
{
    json_t *list = json_array();

    for (size_t i = 0; i < t->count; i++) {
        const struct accel_operator *op = &t->ops[i];

        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:b, s:o, s:o}", "domain",
                                              op->domain, "name", op->name, "since", op->since,
                                              "removed", op->removed, "inputs",
                                              args_json(op->inputs, op->inputs_count), "outputs",
                                              args_json(op->outputs, op->outputs_count)));
    }
    accel_ctl_print_json(list);
    json_decref(list);
}

int accel_run_ops(int argc, char **argv, int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(free_table) struct table t = {0};
    bool json = false, markdown = false;
    const struct accel_opt opts[] = {
        {"json", 'j', ACCEL_OPT_FLAG, &json, NULL, "print JSON"},
        {"markdown", 0, ACCEL_OPT_FLAG, &markdown, NULL, "print the page docs/operators.md"},
        {0},
    };
    int operands;
    int rc =
        accel_run_parse("ops [--json|--markdown]",
                        "Lists the operators that models may use: domain, name, the opset version "
                        "from which\non an entry holds, and the types of its inputs.",
                        opts, NULL, argc, argv, 0, 0, &operands, status, err);

    if (rc == ACCEL_OK && json && markdown) {
        *status = 2;
        rc = accel_fail(err, ACCEL_E_INVALID, "--json and --markdown: only one of them");
    }
    if (rc == ACCEL_OK)
        rc = read_table(&t, err);
    if (rc != ACCEL_OK)
        return rc;
    if (json)
        print_json(&t);
    else if (markdown)
        print_markdown(&t);
    else
        print_text(&t);
    *status = 0;
    return ACCEL_OK;
}
