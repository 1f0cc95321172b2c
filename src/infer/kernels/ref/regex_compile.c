/* SPDX-License-Identifier: Apache-2.0 */
/* From a pattern straight to a program: each construct emits its stretch of code behind what is
 * there; repetition and alternatives wrap or copy the stretch that came last. */
#include "infer/kernels/regex.h"

#include <string.h>

#include "infer/kernels/regex_program.h"
#include "infer/kernels/unicode.h"

#define DEPTH_MAX   200   /* groups within groups: they recurse */
#define REPEAT_MAX  1000  /* of one repetition, and of nested ones together: RE2's */
#define PROGRAM_MAX 20000 /* instructions */
#define CODE_MAX    0x10ffffu

struct flags {
    bool fold, multiline, newline; /* (?i), (?m), (?s) */
};

struct compiler {
    const char *pattern, *at;
    struct accel_error *err;
    struct flags flags;
    unsigned depth;
    struct accel_regex_code *code;
    size_t count, capacity;
    struct accel_regex_range *range;
    size_t ranges, range_capacity;
};

#define INVALID(c, ...) \
    accel_fail((c)->err, ACCEL_E_INVALID, "pattern, character %zu: " __VA_ARGS__)
#define WHERE(c) ((size_t)((c)->at - (c)->pattern))

/* ---------------------------------------------------------------- the program */

static int emit(struct compiler *c, struct accel_regex_code code)
{
    if (c->count == PROGRAM_MAX)
        return accel_fail(c->err, ACCEL_E_UNSUPPORTED, "pattern: of more than %d steps",
                          PROGRAM_MAX);
    const int rc = accel_grow(&c->code, &c->capacity, c->count + 1, sizeof(*c->code), c->err);
    if (rc == ACCEL_OK)
        c->code[c->count++] = code;
    return rc;
}

/* Puts an instruction in front of those from `start` on. */
static int emit_before(struct compiler *c, size_t start, struct accel_regex_code code)
{
    const int rc = emit(c, code);

    if (rc != ACCEL_OK)
        return rc;
    memmove(&c->code[start + 1], &c->code[start], (c->count - 1 - start) * sizeof(*c->code));
    c->code[start] = code;
    return ACCEL_OK;
}

static int add_range(struct compiler *c, uint32_t first, uint32_t last)
{
    const int rc =
        accel_grow(&c->range, &c->range_capacity, c->ranges + 1, sizeof(*c->range), c->err);

    if (rc == ACCEL_OK)
        c->range[c->ranges++] = (struct accel_regex_range){first, last};
    return rc;
}

/* ---------------------------------------------------------------- classes */

/* Ranges, in order, as pairs of characters of a string. */
struct named {
    const char *name, *ranges;
};

static const struct named perl[] = {{"d", "09"}, {"s", "\t\n\f\r  "}, {"w", "09AZ__az"}};
static const struct named posix[] = {{"alnum", "09AZaz"},
                                     {"alpha", "AZaz"},
                                     {"ascii", "\x01\x7f"},
                                     {"blank", "\t\t  "},
                                     {"cntrl", "\x01\x1f\x7f\x7f"},
                                     {"digit", "09"},
                                     {"graph", "!~"},
                                     {"lower", "az"},
                                     {"print", " ~"},
                                     {"punct", "!/:@[`{~"},
                                     {"space", "\t\r  "},
                                     {"upper", "AZ"},
                                     {"word", "09AZ__az"},
                                     {"xdigit", "09AFaf"}};

/* The ranges of a named class, or all that lies between them. */
static int add_named(struct compiler *c, const struct named *class, bool negated)
{
    uint32_t next = 0;
    int rc = ACCEL_OK;

    for (const char *r = class->ranges; *r != '\0' && rc == ACCEL_OK; r += 2) {
        const uint32_t first = (unsigned char)r[0], last = (unsigned char)r[1];

        if (!negated)
            rc = add_range(c, first, last);
        else if (first > next)
            rc = add_range(c, next, first - 1);
        next = last + 1;
    }
    return negated && rc == ACCEL_OK ? add_range(c, next, CODE_MAX) : rc;
}

