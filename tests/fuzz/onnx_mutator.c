/* SPDX-License-Identifier: Apache-2.0 */
/* Mutates ONNX models field by field: libFuzzer's own bytes break the lengths of the messages
 * around them, and few mutants come past the parser. One field of the whole tree, each as likely,
 * is taken away, doubled, replaced by another of its kind (a node's operator, an attribute's name)
 * or given another value; what lies around it is written anew with lengths that fit. */
#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "infer/onnx/wire.h"

/* Of libFuzzer, absent when the corpus is replayed. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

enum message {
    LEAF,
    MODEL,
    GRAPH,
    NODE,
    ATTRIBUTE,
    TENSOR,
    SPARSE,
    VALUE_INFO,
    TYPE,
    TENSOR_TYPE,
    ELEMENT_TYPE, /* of a sequence or an optional */
    MAP_TYPE,
    SHAPE,
    DIMENSION,
    OPSET,
    FUNCTION,
};

/* Which fields of a message are messages: onnx.proto. */
static const struct {
    enum message parent;
    uint32_t number;
    enum message child;
} nested[] = {
    {MODEL, 7, GRAPH},       {MODEL, 8, OPSET},         {MODEL, 25, FUNCTION},
    {GRAPH, 1, NODE},        {GRAPH, 5, TENSOR},        {GRAPH, 11, VALUE_INFO},
    {GRAPH, 12, VALUE_INFO}, {GRAPH, 13, VALUE_INFO},   {GRAPH, 15, SPARSE},
    {NODE, 5, ATTRIBUTE},    {ATTRIBUTE, 5, TENSOR},    {ATTRIBUTE, 6, GRAPH},
    {ATTRIBUTE, 11, GRAPH},  {ATTRIBUTE, 14, TYPE},     {ATTRIBUTE, 22, SPARSE},
    {SPARSE, 1, TENSOR},     {SPARSE, 2, TENSOR},       {VALUE_INFO, 2, TYPE},
    {TYPE, 1, TENSOR_TYPE},  {TYPE, 4, ELEMENT_TYPE},   {TYPE, 5, MAP_TYPE},
    {TYPE, 9, ELEMENT_TYPE}, {ELEMENT_TYPE, 1, TYPE},   {MAP_TYPE, 2, TYPE},
    {TENSOR_TYPE, 2, SHAPE}, {SHAPE, 1, DIMENSION},     {FUNCTION, 7, NODE},
    {FUNCTION, 9, OPSET},    {FUNCTION, 11, ATTRIBUTE},
};

static enum message child_of(enum message parent, const struct accel_wire_field *f)
{
    for (size_t i = 0; f->type == ACCEL_WIRE_BYTES && i < ACCEL_COUNT(nested); i++)
        if (nested[i].parent == parent && nested[i].number == f->number)
            return nested[i].child;
    return LEAF;
}

struct mutation {
    uint32_t random; /* xorshift, never 0 */
    size_t fields;   /* met so far */
    size_t target;   /* which of them changes */
    /* What could stand in the target's place: one of those alike, each as likely. */
    enum message parent;
    uint32_t number;
    struct accel_wire_field donor;
    size_t alike;
};

static uint32_t draw(struct mutation *m, uint32_t below)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 17;
    m->random ^= m->random << 5;
    return m->random % below;
}

/* ---------------------------------------------------------------- looking */

typedef void look_fn(struct mutation *m, enum message parent, const struct accel_wire_field *f);

/* Calls look for every field of the tree, those of a message after itself. */
static void walk(struct mutation *m, enum message message, struct accel_slice bytes, look_fn *look)
{
    struct accel_wire w = accel_wire_of(bytes);
    struct accel_wire_field f;
    struct accel_error err;

    while (accel_wire_next(&w, &f, &err) == 1) {
        const enum message child = child_of(message, &f);

        look(m, message, &f);
        if (child != LEAF)
            walk(m, child, f.bytes, look);
    }
}

static void count(struct mutation *m, enum message parent, const struct accel_wire_field *f)
{
    (void)parent;
    (void)f;
    m->fields++;
}

static void find_target(struct mutation *m, enum message parent, const struct accel_wire_field *f)
{
    if (m->fields++ != m->target)
        return;
    m->parent = parent;
    m->number = f->number;
}

static void find_donor(struct mutation *m, enum message parent, const struct accel_wire_field *f)
{
    if (parent == m->parent && f->number == m->number && draw(m, (uint32_t)++m->alike) == 0)
        m->donor = *f;
}

/* ---------------------------------------------------------------- writing */

static void put_varint(struct accel_buf *out, uint64_t v)
{
    do {
        const uint8_t byte = (uint8_t)(v & 0x7f) | (v > 0x7f ? 0x80 : 0);

        accel_buf_append(out, &byte, 1);
        v >>= 7;
    } while (v > 0);
}

