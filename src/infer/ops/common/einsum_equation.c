/* SPDX-License-Identifier: Apache-2.0 */
/* The equation of an Einsum as text, and what the shapes of the operands make of it. */
#include "infer/ops/einsum.h"

#include <string.h>

static int letter_of(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? 26 + c - 'a' : -1;
}

/* Reads up to ',' or "->" or the end. */
static int read_term(const char **at, struct einsum_term *t, struct accel_error *err)
{
    bool ellipsis = false;

    for (; **at != '\0' && **at != ',' && **at != '-'; (*at)++) {
        const int letter = letter_of(**at);
        const bool dots = strncmp(*at, "...", 3) == 0;

        if (**at == ' ')
            continue;
        if (letter < 0 && (!dots || ellipsis))
            return accel_fail(
                err, ACCEL_E_INVALID,
                "equation: at '%s' neither a letter nor the only ellipsis of its term", *at);
        if (t->count == ACCEL_COUNT(t->index))
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "equation: a term of more than %d indices",
                              ACCEL_RANK_MAX);
        t->index[t->count++] = dots ? EINSUM_ELLIPSIS : (uint8_t)letter;
        ellipsis = ellipsis || dots;
        *at += dots ? 2 : 0;
    }
    return ACCEL_OK;
}

static bool term_has(const struct einsum_term *t, uint8_t index)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (t->index[i] == index)
            return true;
    return false;
}

static int check_output(const struct einsum_equation *e, struct accel_error *err)
{
    for (uint32_t i = 0; i < e->out.count; i++) {
        bool found = e->out.index[i] == EINSUM_ELLIPSIS;

        for (size_t k = 0; k < e->operands && !found; k++)
            found = term_has(&e->term[k], e->out.index[i]);
        for (uint32_t j = 0; j < i && found; j++)
            found = e->out.index[j] != e->out.index[i];
        if (!found)
            return accel_fail(err, ACCEL_E_INVALID,
                              "equation: the output has a letter twice, or one of no input");
    }
    return ACCEL_OK;
}

/* Without "->": the ellipsis, then the letters that occur once, in order. */
static void imply_output(struct einsum_equation *e)
{
    unsigned seen[EINSUM_LETTERS] = {0};
    bool ellipsis = false;

    for (size_t k = 0; k < e->operands; k++)
        for (uint32_t i = 0; i < e->term[k].count; i++) {
            if (e->term[k].index[i] == EINSUM_ELLIPSIS)
                ellipsis = true;
            else
                seen[e->term[k].index[i]]++;
        }
    if (ellipsis)
        e->out.index[e->out.count++] = EINSUM_ELLIPSIS;
    for (uint8_t letter = 0; letter < EINSUM_LETTERS; letter++)
        if (seen[letter] == 1 && e->out.count < ACCEL_COUNT(e->out.index))
            e->out.index[e->out.count++] = letter;
}

int accel_einsum_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    const char *at = accel_attr_string(n, "equation", "");
    struct einsum_equation *e = accel_bump_alloc(mem, 1, sizeof(*e));
    struct einsum_term *terms = accel_bump_alloc(mem, n->inputs_count + 1, sizeof(*terms));
    int rc = ACCEL_OK;

    if (e == NULL || terms == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its equation");
    *params = e;
    e->term = terms;
    for (bool more = true; more && rc == ACCEL_OK; at += more) {
        if (e->operands == n->inputs_count)
            return accel_fail(err, ACCEL_E_INVALID, "equation: more terms than the %zu inputs",
                              n->inputs_count);
        rc = read_term(&at, &terms[e->operands++], err);
        more = *at == ',';
    }
    if (rc != ACCEL_OK)
        return rc;
    if (e->operands != n->inputs_count)
        return accel_fail(err, ACCEL_E_INVALID, "equation: %zu terms for %zu inputs", e->operands,
                          n->inputs_count);
    e->has_out = *at != '\0';
    if (!e->has_out) {
        imply_output(e);
        return ACCEL_OK;
    }
    if (strncmp(at, "->", 2) != 0)
        return accel_fail(err, ACCEL_E_INVALID, "equation: '%s' is not ->", at);
    at += 2;
    rc = read_term(&at, &e->out, err);
    if (rc == ACCEL_OK && *at != '\0')
        return accel_fail(err, ACCEL_E_INVALID, "equation: '%s' after the output", at);
    return rc == ACCEL_OK ? check_output(e, err) : rc;
}