/* \d and its kin at c->at. *found: there is one, and it was added. */
static int perl_class(struct compiler *c, bool *found)
{
    *found = false;
    if (c->at[0] != '\\')
        return ACCEL_OK;
    if (c->at[1] == 'p' || c->at[1] == 'P')
        return accel_fail(c->err, ACCEL_E_UNSUPPORTED,
                          "pattern, character %zu: Unicode classes are not there", WHERE(c));
    for (size_t i = 0; i < ACCEL_COUNT(perl); i++) {
        const char lower = perl[i].name[0], upper = (char)(lower - 'a' + 'A');

        if (c->at[1] != lower && c->at[1] != upper)
            continue;
        *found = true;
        const bool negated = c->at[1] == upper;
        c->at += 2;
        return add_named(c, &perl[i], negated);
    }
    return ACCEL_OK;
}

/* [:alpha:] at c->at, within brackets. */
static int posix_class(struct compiler *c, bool *found)
{
    const char *end = c->at[0] == '[' && c->at[1] == ':' ? strstr(c->at + 2, ":]") : NULL;

    *found = end != NULL;
    if (end == NULL)
        return ACCEL_OK;
    const bool negated = c->at[2] == '^';
    const char *name = c->at + 2 + negated;
    for (size_t i = 0; i < ACCEL_COUNT(posix); i++) {
        const size_t size = strlen(posix[i].name);

        if (size == (size_t)(end - name) && strncmp(name, posix[i].name, size) == 0) {
            c->at = end + 2;
            /* The NUL, which no text has, is the only one of them that is not in the table. */
            return add_named(c, &posix[i], negated);
        }
    }
    return INVALID(c, "no class of that name", WHERE(c));
}

/* ---------------------------------------------------------------- characters */

static int hex_digit(char x)
{
    return x >= '0' && x <= '9'   ? x - '0'
           : x >= 'a' && x <= 'f' ? x - 'a' + 10
           : x >= 'A' && x <= 'F' ? x - 'A' + 10
                                  : -1;
}

/* Behind \x: two digits, or any number in braces. */
static int hex_escape(struct compiler *c, uint32_t *code)
{
    const bool braces = *c->at == '{';
    unsigned digits = 0;

    *code = 0;
    c->at += braces;
    for (; hex_digit(*c->at) >= 0 && *code <= CODE_MAX && (braces || digits < 2); digits++)
        *code = *code << 4 | (uint32_t)hex_digit(*c->at++);
    if (digits == 0 || (!braces && digits < 2) || *code > CODE_MAX || (braces && *c->at != '}'))
        return INVALID(c, "not a hexadecimal number of a character", WHERE(c));
    c->at += braces;
    return ACCEL_OK;
}

/* A backslash and what it stands for, where that is one character. */
static int escape(struct compiler *c, uint32_t *code)
{
    static const char names[] = "afnrtv", meant[] = "\a\f\n\r\t\v";
    const char x = c->at[1], *named;

    if (x == '\0')
        return INVALID(c, "a backslash at the end", WHERE(c));
    if (x == 'C')
        return accel_fail(c->err, ACCEL_E_UNSUPPORTED, "pattern, character %zu: \\C is not there",
                          WHERE(c));
    if (x == 'x') {
        c->at += 2;
        return hex_escape(c, code);
    }
    if ((x >= '1' && x <= '7' && c->at[2] >= '0' && c->at[2] <= '7') || x == '0') {
        c->at++;
        *code = 0;
        for (unsigned i = 0; i < 3 && *c->at >= '0' && *c->at <= '7'; i++)
            *code = *code * 8 + (uint32_t)(*c->at++ - '0');
        return ACCEL_OK;
    }
    named = strchr(names, x);
    if (named != NULL)
        *code = (unsigned char)meant[named - names];
    else if ((unsigned char)x < 0x80 && hex_digit(x) < 0 && !(x >= 'g' && x <= 'z') &&
             !(x >= 'G' && x <= 'Z'))
        *code = (unsigned char)x;
    else
        return INVALID(c, "no such escape", WHERE(c));
    c->at += 2;
    return ACCEL_OK;
}

