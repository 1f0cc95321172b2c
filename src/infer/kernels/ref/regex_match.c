/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/regex.h"

#include <string.h>

#include "infer/kernels/regex_program.h"
#include "infer/kernels/unicode.h"

/* A set of instructions that is emptied in no time (Briggs and Torczon, ACM LOPLAS 2, 1993). */
struct set {
    uint32_t count, *members, *where;
};

static bool contains(const struct set *s, uint32_t i)
{
    return s->where[i] < s->count && s->members[s->where[i]] == i;
}

static void insert(struct set *s, uint32_t i)
{
    s->where[i] = s->count;
    s->members[s->count++] = i;
}

/* Two sets and a stack on which each instruction may lie twice. */
size_t accel_regex_work_bytes(const struct accel_regex *regex)
{
    return regex->count * 6 * sizeof(uint32_t); /* of a program that was bounded */
}

#define NOTHING UINT32_MAX /* before the first and after the last code point */

static bool is_word(uint32_t code)
{
    return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || code == '_' ||
           (code >= 'a' && code <= 'z');
}

/* May an instruction that looks at both sides be passed? */
static bool holds(enum accel_regex_op op, uint32_t before, uint32_t after)
{
    switch (op) {
    case ACCEL_REGEX_BEGIN_TEXT:
        return before == NOTHING;
    case ACCEL_REGEX_END_TEXT:
        return after == NOTHING;
    case ACCEL_REGEX_BEGIN_LINE:
        return before == NOTHING || before == '\n';
    case ACCEL_REGEX_END_LINE:
        return after == NOTHING || after == '\n';
    case ACCEL_REGEX_WORD:
        return is_word(before) != is_word(after);
    default:
        return is_word(before) == is_word(after);
    }
}

/* Adds instruction `first` and all that follow from it without reading anything. */
static void follow(const struct accel_regex *r, uint32_t first, uint32_t before, uint32_t after,
                   struct set *set, uint32_t *stack)
{
    size_t depth = 0;

    stack[depth++] = first;
    while (depth > 0) {
        const uint32_t i = stack[--depth];
        const struct accel_regex_code *c = &r->code[i];

        if (contains(set, i))
            continue;
        insert(set, i);
        switch ((enum accel_regex_op)c->op) {
        case ACCEL_REGEX_SPLIT:
            stack[depth++] = (uint32_t)((int32_t)i + c->y);
            stack[depth++] = (uint32_t)((int32_t)i + c->x);
            break;
        case ACCEL_REGEX_JUMP:
            stack[depth++] = (uint32_t)((int32_t)i + c->x);
            break;
        case ACCEL_REGEX_CHAR:
        case ACCEL_REGEX_CLASS:
        case ACCEL_REGEX_ANY:
        case ACCEL_REGEX_MATCH:
            break;
        default:
            if (holds((enum accel_regex_op)c->op, before, after))
                stack[depth++] = i + 1;
        }
    }
}

/* A code point with those it folds with. */
struct letter {
    uint32_t form[ACCEL_FOLDS_MAX];
    unsigned forms; /* 0: not asked for yet */
};

static bool in_ranges(const struct accel_regex_range *range, int32_t count, uint32_t code)
{
    for (int32_t i = 0; i < count; i++)
        if (code >= range[i].first && code <= range[i].last)
            return true;
    return false;
}

static bool accepts(const struct accel_regex *r, const struct accel_regex_code *c, uint32_t code,
                    struct letter *letter)
{
    bool found = false;

    if (c->op == ACCEL_REGEX_ANY)
        return true;
    if (c->fold && letter->forms == 0)
        letter->forms = accel_unicode_folds(code, letter->form);
    for (unsigned i = 0; i < (c->fold ? letter->forms : 1) && !found; i++) {
        const uint32_t form = c->fold ? letter->form[i] : code;

        found = c->op == ACCEL_REGEX_CHAR ? form == (uint32_t)c->x
                                          : in_ranges(r->range + c->x, c->y, form);
    }
    return found != c->negated;
}