/* ---------------------------------------------------------------- with shapes */

int accel_einsum_axes(const struct einsum_term *t, uint32_t rank, uint8_t *axes,
                      struct accel_error *err)
{
    const bool ellipsis = term_has(t, EINSUM_ELLIPSIS);
    const uint32_t letters = t->count - ellipsis;
    uint32_t at = 0;

    if (rank < letters || (rank > letters && !ellipsis))
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u for a term of %u indices",
                          rank, letters);
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->index[i] != EINSUM_ELLIPSIS) {
            axes[at++] = t->index[i];
            continue;
        }
        for (uint32_t left = rank - letters; left-- > 0;)
            axes[at++] = (uint8_t)(EINSUM_LETTERS + left);
    }
    return ACCEL_OK;
}

static int merge_dim(struct einsum_extents *x, uint8_t index, int64_t dim, struct accel_error *err)
{
    int64_t *have = &x->dim[index];

    if (!x->used[index] || *have == 1 || (*have < 0 && dim > 1) || (*have < 0 && dim == 0))
        *have = dim;
    else if (dim >= 0 && dim != 1 && *have >= 0 && *have != dim)
        return accel_fail(err, ACCEL_E_INVALID, "one index stands for axes of %lld and %lld",
                          (long long)*have, (long long)dim);
    x->used[index] = true;
    return ACCEL_OK;
}

int accel_einsum_extents(const struct einsum_equation *e, const struct accel_type *const *in,
                         struct einsum_extents *x, struct accel_error *err)
{
    uint8_t axes[ACCEL_RANK_MAX];

    *x = (struct einsum_extents){0};
    for (size_t k = 0; k < e->operands; k++) {
        const struct accel_shape *s = &in[k]->shape;
        int rc = accel_einsum_axes(&e->term[k], s->rank, axes, err);

        for (uint32_t i = 0; i < s->rank && rc == ACCEL_OK; i++) {
            if (axes[i] >= EINSUM_LETTERS)
                x->dots = ACCEL_MAX(x->dots, (uint32_t)axes[i] - EINSUM_LETTERS + 1);
            for (uint32_t j = 0; j < i; j++) /* a diagonal is of a square */
                if (axes[j] == axes[i] && s->dims[j] >= 0 && s->dims[i] >= 0 &&
                    s->dims[j] != s->dims[i])
                    return accel_fail(err, ACCEL_E_INVALID,
                                      "input %zu: a diagonal of axes that differ", k);
            x->last[axes[i]] = k + 1;
            rc = merge_dim(x, axes[i], s->dims[i], err);
        }
        if (rc != ACCEL_OK)
            return rc;
    }
    const bool dots = term_has(&e->out, EINSUM_ELLIPSIS);
    if (x->dots > 0 && !dots)
        return accel_fail(err, ACCEL_E_INVALID, "the inputs have an ellipsis, the output has none");
    x->rank = e->out.count - dots + (dots ? x->dots : 0);
    if (x->rank > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "an output of rank %u", x->rank);
    return accel_einsum_axes(&e->out, x->rank, x->out, err);
}

void accel_einsum_needed(size_t k, const struct einsum_extents *x, bool needed[EINSUM_INDICES])
{
    for (size_t i = 0; i < EINSUM_INDICES; i++)
        needed[i] = x->last[i] > k + 1;
    for (uint32_t i = 0; i < x->rank; i++)
        needed[x->out[i]] = true;
}