static void put(struct accel_buf *out, const struct accel_wire_field *f)
{
    put_varint(out, (uint64_t)f->number << 3 | f->type);
    if (f->type == ACCEL_WIRE_VARINT) {
        put_varint(out, f->value);
    } else if (f->type == ACCEL_WIRE_BYTES) {
        put_varint(out, f->bytes.size);
        accel_buf_append(out, f->bytes.data, f->bytes.size);
    } else {
        accel_buf_append(out, &f->value, f->type == ACCEL_WIRE_64 ? 8 : 4);
    }
}

static uint64_t another_number(struct mutation *m, uint64_t v)
{
    static const int64_t corners[] = {0,         1,         -1,        2,         INT8_MAX,
                                      INT16_MAX, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN,
                                      1 << 20,   1LL << 32, 1LL << 40};

    switch (draw(m, 4)) {
    case 0:
        return (uint64_t)corners[draw(m, ACCEL_COUNT(corners))];
    case 1:
        return v + draw(m, 5) - 2;
    case 2:
        return draw(m, 2) == 0 ? v * 2 : v / 2;
    default:
        return draw(m, 32);
    }
}

/* Of 32 bits: mostly a float. */
static uint64_t another_word(struct mutation *m, uint64_t v)
{
    static const uint32_t corners[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                       0xff800000, 0x7fc00000, 0x7f7fffff, 0x00000001, 0x41200000};

    return draw(m, 2) == 0 ? corners[draw(m, ACCEL_COUNT(corners))] : another_number(m, v);
}

/* Texts and numbers in bytes: one word of 8 or 4 (an element of an initialiser), or whatever
 * libFuzzer makes of them. Into room, of twice the size and 64. */
static struct accel_slice other_bytes(struct mutation *m, struct accel_slice s, uint8_t *room)
{
    const size_t word = draw(m, 2) == 0 ? 8 : 4;
    uint64_t v = 0;

    if (s.size > 0)
        memcpy(room, s.data, s.size);
    if (s.size < word || draw(m, 3) == 0)
        return (struct accel_slice){room, LLVMFuzzerMutate(room, s.size, 2 * s.size + 64)};
    uint8_t *at = room + draw(m, (uint32_t)(s.size / word)) * word;
    memcpy(&v, at, word);
    v = word == 8 ? another_number(m, v) : another_word(m, v);
    memcpy(at, &v, word);
    return (struct accel_slice){room, s.size};
}

static void put_mutant(struct mutation *m, struct accel_buf *out, struct accel_wire_field f,
                       bool leaf)
{
    ACCEL_CLEANUP(accel_freep) uint8_t *room = NULL;
    const uint32_t how = draw(m, leaf ? 8 : 3);

    if (how == 0) /* taken away */
        return;
    if (how == 1)
        put(out, &f);
    if (how == 2 || how == 3)
        f = m->donor;
    if (how > 3 && f.type == ACCEL_WIRE_VARINT)
        f.value = another_number(m, f.value);
    if (how > 3 && (f.type == ACCEL_WIRE_32 || f.type == ACCEL_WIRE_64))
        f.value = another_word(m, f.value);
    if (how > 3 && f.type == ACCEL_WIRE_BYTES) {
        room = accel_malloc(2 * f.bytes.size + 64);
        FUZZ_MUST(room != NULL);
        f.bytes = other_bytes(m, f.bytes, room);
    }
    put(out, &f);
}

/* Copies the message but for the target. */
static void rewrite(struct mutation *m, enum message message, struct accel_slice bytes,
                    struct accel_buf *out)
{
    struct accel_wire w = accel_wire_of(bytes);
    struct accel_wire_field f;
    struct accel_error err;

    while (accel_wire_next(&w, &f, &err) == 1) {
        ACCEL_CLEANUP(accel_buf_free) struct accel_buf inner = {0};
        const enum message child = child_of(message, &f);

        if (m->fields++ == m->target) {
            put_mutant(m, out, f, child == LEAF);
            m->fields = SIZE_MAX / 2; /* the rest stays as it is */
            continue;
        }
        if (child != LEAF) {
            rewrite(m, child, f.bytes, &inner);
            f.bytes = (struct accel_slice){(const uint8_t *)inner.data, inner.size};
        }
        put(out, &f);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf out = {0};
    struct mutation m = {.random = seed | 1};
    const struct accel_slice all = {data, size};

    walk(&m, MODEL, all, count);
    if (m.fields == 0 || draw(&m, 8) == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    m.target = draw(&m, (uint32_t)ACCEL_MIN(m.fields, (size_t)UINT32_MAX));
    m.fields = 0;
    walk(&m, MODEL, all, find_target);
    walk(&m, MODEL, all, find_donor);
    m.fields = 0;
    rewrite(&m, MODEL, all, &out);
    FUZZ_MUST(!accel_buf_failed(&out));
    if (out.size == 0 || out.size > max_size)
        return LLVMFuzzerMutate(data, size, max_size);
    memcpy(data, out.data, out.size);
    return out.size;
}
