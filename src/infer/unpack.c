/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the packed form of a model: packed.h. */
#include "infer/model.h"
#include "infer/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Of one list. */
#define LIST_MAX (1u << 20)

struct unpacker {
    const uint8_t *at, *end; /* the graph */
    const uint8_t *data;     /* the data part */
    uint64_t data_size;
    struct accel_ir *ir;
    struct accel_model *model;
    size_t nodes;
    bool bad; /* something ended early or is out of range: asked where it matters */
};

static uint64_t get(struct unpacker *u, size_t size)
{
    uint64_t v = 0;

    if ((size_t)(u->end - u->at) < size) {
        u->bad = true;
        return 0;
    }
    memcpy(&v, u->at, size);
    u->at += size;
    return v;
}

static uint32_t get_u32(struct unpacker *u)
{
    return (uint32_t)get(u, 4);
}

static uint64_t get_u64(struct unpacker *u)
{
    return get(u, 8);
}

static float get_float(struct unpacker *u)
{
    const uint32_t bits = get_u32(u);
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* A number below a limit; else the whole is bad and it is 0. */
static uint32_t get_count(struct unpacker *u, uint32_t most)
{
    const uint32_t n = get_u32(u);

    /* Every element takes a byte at least: a count beyond what is left is a lie. */
    if (n > most || n > (size_t)(u->end - u->at)) {
        u->bad = true;
        return 0;
    }
    return n;
}

/* A text of ours; "" when bad, NULL when memory is out. */
static const char *get_text(struct unpacker *u, size_t *size)
{
    const uint32_t n = get_count(u, UINT32_MAX);
    char *copy = accel_bump_alloc(&u->ir->mem, (size_t)n + 1, 1);

    if (copy == NULL || u->bad)
        return copy;
    memcpy(copy, u->at, n);
    u->at += n;
    if (size != NULL)
        *size = n;
    else if (memchr(copy, '\0', n) != NULL)
        u->bad = true;
    return copy;
}

static int no_memory(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory for a packed model");
}

static int corrupt(struct accel_error *err, const char *what)
{
    return accel_fail(err, ACCEL_E_CORRUPT, "the packed model is damaged: %s", what);
}

static const void *get_data(struct unpacker *u, uint64_t size)
{
    const uint64_t at = get_u64(u);

    if (at % 64 != 0 || at > u->data_size || size > u->data_size - at) {
        u->bad = true;
        return NULL;
    }
    return u->data + at;
}

static void get_shape(struct unpacker *u, struct accel_shape *s)
{
    const uint32_t rank = get_u32(u);

    *s = (struct accel_shape){.has_rank = rank != UINT32_MAX};
    if (!s->has_rank)
        return;
    if (rank > ACCEL_RANK_MAX) {
        u->bad = true;
        return;
    }
    s->rank = rank;
    for (uint32_t i = 0; i < rank; i++) {
        s->dims[i] = (int64_t)get_u64(u);
        u->bad = u->bad || s->dims[i] < -1;
    }
}

static void get_dtype(struct unpacker *u, enum accel_dtype *dtype)
{
    const uint32_t d = get_u32(u);

    u->bad = u->bad || d > ACCEL_DTYPE_LAST;
    *dtype = d <= ACCEL_DTYPE_LAST ? (enum accel_dtype)d : ACCEL_DTYPE_UNDEFINED;
}

static enum accel_value_kind kind_of(struct unpacker *u, uint32_t k)
{
    if (k <= ACCEL_VALUE_OTHER || (k & ~(uint32_t)ACCEL_VALUE_SEQUENCE) == ACCEL_VALUE_MAP)
        return (enum accel_value_kind)k;
    u->bad = true;
    return ACCEL_VALUE_OTHER;
}

static void get_type(struct unpacker *u, struct accel_type *t)
{
    const uint32_t kind = get_u32(u), keys = kind >> 8;

    *t = (struct accel_type){.kind = kind_of(u, kind & 0xff)};
    get_dtype(u, &t->dtype);
    get_shape(u, &t->shape);
    if (keys <= ACCEL_DTYPE_LAST)
        t->keys = (enum accel_dtype)keys;
    if ((t->kind & ACCEL_VALUE_MAP) != 0 ? !accel_map_types(t->keys, t->dtype) || t->shape.has_rank
                                         : keys != 0)
        u->bad = true;
}

/* dropped: whether it may have no data. */
static int get_tensor(struct unpacker *u, struct accel_tensor *t, bool dropped,
                      struct accel_error *err)
{
    struct accel_shape shape;

    *t = (struct accel_tensor){0};
    get_dtype(u, &t->dtype);
    get_shape(u, &shape);
    if (u->bad || !accel_shape_static(&shape) ||
        !accel_shape_bytes(&shape, t->dtype, &t->size_bytes) ||
        t->size_bytes > u->ir->limits.tensor_bytes)
        return corrupt(err, "a constant's type");
    t->rank = shape.rank;
    memcpy(t->dims, shape.dims, sizeof(t->dims));
    if (t->dtype == ACCEL_DTYPE_STRING) {
        const size_t n = t->size_bytes / sizeof(char *);

        if (n > (size_t)(u->end - u->at) / 4)
            return corrupt(err, "a list of strings");
        const char **strings = accel_bump_alloc(&u->ir->mem, n + 1, sizeof(*strings));
        if (strings == NULL)
            return no_memory(err);
        for (size_t i = 0; i < n; i++) {
            strings[i] = get_text(u, NULL);
            if (strings[i] == NULL)
                return no_memory(err);
        }
        t->data = strings;
        return u->bad ? corrupt(err, "a list of strings") : ACCEL_OK;
    }
    if ((size_t)(u->end - u->at) >= 8) {
        uint64_t at;

        memcpy(&at, u->at, sizeof(at));
        if (at == PACKED_NO_DATA && dropped) {
            get_u64(u);
            return ACCEL_OK;
        }
    }
    t->data = (void *)(uintptr_t)get_data(u, t->size_bytes);
    return u->bad ? corrupt(err, "a constant's place") : ACCEL_OK;
}

static int get_graph(struct unpacker *u, struct accel_graph *parent, unsigned depth,
                     struct accel_graph **out, struct accel_error *err);

static int get_attr(struct unpacker *u, struct accel_graph *g, unsigned depth, struct accel_attr *a,
                    struct accel_error *err)
{
    a->name = get_text(u, NULL);
    const uint32_t type = get_u32(u);
    const uint32_t count = get_count(u, LIST_MAX);
    int rc = ACCEL_OK;

    if (a->name == NULL)
        return no_memory(err);
    if (u->bad || accel_attr_bytes(type) == 0 ||
        ((type <= ACCEL_ATTR_GRAPH || type == ACCEL_ATTR_TYPE) && count != 1))
        return corrupt(err, "an attribute");
    char *array = accel_bump_alloc(&u->ir->mem, (size_t)count + 1, accel_attr_bytes(type));
    if (array == NULL)
        return no_memory(err);
    a->type = (enum accel_attr_type)type;
    a->count = count;
    a->floats = (const float *)array;
    for (uint32_t i = 0; i < count && rc == ACCEL_OK && !u->bad; i++) {
        void *slot = array + i * accel_attr_bytes(type);

        switch (a->type) {
        case ACCEL_ATTR_FLOAT:
        case ACCEL_ATTR_FLOATS:
            *(float *)slot = get_float(u);
            break;
        case ACCEL_ATTR_INT:
        case ACCEL_ATTR_INTS:
            *(int64_t *)slot = (int64_t)get_u64(u);
            break;
        case ACCEL_ATTR_STRING:
        case ACCEL_ATTR_STRINGS:
            ((struct accel_bytes *)slot)->data = get_text(u, &((struct accel_bytes *)slot)->size);
            if (((struct accel_bytes *)slot)->data == NULL)
                rc = no_memory(err);
            break;
        case ACCEL_ATTR_TENSOR:
        case ACCEL_ATTR_TENSORS:
            rc = get_tensor(u, slot, false, err);
            break;
        case ACCEL_ATTR_GRAPH:
        case ACCEL_ATTR_GRAPHS:
            rc = get_graph(u, g, depth + 1, slot, err);
            break;
        default:
            get_type(u, slot);
            break;
        }
    }
    return rc != ACCEL_OK ? rc : u->bad ? corrupt(err, "an attribute") : ACCEL_OK;
}

/* A value of this graph; 0: left out. */
static struct accel_value *get_ref(struct unpacker *u, bool optional)
{
    const uint32_t id = get_u32(u);

    if (id == 0 || id > u->ir->values_count) {
        u->bad = u->bad || !optional || id != 0;
        return NULL;
    }
    return u->ir->values[id - 1];
}

static int get_blobs(struct unpacker *u, struct accel_node *n, struct accel_error *err)
{
    struct accel_model *m = u->model;
    struct accel_blobs blobs = {0};
    bool any = false;

    for (unsigned b = 0; b < ACCEL_BLOBS; b++) {
        const uint64_t bytes = get_u64(u);

        if (bytes == PACKED_NO_DATA)
            continue;
        blobs.data[b] = get_data(u, bytes);
        blobs.bytes[b] = bytes;
        any = true;
    }
    if (u->bad)
        return corrupt(err, "packed weights");
    if (!any)
        return ACCEL_OK;
    n->blobs = accel_bump_alloc(&u->ir->mem, 1, sizeof(*n->blobs));
    if (n->blobs == NULL || accel_grow(&m->blobs, &m->blobs_capacity, m->blobs_count + 1,
                                       sizeof(*m->blobs), err) != ACCEL_OK)
        return no_memory(err);
    *n->blobs = blobs;
    m->blobs[m->blobs_count++] = n->blobs;
    return ACCEL_OK;
}

static int get_node(struct unpacker *u, struct accel_graph *g, unsigned depth,
                    struct accel_error *err)
{
    const char *text[4];

    for (unsigned i = 0; i < 4; i++) {
        text[i] = get_text(u, NULL);
        if (text[i] == NULL)
            return no_memory(err);
    }
    if (u->bad || ++u->nodes > u->ir->limits.nodes)
        return corrupt(err, "a node");
    const int64_t opset = (int64_t)get_u64(u);
    const uint32_t captures = get_u32(u);
    const uint32_t inputs = get_count(u, LIST_MAX);
    struct accel_value **ins = accel_bump_alloc(&u->ir->mem, (size_t)inputs + 1, sizeof(*ins));
    if (ins == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < inputs; i++)
        ins[i] = get_ref(u, true);
    const uint32_t outputs = get_count(u, LIST_MAX);
    if (u->bad || captures > inputs || opset < 0)
        return corrupt(err, "a node's inputs");
    for (uint32_t i = inputs - captures; i < inputs; i++)
        if (ins[i] == NULL)
            return corrupt(err, "what a node's subgraphs read");
    struct accel_node *n = accel_node_new(g, text[1], text[2], inputs, outputs, err);
    if (n == NULL)
        return ACCEL_E_NOMEM;
    n->name = text[0];
    n->fused = text[3];
    n->opset = opset;
    n->captures_count = captures;
    for (uint32_t i = 0; i < inputs; i++)
        n->inputs[i] = ins[i];
    for (uint32_t o = 0; o < outputs; o++) {
        struct accel_value *v = get_ref(u, true);

        if (v == NULL)
            continue;
        if (v->graph != g || v->producer != NULL || v->data != NULL || v->is_input)
            return corrupt(err, "a node's output");
        v->producer = n;
        v->output = o;
        n->outputs[o] = v;
    }
    const uint32_t act = get_u32(u);
    n->epilogue.act.alpha = get_float(u);
    n->epilogue.act.beta = get_float(u);
    const uint32_t add = get_u32(u);
    if (u->bad || act >= ACCEL_UNARY_COUNT || act == ACCEL_UNARY_NOT || add > inputs ||
        (add > 0 && n->inputs[add - 1] == NULL))
        return corrupt(err, "a node's epilogue");
    n->epilogue.act.op = (enum accel_unary_op)act;
    n->epilogue.add = (int32_t)add - 1;
    int rc = get_blobs(u, n, err);
    const uint32_t attrs = get_count(u, LIST_MAX);
    struct accel_attr *list = accel_bump_alloc(&u->ir->mem, (size_t)attrs + 1, sizeof(*list));
    if (rc == ACCEL_OK && list == NULL)
        rc = no_memory(err);
    for (uint32_t i = 0; i < attrs && rc == ACCEL_OK; i++)
        rc = get_attr(u, g, depth, &list[i], err);
    if (rc != ACCEL_OK)
        return rc;
    n->attrs = list;
    n->attrs_count = attrs;
    g->nodes[g->nodes_count++] = n;
    struct accel_subgraphs it = {.node = n};
    for (const struct accel_graph *sub; (sub = accel_subgraph_next(&it)) != NULL;)
        for (size_t k = 0; k < sub->captures_count; k++)
            if (sub->capture[k] >= captures)
                return corrupt(err, "what a node's subgraphs read");
    rc = accel_node_bind(n, err);
    if (rc != ACCEL_OK)
        return rc;
    if (n->unsupported != NULL)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "node '%s' (%s): %s", n->name, n->op_type,
                          n->unsupported);
    /* An entry that does not honour an epilogue would silently leave it out; one that does may
     * only do so where the passes put one. */
    if ((act != 0 && (n->op->flags & ACCEL_OP_EPILOGUE) == 0) ||
        (add != 0 && ((n->op->flags & ACCEL_OP_RESIDUAL) == 0 || add != 4)))
        return corrupt(err, "a node's epilogue");
    return ACCEL_OK;
}

