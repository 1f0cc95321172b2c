/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns that RE2 refuses are refused, with the place; what is too large is too; no pattern takes
 * more than its size times the text's. What matches what: tests/models/oracle_cases/regex.py. */
#include "infer/kernels/regex.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

static int compile(const char *pattern, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const struct accel_regex *regex;

    return accel_regex_compile(pattern, &mem, &regex, err);
}

static void wrong_patterns_are_refused(void)
{
    static const char *const wrong[] = {
        "a{1001}",     "(a{100}){100}", "a**",  "a++",       "a{2}{3}", "(a",      "a)",
        "[a",          "[z-a]",         "*a",   "(?=a)a",    "(?x)a",   "(a)\\1",  "\\e",
        "\\é",         "[\\b]",         "\\",   "[[:foo:]]", "a{3,2}",  "(?P<>a)", "(?P<a",
        "\\x{110000}", "\\xg",          "\xff", "[",         "(?",      "{2}",     "a|*",
        "[a-",         "\\8",           "(?i",  "[\\",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct accel_error err = {0};

        ok(compile(wrong[i], &err) == ACCEL_E_INVALID && strncmp(err.msg, "pattern", 7) == 0,
           "refuses '%s': %s", wrong[i], err.msg);
    }
}

static void what_is_not_there_says_so(void)
{
    static const char *const missing[] = {"\\pL", "[\\p{Greek}]", "\\C",
                                          "(((((a{9}){9}b{9}){9}c{9}){9}d{9}){9})"};
    char deep[1000];

    for (size_t i = 0; i < 3; i++) {
        struct accel_error err = {0};

        ok(compile(missing[i], &err) == ACCEL_E_UNSUPPORTED, "%s: %s", missing[i], err.msg);
    }
    memset(deep, '(', sizeof(deep));
    deep[sizeof(deep) - 1] = '\0';
    struct accel_error err = {0};
    ok(compile(deep, &err) == ACCEL_E_UNSUPPORTED, "groups nest too deep: %s", err.msg);
    err = (struct accel_error){0};
    ok(compile(missing[3], &err) == ACCEL_E_INVALID, "repetitions multiply: %s", err.msg);
    err = (struct accel_error){0};
    ok(compile("([a-z]{1000}|[a-z]{1000}|[a-z]{1000}|[a-z]{1000}|[a-z]{1000}|[a-z]{1000}|"
               "[a-z]{1000}|[a-z]{1000}|[a-z]{1000}|[a-z]{1000}|[a-z]{1000})[a-z]{0,1000}"
               "[a-z]{0,1000}[a-z]{0,1000}[a-z]{0,1000}[a-z]{0,1000}",
               &err) == ACCEL_E_UNSUPPORTED,
       "the program has a bound: %s", err.msg);
}

/* Backtracking would take 2^50000 steps. */
static void nested_repetition_is_linear(void)
{
    enum { N = 50000 };
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const struct accel_regex *regex = NULL;
    struct accel_error err = {0};
    char *text = malloc(N + 1);

    memset(text, 'a', N);
    text[N] = '\0';
    ok(accel_regex_compile("((a*)*|a|aa)*b", &mem, &regex, &err) == ACCEL_OK, "compiles");
    void *work = accel_bump_alloc(&mem, accel_regex_work_bytes(regex), 1);
    ok(!accel_regex_matches(regex, text, work), "no b, no match");
    text[N - 1] = 'b';
    ok(accel_regex_matches(regex, text, work), "with it, a match");
    text[N / 2] = '\xff';
    ok(!accel_regex_matches(regex, text, work), "what is not UTF-8 matches nothing");
    free(text);
}

static void survives_every_failed_allocation(void)
{
    for (long nth = 0;; nth++) {
        struct accel_error err = {0};

        accel_fault_arm(nth);
        const int rc = compile("(a[b-d]|\\w{2,5})*", &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK, "compiles with enough memory");
            return;
        }
        ok(rc == ACCEL_E_NOMEM, "reports that allocation %ld failed", nth);
    }
}

int main(void)
{
    wrong_patterns_are_refused();
    what_is_not_there_says_so();
    nested_repetition_is_linear();
    survives_every_failed_allocation();
    return tap_done();
}
