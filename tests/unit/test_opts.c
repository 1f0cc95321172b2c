/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/opts.h"

#include <string.h>

#include "tap.h"

static bool json;
static const char *file;
static unsigned count;
static double scale;
static struct accel_opt_list inputs;

static const struct accel_opt opts[] = {
    {"json", 'j', ACCEL_OPT_FLAG, &json, NULL, "print JSON"},
    {"file", 'f', ACCEL_OPT_STRING, &file, "FILE", "a file"},
    {"count", 'n', ACCEL_OPT_UINT, &count, "N", "how many"},
    {"scale", 0, ACCEL_OPT_NUMBER, &scale, "X", "factor"},
    {"input", 'i', ACCEL_OPT_LIST, &inputs, "NAME=FILE", "an input"},
    {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
};

/* What the parser left of the words, operands first. */
static char *argv[16];

static int parse(const char *const *words, int argc, int *operands, struct accel_error *err)
{
    memcpy(argv, words, (size_t)argc * sizeof(*argv));
    json = false;
    file = NULL;
    count = 0;
    scale = 0;
    inputs.count = 0;
    return accel_opts_parse(opts, argc, argv, operands, err);
}

static void takes_options_and_operands_in_any_order(void)
{
    const char *const words[] = {"one", "--json", "-f", "x",   "two", "--count=7", "--scale",
                                 "0.5", "-ia=b",  "-i", "c=d", "--",  "--three"};
    struct accel_error err;
    int operands;

    ok(parse(words, 13, &operands, &err) == ACCEL_OK, "mixed arguments are taken");
    ok(json && strcmp(file, "x") == 0 && count == 7 && scale == 0.5,
       "every kind of value is stored");
    ok(inputs.count == 2 && strcmp(inputs.items[1], "c=d") == 0, "a list keeps its order");
    ok(operands == 3 && strcmp(argv[1], "two") == 0 && strcmp(argv[2], "--three") == 0,
       "operands come to the front, -- ends the options");
}

static void says_what_is_wrong(void)
{
    const struct {
        const char *argument, *sentence;
    } cases[] = {
        {"--jsno", "unknown option --jsno; did you mean --json?"},
        {"--json=1", "--json takes no value"},
        {"--file", "--file needs a value: --file FILE"},
        {"--count=-3", "--count takes a whole number, not \"-3\""},
        {"--count=99999999999", "--count takes a whole number, not \"99999999999\""},
        {"--scale=nan", "--scale takes a number, not \"nan\""},
        {"-x", "unknown option -x"},
    };

    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        const char *const words[] = {cases[i].argument};
        struct accel_error err = {0};
        int operands;
        ok(parse(words, 1, &operands, &err) == ACCEL_E_INVALID &&
               strncmp(err.msg, cases[i].sentence, strlen(cases[i].sentence)) == 0,
           "%s: %s", cases[i].argument, err.msg);
    }
}

int main(void)
{
    takes_options_and_operands_in_any_order();
    says_what_is_wrong();
    return tap_done();
}