static int get_value(struct unpacker *u, struct accel_graph *g, struct accel_error *err)
{
    const char *name = get_text(u, NULL);
    const uint32_t flags = get_u32(u);
    struct accel_value *v = name != NULL ? accel_value_new(g, name, err) : NULL;

    if (v == NULL)
        return no_memory(err);
    get_dtype(u, &v->declared);
    v->declared_kind = kind_of(u, get_u32(u));
    if (u->bad || flags > 7 || (flags & 3) == 3)
        return corrupt(err, "a value");
    v->is_input = (flags & 1) != 0;
    if ((flags & 2) != 0) {
        struct accel_tensor *t = accel_bump_alloc(&u->ir->mem, 1, sizeof(*t));

        if (t == NULL)
            return no_memory(err);
        const int rc = get_tensor(u, t, true, err);
        if (rc != ACCEL_OK)
            return rc;
        v->data = t;
        v->type = (struct accel_type){.dtype = t->dtype, .shape = accel_shape_of(t), .data = t};
    } else {
        get_type(u, &v->type);
    }
    if ((flags & 4) != 0) {
        v->dim_names = accel_bump_alloc(&u->ir->mem, ACCEL_RANK_MAX, sizeof(*v->dim_names));
        if (v->dim_names == NULL)
            return no_memory(err);
        for (uint32_t d = 0; d < ACCEL_RANK_MAX; d++) {
            const char *text = get_text(u, NULL);

            if (text == NULL)
                return no_memory(err);
            v->dim_names[d] = text[0] != '\0' ? text : NULL;
        }
    }
    return u->bad ? corrupt(err, "a value") : ACCEL_OK;
}