/* One character, escaped or not. */
static int character(struct compiler *c, uint32_t *code)
{
    size_t size;

    if (*c->at == '\\')
        return escape(c, code);
    *code = accel_utf8_read(c->at, &size);
    if (*code == ACCEL_UTF8_BAD)
        return INVALID(c, "not UTF-8", WHERE(c));
    c->at += size;
    return ACCEL_OK;
}

/* From the bracket on. */
static int bracket(struct compiler *c)
{
    struct accel_regex_code class = {
        .op = ACCEL_REGEX_CLASS, .fold = c->flags.fold, .x = (int32_t)c->ranges};
    bool found;

    c->at++;
    class.negated = *c->at == '^';
    c->at += class.negated;
    for (bool first = true; first || *c->at != ']'; first = false) {
        uint32_t low, high;

        if (*c->at == '\0')
            return INVALID(c, "a bracket is not closed", WHERE(c));
        int rc = posix_class(c, &found);
        if (rc == ACCEL_OK && !found)
            rc = perl_class(c, &found);
        if (rc != ACCEL_OK)
            return rc;
        if (found)
            continue;
        rc = character(c, &low);
        high = low;
        if (rc == ACCEL_OK && c->at[0] == '-' && c->at[1] != ']' && c->at[1] != '\0') {
            c->at++;
            rc = character(c, &high);
        }
        if (rc == ACCEL_OK && high < low)
            return INVALID(c, "a range that ends before it begins", WHERE(c));
        if (rc == ACCEL_OK)
            rc = add_range(c, low, high);
        if (rc != ACCEL_OK)
            return rc;
    }
    c->at++;
    class.y = (int32_t)c->ranges - class.x;
    return emit(c, class);
}

/* ---------------------------------------------------------------- single things */

static int simple(struct compiler *c, enum accel_regex_op op, size_t size)
{
    c->at += size;
    return emit(c, (struct accel_regex_code){.op = (uint8_t)op});
}

/* \d, \b, \n ...: what begins with a backslash. */
static int backslash(struct compiler *c)
{
    static const struct {
        char name;
        enum accel_regex_op op;
    } asserts[] = {{'A', ACCEL_REGEX_BEGIN_TEXT},
                   {'z', ACCEL_REGEX_END_TEXT},
                   {'b', ACCEL_REGEX_WORD},
                   {'B', ACCEL_REGEX_NOT_WORD}};
    struct accel_regex_code code = {.op = ACCEL_REGEX_CLASS, .x = (int32_t)c->ranges};
    bool found;
    uint32_t letter;

    for (size_t i = 0; i < ACCEL_COUNT(asserts); i++)
        if (c->at[1] == asserts[i].name)
            return simple(c, asserts[i].op, 2);
    int rc = perl_class(c, &found);
    if (rc != ACCEL_OK)
        return rc;
    if (found) {
        code.y = (int32_t)c->ranges - code.x;
        return emit(c, code);
    }
    rc = escape(c, &letter);
    return rc == ACCEL_OK ? emit(c, (struct accel_regex_code){.op = ACCEL_REGEX_CHAR,
                                                              .fold = c->flags.fold,
                                                              .x = (int32_t)letter})
                          : rc;
}

static int any(struct compiler *c)
{
    const struct accel_regex_code but_newline = {
        .op = ACCEL_REGEX_CLASS, .negated = true, .x = (int32_t)c->ranges, .y = 1};

    if (c->flags.newline)
        return simple(c, ACCEL_REGEX_ANY, 1);
    c->at++;
    const int rc = add_range(c, '\n', '\n');
    return rc == ACCEL_OK ? emit(c, but_newline) : rc;
}

