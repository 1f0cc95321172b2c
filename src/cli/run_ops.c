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

#define T(name)  (UINT64_C(1) << ACCEL_DTYPE_##name)
#define ANY_TYPE ((UINT64_C(2) << ACCEL_DTYPE_LAST) - 2)

/* Words of the page for types that mostly go together: the first that fits stands for its own. */
static const struct {
    const char *word;
    uint64_t types;
} together[] = {
    {"any", ANY_TYPE},
    {"fixed", ANY_TYPE & ~T(STRING)},
    {"integers",
     T(UINT8) | T(INT8) | T(UINT16) | T(INT16) | T(INT32) | T(INT64) | T(UINT32) | T(UINT64)},
    {"float8", T(FLOAT8E4M3FN) | T(FLOAT8E4M3FNUZ) | T(FLOAT8E5M2) | T(FLOAT8E5M2FNUZ)},
    {"narrow",
     T(UINT4) | T(INT4) | T(FLOAT4E2M1) | T(UINT2) | T(INT2) | T(FLOAT6E2M3) | T(FLOAT6E3M2)},
    {"complex", T(COMPLEX64) | T(COMPLEX128)},
};

#define TYPES_TEXT 512

static void add_word(char text[TYPES_TEXT], const char *word)
{
    const size_t used = strlen(text);

    snprintf(text + used, TYPES_TEXT - used, "%s%s", used > 0 ? " " : "", word);
}

/* "float double int8" into a text of TYPES_TEXT bytes; shorten: with the words above. */
static const char *types_text(uint64_t types, bool shorten, char text[TYPES_TEXT])
{
    text[0] = '\0';
    for (unsigned d = 1; d <= ACCEL_DTYPE_LAST; d++) {
        size_t g = shorten ? 0 : ACCEL_COUNT(together);

        if ((types >> d & 1) == 0)
            continue;
        while (g < ACCEL_COUNT(together) && ((together[g].types >> d & 1) == 0 ||
                                             (types & together[g].types) != together[g].types))
            g++;
        add_word(text, g < ACCEL_COUNT(together) ? together[g].word
                                                 : accel_dtype_name((enum accel_dtype)d));
        if (g < ACCEL_COUNT(together))
            types &= ~together[g].types;
    }
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

static void print_name(const struct accel_operator_arg *arg, bool marked)
{
    const bool optional = marked && arg->optional;

    printf("%s%s%s%s", optional ? "[" : "", arg->name, optional ? "]" : "",
           marked && arg->variadic ? "..." : "");
}

/* "X, B: float double; I: int64": the names of a group before its types. For the page: marked
 * "[B]" where it may be left out and "inputs..." where there may be many, and types shortened. */
static void print_args(const struct accel_operator_arg *args, size_t count, bool page)
{
    char text[TYPES_TEXT];

    for (size_t i = 0; i < count; i++) {
        if (!leads(args, i))
            continue;
        printf("%s", i > 0 ? "; " : "");
        print_name(&args[i], page);
        for (size_t j = i + 1; j < count && args[i].group != 0; j++)
            if (args[j].group == args[i].group) {
                printf(", ");
                print_name(&args[j], page);
            }
        printf(": %s", types_text(args[i].types, page, text));
    }
}

/* ---------------------------------------------------------------- the three forms */

static const char *domain_name(const struct accel_operator *op)
{
    return op->domain[0] != '\0' ? op->domain : "ai.onnx";
}

static void print_legend(void)
{
    char text[TYPES_TEXT];

    puts("# The operators of the inference core\n\n"
         "Made by `make operators` from the operator table itself (`accel-run ops --markdown`).\n\n"
         "- A row is one meaning of an operator: it holds from the opset version given up to that\n"
         "  of the next row of the same operator. A model of opset 17 means the row with the\n"
         "  greatest number that is not above 17.\n"
         "- Arguments before a colon are all of one type, which is any of those behind it.\n"
         "- `[B]` may be left out; `inputs...` is one or more.\n"
         "- Where float is listed, float16 and bfloat16 are taken even if they are not: the pass\n"
         "  `widen-f16` has them computed in float.\n"
         "- What sequences, optionals and maps hold is listed as if it were a tensor.\n\n"
         "Some words stand for several types:\n");
    for (size_t g = 0; g < ACCEL_COUNT(together); g++)
        printf("- **%s**: %s\n", together[g].word, types_text(together[g].types, false, text));
}

static void print_markdown(const struct table *t)
{
    const char *domain = NULL;

    print_legend();
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
            print_args(op->inputs, op->inputs_count, true);
        printf(" | ");
        print_args(op->outputs, op->removed ? 0 : op->outputs_count, true);
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
            print_args(op->inputs, op->inputs_count, false);
        putchar('\n');
    }
}

static json_t *args_json(const struct accel_operator_arg *args, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        const char group[2] = {args[i].group, '\0'};
        json_t *types = json_array();

        for (unsigned d = 1; d <= ACCEL_DTYPE_LAST; d++)
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