/* Inputs or outputs of a graph: values with the names they were declared by. */
static int get_edges(struct unpacker *u, struct accel_graph *g, bool inputs,
                     struct accel_error *err)
{
    const uint32_t n = get_count(u, LIST_MAX);
    struct accel_value **values = accel_bump_alloc(&u->ir->mem, (size_t)n + 1, sizeof(*values));
    const char **names = accel_bump_alloc(&u->ir->mem, (size_t)n + 1, sizeof(*names));

    if (values == NULL || names == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        values[i] = get_ref(u, false);
        names[i] = get_text(u, NULL);
        if (names[i] == NULL)
            return no_memory(err);
        if (u->bad)
            return corrupt(err, "a graph's inputs or outputs");
        if (inputs) {
            bool twice = false;

            for (uint32_t k = 0; k < i && n <= 4096; k++)
                twice = twice || values[k] == values[i];
            if (!values[i]->is_input || values[i]->graph != g || twice)
                return corrupt(err, "a graph's inputs");
        }
    }
    if (inputs) {
        g->inputs = values;
        g->input_names = names;
        g->inputs_count = n;
    } else {
        g->outputs = values;
        g->output_names = names;
        g->outputs_count = n;
    }
    return u->bad ? corrupt(err, "a graph's inputs or outputs") : ACCEL_OK;
}