static int literal(struct compiler *c)
{
    uint32_t letter;
    const int rc = character(c, &letter);

    return rc == ACCEL_OK ? emit(c, (struct accel_regex_code){.op = ACCEL_REGEX_CHAR,
                                                              .fold = c->flags.fold,
                                                              .x = (int32_t)letter})
                          : rc;
}

/* Behind "(?": names and flags. *closed: it was flags alone, the parenthesis is closed. */
static int group_head(struct compiler *c, bool *closed)
{
    bool on = true;

    *closed = false;
    if (*c->at == '<' || (c->at[0] == 'P' && c->at[1] == '<')) {
        const char *name = strchr(c->at, '<') + 1;
        const char *end = name + strspn(name, "0123456789_abcdefghijklmnopqrstuvwxyz"
                                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

        if (end == name || *end != '>')
            return INVALID(c, "a group's name", WHERE(c));
        c->at = end + 1;
        return ACCEL_OK;
    }
    for (;; c->at++) {
        switch (*c->at) {
        case 'i':
            c->flags.fold = on;
            break;
        case 'm':
            c->flags.multiline = on;
            break;
        case 's':
            c->flags.newline = on;
            break;
        case 'U': /* which of several matches: there is no other than the whole text */
            break;
        case '-':
            if (!on)
                return INVALID(c, "a second minus among flags", WHERE(c));
            on = false;
            break;
        case ')':
        case ':':
            *closed = *c->at++ == ')';
            return ACCEL_OK;
        default:
            return INVALID(c, "no such flag or group", WHERE(c));
        }
    }
}

static int alternatives(struct compiler *c, unsigned *repeats);

static int group(struct compiler *c, unsigned *repeats)
{
    const struct flags outside = c->flags;
    bool closed = false;
    int rc = ACCEL_OK;

    c->at++;
    if (*c->at == '?') {
        c->at++;
        rc = group_head(c, &closed);
    }
    if (rc != ACCEL_OK || closed) /* flags alone hold to the end of the group around them */
        return rc;
    if (++c->depth > DEPTH_MAX)
        return accel_fail(c->err, ACCEL_E_UNSUPPORTED, "pattern: groups nest more than %d deep",
                          DEPTH_MAX);
    rc = alternatives(c, repeats);
    c->depth--;
    if (rc == ACCEL_OK && *c->at != ')')
        return INVALID(c, "a parenthesis is not closed", WHERE(c));
    c->at += rc == ACCEL_OK;
    c->flags = outside;
    return rc;
}

/* ---------------------------------------------------------------- repetition */

/* {n}, {n,} or {n,m}; anything else is no repetition. most < 0: any number. */
static bool read_counts(const char **at, int *least, int *most)
{
    const char *p = *at + 1;
    int value[2] = {0, 0};

    for (int k = 0; k < 2; k++) {
        size_t digits = 0;

        for (; *p >= '0' && *p <= '9'; p++, digits++)
            value[k] = value[k] > REPEAT_MAX ? value[k] : value[k] * 10 + (*p - '0');
        if (k == 0 && digits == 0)
            return false;
        if (k == 1 && digits == 0)
            value[1] = -1;
        if (k == 0 && *p != ',') {
            value[1] = value[0];
            break;
        }
        p += k == 0;
    }
    if (*p != '}')
        return false;
    *at = p + 1;
    *least = value[0];
    *most = value[1];
    return true;
}

/* Another copy of the stretch of `size` at `start`. */
static int emit_copy(struct compiler *c, size_t start, size_t size)
{
    int rc = ACCEL_OK;

    for (size_t i = 0; i < size && rc == ACCEL_OK; i++)
        rc = emit(c, c->code[start + i]);
    return rc;
}

static int emit_star(struct compiler *c, size_t start)
{
    const int32_t size = (int32_t)(c->count - start);
    const int rc = emit_before(
        c, start, (struct accel_regex_code){.op = ACCEL_REGEX_SPLIT, .x = 1, .y = size + 2});

    return rc == ACCEL_OK
               ? emit(c, (struct accel_regex_code){.op = ACCEL_REGEX_JUMP, .x = -size - 1})
               : rc;
}

static int emit_optional(struct compiler *c, size_t start)
{
    return emit_before(c, start,
                       (struct accel_regex_code){
                           .op = ACCEL_REGEX_SPLIT, .x = 1, .y = (int32_t)(c->count - start) + 1});
}

/* The stretch from `start` on becomes least..most of it. */
static int repeat(struct compiler *c, size_t start, int least, int most)
{
    const size_t size = c->count - start;
    int rc = ACCEL_OK, copies = 1;

    if (most == 0) {
        c->count = start;
        return ACCEL_OK;
    }
    for (; copies < least && rc == ACCEL_OK; copies++)
        rc = emit_copy(c, start, size);
    if (most < 0 && least > 0 && rc == ACCEL_OK) /* the last one again and again */
        return emit(
            c, (struct accel_regex_code){.op = ACCEL_REGEX_SPLIT, .x = -(int32_t)size, .y = 1});
    if (most < 0 && rc == ACCEL_OK)
        return emit_star(c, start);
    if (least == 0 && rc == ACCEL_OK)
        rc = emit_optional(c, start);
    /* Every further one may be left out, whether those before it were or not. */
    const size_t from = least == 0 ? start + 1 : start;
    for (; copies < most && rc == ACCEL_OK; copies++) {
        const size_t last = c->count;

        rc = emit_copy(c, from, size);
        if (rc == ACCEL_OK)
            rc = emit_optional(c, last);
    }
    return rc;
}

/* What may follow a thing: * + ? {n,m}, each perhaps with a ? behind it. */
static int repetition(struct compiler *c, size_t start, unsigned *repeats)
{
    int least = 0, most = -1, rc;
    bool twice = false;

    for (;; twice = true) {
        const char *at = c->at;

        if (*at == '*' || *at == '+' || *at == '?') {
            least = *at == '+';
            most = *at == '?' ? 1 : -1;
            at++;
        } else if (*at != '{' || !read_counts(&at, &least, &most)) {
            return ACCEL_OK;
        } else {
            if (least > REPEAT_MAX || most > REPEAT_MAX || (most >= 0 && most < least))
                return INVALID(c, "a repetition of %d to %d times", WHERE(c), least, most);
            *repeats *= (unsigned)ACCEL_MAX(ACCEL_MAX(least, most), 1);
        }
        if (twice || *repeats > REPEAT_MAX)
            return INVALID(c, "a repetition of a repetition", WHERE(c));
        c->at = at + (*at == '?'); /* fewer or more first: no matter for a whole text */
        rc = repeat(c, start, least, most);
        if (rc != ACCEL_OK)
            return rc;
    }
}

/* ---------------------------------------------------------------- sequences */

/* \Q...\E: each character is one; a repetition behind it is of the last. */
static int quoted(struct compiler *c, size_t *start)
{
    int rc = ACCEL_OK;

    c->at += 2;
    *start = c->count;
    while (rc == ACCEL_OK && *c->at != '\0' && strncmp(c->at, "\\E", 2) != 0) {
        uint32_t letter = '\\';

        *start = c->count;
        if (*c->at == '\\')
            c->at++;
        else
            rc = character(c, &letter);
        if (rc == ACCEL_OK)
            rc = emit(c, (struct accel_regex_code){
                             .op = ACCEL_REGEX_CHAR, .fold = c->flags.fold, .x = (int32_t)letter});
    }
    c->at += *c->at != '\0' ? 2 : 0;
    return rc;
}

static int thing(struct compiler *c, size_t *start, unsigned *repeats)
{
    const char *at = c->at;
    int least, most;

    *start = c->count;
    switch (*at) {
    case '(':
        return group(c, repeats);
    case '[':
        return bracket(c);
    case '.':
        return any(c);
    case '^':
        return simple(c, c->flags.multiline ? ACCEL_REGEX_BEGIN_LINE : ACCEL_REGEX_BEGIN_TEXT, 1);
    case '$':
        return simple(c, c->flags.multiline ? ACCEL_REGEX_END_LINE : ACCEL_REGEX_END_TEXT, 1);
    case '\\':
        return at[1] == 'Q' ? quoted(c, start) : backslash(c);
    case '*':
    case '+':
    case '?':
        return INVALID(c, "nothing to repeat", WHERE(c));
    case '{':
        if (read_counts(&at, &least, &most))
            return INVALID(c, "nothing to repeat", WHERE(c));
        return literal(c);
    default:
        return literal(c);
    }
}

static int sequence(struct compiler *c, unsigned *repeats)
{
    int rc = ACCEL_OK;

    while (rc == ACCEL_OK && *c->at != '\0' && *c->at != '|' && *c->at != ')') {
        unsigned own = 1;
        size_t start;

        rc = thing(c, &start, &own);
        if (rc == ACCEL_OK)
            rc = repetition(c, start, &own);
        *repeats = ACCEL_MAX(*repeats, own);
    }
    return rc;
}

static int alternatives(struct compiler *c, unsigned *repeats)
{
    const size_t start = c->count;
    int rc = sequence(c, repeats);

    while (rc == ACCEL_OK && *c->at == '|') {
        /* split to what was there, jump over the next one; or the next one. */
        rc = emit_before(c, start,
                         (struct accel_regex_code){.op = ACCEL_REGEX_SPLIT,
                                                   .x = 1,
                                                   .y = (int32_t)(c->count - start) + 2});
        const size_t jump = c->count;
        if (rc == ACCEL_OK)
            rc = emit(c, (struct accel_regex_code){.op = ACCEL_REGEX_JUMP});
        c->at++;
        if (rc == ACCEL_OK)
            rc = sequence(c, repeats);
        if (rc == ACCEL_OK)
            c->code[jump].x = (int32_t)(c->count - jump);
    }
    return rc;
}

/* ---------------------------------------------------------------- the whole */

static int keep(const struct compiler *c, struct accel_bump *mem, const struct accel_regex **out)
{
    struct accel_regex *r = accel_bump_alloc(mem, 1, sizeof(*r));
    struct accel_regex_code *code = accel_bump_alloc(mem, c->count, sizeof(*code));
    struct accel_regex_range *range = accel_bump_alloc(mem, c->ranges, sizeof(*range));

    if (r == NULL || code == NULL || range == NULL)
        return accel_fail(c->err, ACCEL_E_NOMEM, "no memory for a pattern");
    memcpy(code, c->code, c->count * sizeof(*code));
    if (c->ranges > 0)
        memcpy(range, c->range, c->ranges * sizeof(*range));
    *r = (struct accel_regex){c->count, code, range};
    *out = r;
    return ACCEL_OK;
}

int accel_regex_compile(const char *pattern, struct accel_bump *mem, const struct accel_regex **out,
                        struct accel_error *err)
{
    struct compiler c = {.pattern = pattern, .at = pattern, .err = err};
    unsigned repeats = 1;
    int rc = alternatives(&c, &repeats);

    if (rc == ACCEL_OK && *c.at != '\0')
        rc = INVALID(&c, "a parenthesis that closes nothing", WHERE(&c));
    if (rc == ACCEL_OK)
        rc = emit(&c, (struct accel_regex_code){.op = ACCEL_REGEX_MATCH});
    if (rc == ACCEL_OK)
        rc = keep(&c, mem, out);
    accel_free(c.code);
    accel_free(c.range);
    return rc;
}