bool accel_regex_matches(const struct accel_regex *r, const char *text, void *work)
{
    uint32_t *at = work;
    struct set now = {0, at, at + r->count}, next = {0, at + 2 * r->count, at + 3 * r->count};
    uint32_t *stack = at + 4 * r->count, before = NOTHING, code;
    size_t size = 0;

    memset(work, 0, 4 * r->count * sizeof(*at)); /* so that asking for members is defined */
    code = *text != '\0' ? accel_utf8_read(text, &size) : NOTHING;
    follow(r, 0, NOTHING, code, &now, stack);
    while (*text != '\0' && now.count > 0) {
        struct letter letter = {.forms = 0};

        if (code == ACCEL_UTF8_BAD)
            return false;
        text += size;
        before = code;
        const uint32_t after = *text != '\0' ? accel_utf8_read(text, &size) : NOTHING;
        next.count = 0;
        for (uint32_t i = 0; i < now.count; i++) {
            const struct accel_regex_code *c = &r->code[now.members[i]];

            if (c->op <= ACCEL_REGEX_ANY && accepts(r, c, before, &letter))
                follow(r, now.members[i] + 1, before, after, &next, stack);
        }
        code = after;
        const struct set done = now;
        now = next;
        next = done;
    }
    return *text == '\0' && contains(&now, (uint32_t)r->count - 1);
}

/* ---------------------------------------------------------------- searching */

/* Instructions with the place that the way to each began at; in the order of these places, which
 * is kept when each is followed in its turn. */
struct ways {
    struct set set;
    size_t *born;
};

static void swap_ways(struct ways *a, struct ways *b)
{
    const struct ways held = *a;

    *a = *b;
    *b = held;
}

size_t accel_regex_search_bytes(const struct accel_regex *regex)
{
    return accel_regex_work_bytes(regex) + regex->count * 2 * sizeof(size_t);
}

static void follow_from(const struct accel_regex *r, uint32_t first, uint32_t before,
                        uint32_t after, struct ways *ways, size_t born, uint32_t *stack)
{
    const uint32_t old = ways->set.count;

    follow(r, first, before, after, &ways->set, stack);
    for (uint32_t i = old; i < ways->set.count; i++)
        ways->born[ways->set.members[i]] = born;
}

/* The code point before text[at], and the one there. */
static uint32_t code_before(const char *text, size_t at)
{
    size_t size;

    if (at == 0)
        return NOTHING;
    do
        at--;
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80);
    return accel_utf8_read(text + at, &size);
}

static uint32_t code_at(const char *text, size_t size, size_t at, size_t *bytes)
{
    return at < size ? accel_utf8_read(text + at, bytes) : NOTHING;
}

/* Every way over the code point `code` goes on in `next`. */
static void step_ways(const struct accel_regex *r, uint32_t code, uint32_t after,
                      const struct ways *now, struct ways *next, uint32_t *stack)
{
    struct letter letter = {.forms = 0};

    next->set.count = 0;
    for (uint32_t i = 0; i < now->set.count; i++) {
        const uint32_t at = now->set.members[i];
        const struct accel_regex_code *c = &r->code[at];

        if (c->op <= ACCEL_REGEX_ANY && accepts(r, c, code, &letter))
            follow_from(r, at + 1, code, after, next, now->born[at], stack);
    }
}

bool accel_regex_search(const struct accel_regex *r, const char *text, size_t size, size_t from,
                        size_t *begin, size_t *end, void *work)
{
    size_t *born = work, at = from, step = 0;
    uint32_t *sets = (uint32_t *)(born + 2 * r->count), *stack = sets + 4 * r->count;
    struct ways now = {{0, sets, sets + r->count}, born};
    struct ways next = {{0, sets + 2 * r->count, sets + 3 * r->count}, born + r->count};
    const uint32_t match = (uint32_t)r->count - 1;
    uint32_t before = code_before(text, from), code = code_at(text, size, from, &step);
    bool found = false;

    memset(work, 0, accel_regex_search_bytes(r));
    for (;;) {
        /* What begins later counts only while nothing is found. */
        if (!found)
            follow_from(r, 0, before, code, &now, at, stack);
        if (contains(&now.set, match)) {
            found = true;
            *begin = now.born[match];
            *end = at;
            while (now.born[now.set.members[now.set.count - 1]] > *begin)
                now.set.count--;
        }
        if (code == NOTHING || code == ACCEL_UTF8_BAD || (found && now.set.count == 0))
            return found;
        at += step;
        before = code;
        code = code_at(text, size, at, &step);
        step_ways(r, before, code, &now, &next, stack);
        swap_ways(&now, &next);
    }
}