/* A value that nothing gives a meaning would be read before it was ever written. */
static int check_written(const struct accel_ir *ir, const struct accel_graph *g,
                         struct accel_error *err)
{
    for (size_t id = 0; id < ir->values_count; id++) {
        const struct accel_value *v = ir->values[id];
        bool listed = false;

        if (v->graph != g || v->data != NULL || v->producer != NULL)
            continue;
        for (size_t i = 0; i < g->inputs_count && !listed; i++)
            listed = g->inputs[i] == v;
        if (!listed)
            return corrupt(err, "a value that is never written");
    }
    return ACCEL_OK;
}

static int get_captures(struct unpacker *u, struct accel_graph *g, struct accel_error *err)
{
    const uint32_t n = get_count(u, LIST_MAX);

    g->capture = accel_bump_alloc(&u->ir->mem, (size_t)n + 1, sizeof(*g->capture));
    if (g->capture == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++)
        g->capture[i] = get_u32(u);
    if (u->bad || n > g->inputs_count || (n > 0 && g->parent == NULL))
        return corrupt(err, "what a graph reads of the one around it");
    g->captures_count = n;
    return ACCEL_OK;
}

static int get_body(struct unpacker *u, struct accel_graph *parent, unsigned depth,
                    struct accel_graph **out, struct accel_error *err)
{
    const char *name = get_text(u, NULL);
    int rc = ACCEL_OK;

    if (name == NULL)
        return no_memory(err);
    if (u->bad || depth > u->ir->limits.nesting)
        return corrupt(err, "a graph");
    struct accel_graph *g = accel_graph_new(u->ir, parent, name, err);
    if (g == NULL)
        return ACCEL_E_NOMEM;
    *out = g;
    const uint32_t values = get_count(u, UINT32_MAX);
    for (uint32_t i = 0; i < values && rc == ACCEL_OK; i++)
        rc = get_value(u, g, err);
    if (rc == ACCEL_OK)
        rc = get_edges(u, g, true, err);
    if (rc == ACCEL_OK)
        rc = get_captures(u, g, err);
    if (rc != ACCEL_OK)
        return rc;
    const uint32_t nodes = get_count(u, UINT32_MAX);
    g->nodes = accel_bump_alloc(&u->ir->mem, (size_t)nodes + 1, sizeof(*g->nodes));
    if (g->nodes == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < nodes && rc == ACCEL_OK; i++)
        rc = get_node(u, g, depth, err);
    if (rc == ACCEL_OK)
        rc = get_edges(u, g, false, err);
    if (rc == ACCEL_OK)
        rc = check_written(u->ir, g, err);
    return rc;
}

/* A graph around which there is another has an ir of its own; it counts as a node. */
static int get_graph(struct unpacker *u, struct accel_graph *parent, unsigned depth,
                     struct accel_graph **out, struct accel_error *err)
{
    struct accel_ir *const around = u->ir;

    if (parent == NULL)
        return get_body(u, NULL, depth, out, err);
    if (++u->nodes > u->ir->limits.nodes)
        return corrupt(err, "a graph");
    u->ir = accel_ir_new_sub(around, err);
    int rc = u->ir != NULL ? get_body(u, parent, depth, out, err) : ACCEL_E_NOMEM;
    if (u->ir != NULL)
        u->ir->main = *out;
    u->ir = around;
    return rc;
}

static int get_ir(struct unpacker *u, struct accel_error *err)
{
    struct accel_ir *ir = u->ir;

    ir->ir_version = (int64_t)get_u64(u);
    ir->producer = get_text(u, NULL);
    ir->nodes_in_file = get_u64(u);
    ir->parameters = get_u64(u);
    ir->opsets_count = get_count(u, 1024);
    ir->opsets = accel_bump_alloc(&ir->mem, ir->opsets_count + 1, sizeof(*ir->opsets));
    if (ir->producer == NULL || ir->opsets == NULL)
        return no_memory(err);
    for (size_t i = 0; i < ir->opsets_count; i++) {
        ir->opsets[i].domain = get_text(u, NULL);
        ir->opsets[i].version = (int64_t)get_u64(u);
        if (ir->opsets[i].domain == NULL)
            return no_memory(err);
    }
    if (u->bad)
        return corrupt(err, "its head");
    const int rc = get_graph(u, NULL, 1, &ir->main, err);
    return rc == ACCEL_OK && u->at != u->end ? corrupt(err, "there is more after its end") : rc;
}

/* Parts of the file within its size? */
static int check_header(const struct packed_header *h, uint64_t size, struct accel_error *err)
{
    if (size < sizeof(*h) || memcmp(h->magic, PACKED_MAGIC, sizeof(h->magic)) != 0)
        return accel_fail(err, ACCEL_E_CORRUPT, "not a packed model");
    if (h->version != PACKED_VERSION)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "packed by another version (%u, not %d)",
                          h->version, PACKED_VERSION);
    if (h->data_offset % PACKED_PAGE != 0 || h->data_offset > size || h->data_offset < sizeof(*h) ||
        h->graph_size > h->data_offset - sizeof(*h) || h->data_size > size - h->data_offset)
        return corrupt(err, "its parts lie outside the file");
    return ACCEL_OK;
}

/* What the passes and the loader would have made sure of. */
static int check_ir(struct accel_ir *ir, bool values, struct accel_error *err)
{
    for (size_t i = 0; i < ir->main->inputs_count; i++)
        if ((values ? (ir->main->inputs[i]->type.kind & ACCEL_VALUE_OTHER) != 0
                    : ir->main->inputs[i]->type.kind != ACCEL_VALUE_TENSOR) ||
            (accel_dtype_size(ir->main->inputs[i]->type.dtype) == 0 &&
             ir->main->inputs[i]->type.dtype != ACCEL_DTYPE_STRING))
            return corrupt(err, "an input's type");
    const int rc = accel_ir_link(ir, err);
    return rc == ACCEL_OK ? accel_ir_infer(ir, err) : rc;
}

/* A memory file that is not sealed against both can still be written, or cut short under our
 * mapping, by whoever gave it to us. F_SEAL_SEAL says nothing of that: it is all that a memory file
 * has which was made without sealing, and all that an ordinary file of a tmpfs has. */
static bool stays_as_it_is(int seals, const struct stat *st)
{
    const int needed = F_SEAL_WRITE | F_SEAL_SHRINK;
    const bool ordinary = st->st_nlink > 0 && (seals & F_SEAL_SEAL) != 0;

    return seals < 0 || ordinary || (seals & needed) == needed;
}

int accel_model_open_packed(int fd, const struct accel_load_options *options,
                            struct accel_model **out, struct accel_error *err)
{
    const struct accel_load_options o = accel_options_of(options);
    const int seals = fcntl(fd, F_GET_SEALS);
    struct accel_model *m;
    struct stat st;

    if (fstat(fd, &st) != 0)
        return accel_fail_errno(err, errno, "open the packed model");
    if (!stays_as_it_is(seals, &st))
        return accel_fail(err, ACCEL_E_INVALID, "the packed model's memory file is not sealed");
    if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct packed_header))
        return accel_fail(err, ACCEL_E_CORRUPT, "not a packed model");
    void *mapped = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return accel_fail_errno(err, errno, "map the packed model");
    m = accel_calloc(1, sizeof(*m));
    if (m == NULL) {
        munmap(mapped, (size_t)st.st_size);
        return no_memory(err);
    }
    m->references = 1;
    m->mapped = mapped;
    m->mapped_bytes = (size_t)st.st_size;
    const struct packed_header h = *(const struct packed_header *)mapped;
    int rc = check_header(&h, (uint64_t)st.st_size, err);
    if (rc == ACCEL_OK) {
        accel_kernels_init(&m->kernels, h.cpu);
        if (m->kernels.cpu != h.cpu)
            rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                            "packed for instruction sets that this CPU lacks");
    }
    if (rc == ACCEL_OK) {
        m->ir = accel_ir_new(&o.limits, err);
        rc = m->ir != NULL ? ACCEL_OK : ACCEL_E_NOMEM;
    }
    if (rc == ACCEL_OK) {
        const uint8_t *graph = (const uint8_t *)mapped + sizeof(h);
        struct unpacker u = {.at = graph,
                             .end = graph + h.graph_size,
                             .data = (const uint8_t *)mapped + h.data_offset,
                             .data_size = h.data_size,
                             .ir = m->ir,
                             .model = m};

        *m->ir->kernels = m->kernels;
        rc = get_ir(&u, err);
    }
    if (rc == ACCEL_OK)
        rc = check_ir(m->ir, o.values, err);
    if (rc == ACCEL_OK)
        rc = accel_model_finish(m, true, err);
    if (rc != ACCEL_OK) {
        accel_model_unref(m);
        return rc;
    }
    *out = m;
    return ACCEL_OK;
}
