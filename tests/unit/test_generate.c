/* SPDX-License-Identifier: Apache-2.0 */
/* Searches for text at their limits; what they find is compared with ONNX Runtime in
 * tests/models/oracle_cases/generation.py. */
#include "onnx_build.h"
#include "tap.h"

#include <pthread.h>
#include <stdatomic.h>

#define VOCAB 5

/* SAMPLED: what is drawn from is one token; ENCODED: beams, with an encoder of tokens; HEARD: of
 * numbers. */
enum kind { GREEDY, SAMPLED, BEAMS, ENCODED, HEARD };

static const int64_t tokens[] = {-1, -1};

/* A graph whose output `logits` says that the token after t, in its input `ids`, is
 * (t + 2) % VOCAB. */
static struct accel_buf counting(const char *name, const char *ids)
{
    static const int64_t table[] = {VOCAB, VOCAB}, logits[] = {-1, -1, VOCAB};
    float next[VOCAB][VOCAB] = {{0}};
    struct accel_buf g = {0};
    char in[64];

    for (size_t t = 0; t < VOCAB; t++)
        next[t][(t + 2) % VOCAB] = 3;
    snprintf(in, sizeof(in), "next,%s", ids);
    ob_text(&g, 2, name);
    ob_add(&g, OB_INITIALIZER, ob_tensor("next", ACCEL_DTYPE_FLOAT, 2, table, next, sizeof(next)));
    ob_add(&g, OB_OUTPUT, ob_value("logits", ACCEL_DTYPE_FLOAT, 3, logits));
    ob_add(&g, OB_NODE, ob_node("Gather", in, "logits"));
    return g;
}

/* Its state is each token as a number. */
static struct accel_buf decoder(void)
{
    static const int64_t state[] = {2, -1, 1, -1, 1}, axes[] = {0, 2, 4};
    struct accel_buf g = counting("decoder", "input_ids"), n;

    ob_add(&g, OB_INPUT, ob_value("input_ids", ACCEL_DTYPE_INT32, 2, tokens));
    ob_add(&g, OB_INPUT, ob_value("position_ids", ACCEL_DTYPE_INT32, 2, tokens));
    ob_add(&g, OB_INPUT, ob_value("attention_mask", ACCEL_DTYPE_INT32, 2, tokens));
    ob_add(&g, OB_INPUT, ob_value("past_0", ACCEL_DTYPE_FLOAT, 5, state));
    ob_add(&g, OB_OUTPUT, ob_value("present_0", ACCEL_DTYPE_FLOAT, 5, state));
    n = ob_node("Cast", "input_ids", "numbers");
    ob_attr_int(&n, "to", ACCEL_DTYPE_FLOAT);
    ob_add(&g, OB_NODE, n);
    n = ob_node("Unsqueeze", "numbers", "one");
    ob_attr_ints(&n, "axes", 3, axes);
    ob_add(&g, OB_NODE, n);
    n = ob_node("Concat", "one,one", "two");
    ob_attr_int(&n, "axis", 0);
    ob_add(&g, OB_NODE, n);
    n = ob_node("Concat", "past_0,two", "present_0");
    ob_attr_int(&n, "axis", 3);
    ob_add(&g, OB_NODE, n);
    return g;
}

/* `numbers`: the tokens in `ids` as a state of one head. */
static void add_state(struct accel_buf *g, const char *ids, const char *numbers)
{
    static const int64_t axes[] = {1, 3};
    char as_float[64];
    struct accel_buf n;

    snprintf(as_float, sizeof(as_float), "%s_float", ids);
    n = ob_node("Cast", ids, as_float);
    ob_attr_int(&n, "to", ACCEL_DTYPE_FLOAT);
    ob_add(g, OB_NODE, n);
    n = ob_node("Unsqueeze", as_float, numbers);
    ob_attr_ints(&n, "axes", 2, axes);
    ob_add(g, OB_NODE, n);
}

static const char *const kinds[] = {"key", "value"};

static struct accel_buf encoder(enum kind kind)
{
    static const char *const of[] = {"self", "cross"};
    static const int64_t hidden[] = {-1, 1, -1, 1}, state[] = {-1, 1, -1, 1};
    static const int64_t heard[] = {-1, 1, -1}, last[] = {3};
    struct accel_buf g = counting("encoder", "decoder_input_ids");
    char name[64];

    if (kind == HEARD) {
        struct accel_buf n = ob_node("Unsqueeze", "encoder_input_ids", "cross");

        ob_attr_ints(&n, "axes", 1, last);
        ob_add(&g, OB_NODE, n);
        ob_add(&g, OB_INPUT, ob_value("encoder_input_ids", ACCEL_DTYPE_FLOAT, 3, heard));
    } else {
        ob_add(&g, OB_INPUT, ob_value("encoder_input_ids", ACCEL_DTYPE_INT32, 2, tokens));
        ob_add(&g, OB_INPUT, ob_value("encoder_attention_mask", ACCEL_DTYPE_INT32, 2, tokens));
        add_state(&g, "encoder_input_ids", "cross");
    }
    ob_add(&g, OB_INPUT, ob_value("decoder_input_ids", ACCEL_DTYPE_INT32, 2, tokens));
    ob_add(&g, OB_OUTPUT, ob_value("encoder_hidden_states", ACCEL_DTYPE_FLOAT, 4, hidden));
    add_state(&g, "decoder_input_ids", "self");
    ob_add(&g, OB_NODE, ob_node("Neg", "cross", "encoder_hidden_states"));
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "present_%s_%s_0", kinds[i % 2], of[i / 2]);
        ob_add(&g, OB_OUTPUT, ob_value(name, ACCEL_DTYPE_FLOAT, 4, state));
        ob_add(&g, OB_NODE, ob_node("Abs", of[i / 2], name));
    }
    return g;
}

static struct accel_buf decoder_behind(enum kind kind)
{
    static const int64_t last[] = {-1, 1}, state[] = {-1, 1, -1, 1};
    struct accel_buf g = counting("decoder", "input_ids"), n;
    char past[64], in[96], present[64];

    ob_add(&g, OB_INPUT, ob_value("input_ids", ACCEL_DTYPE_INT32, 2, last));
    if (kind != HEARD)
        ob_add(&g, OB_INPUT, ob_value("encoder_attention_mask", ACCEL_DTYPE_INT32, 2, tokens));
    add_state(&g, "input_ids", "now");
    for (size_t i = 0; i < 2; i++) {
        snprintf(past, sizeof(past), "past_%s_self_0", kinds[i]);
        snprintf(in, sizeof(in), "%s,now", past);
        snprintf(present, sizeof(present), "present_%s_self_0", kinds[i]);
        ob_add(&g, OB_INPUT, ob_value(past, ACCEL_DTYPE_FLOAT, 4, state));
        ob_add(&g, OB_OUTPUT, ob_value(present, ACCEL_DTYPE_FLOAT, 4, state));
        n = ob_node("Concat", in, present);
        ob_attr_int(&n, "axis", 2);
        ob_add(&g, OB_NODE, n);
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(past, sizeof(past), "past_%s_cross_0", kinds[i]);
        ob_add(&g, OB_INPUT, ob_value(past, ACCEL_DTYPE_FLOAT, 4, state));
    }
    return g;
}

/* A model that searches; `op`, its outputs `out` and one attribute are up to the caller. */
static struct accel_buf model_of(enum kind kind, const char *op, const char *out, const char *attr,
                                 int64_t value)
{
    static const int64_t ids[] = {-1, -1}, heard[] = {-1, 1, -1}, y[] = {-1, -1, -1};
    struct accel_buf g = {0}, body = kind >= ENCODED ? decoder_behind(kind) : decoder();
    struct accel_buf model, import = {0};
    struct accel_buf n = ob_node(op,
                                 kind == GREEDY    ? "ids,most"
                                 : kind == SAMPLED ? "ids,most,,,,,,,count"
                                                   : "ids,most,,count,count",
                                 out);

    if (kind >= ENCODED) {
        struct accel_buf first = encoder(kind);

        ob_attr_graph(&n, "encoder", &first);
        ob_attr_int(&n, "decoder_start_token_id", 0);
    }
    ob_attr_int(&n, attr, value);
    ob_text(&n, 7, "com.microsoft");
    ob_attr_graph(&n, "decoder", &body);
    ob_attr_int(&n, "eos_token_id", VOCAB);
    ob_attr_int(&n, "pad_token_id", 0);
    ob_add(&g, OB_NODE, n);
    ob_add(&g, OB_INPUT,
           kind == HEARD ? ob_value("ids", ACCEL_DTYPE_FLOAT, 3, heard)
                         : ob_value("ids", ACCEL_DTYPE_INT32, 2, ids));
    ob_add(&g, OB_INPUT, ob_value("most", ACCEL_DTYPE_INT32, 0, NULL));
    ob_add(&g, OB_INPUT, ob_value("count", ACCEL_DTYPE_INT32, 0, NULL));
    ob_add(&g, OB_OUTPUT, ob_value("y", ACCEL_DTYPE_INT32, kind >= BEAMS ? 3 : 2, y));
    model = ob_model(&g, 11);
    ob_text(&import, 1, "com.microsoft");
    ob_int(&import, 2, 1);
    ob_put(&model, 8, &import);
    return model;
}

static struct accel_buf search_model(enum kind kind)
{
    static const int types[] = {[GREEDY] = 0, [BEAMS] = 0, [ENCODED] = 1, [HEARD] = 2};

    if (kind == SAMPLED)
        return model_of(kind, "Sampling", "y", "min_tokens_to_keep", 1);
    return model_of(kind, kind == GREEDY ? "GreedySearch" : "BeamSearch", "y", "model_type",
                    types[kind]);
}

struct search {
    struct accel_model *model;
    struct accel_session *session;
    struct accel_named_tensor y;
    enum kind kind;
};

static int open_search(struct search *s, enum kind kind, const struct accel_buf *model,
                       const struct accel_limits *limits, struct accel_error *err)
{
    const struct accel_session_options so = {.struct_size = sizeof(so), .threads = 1};
    struct accel_load_options o;

    accel_load_options_init(&o);
    o.limits = *limits;
    *s = (struct search){.kind = kind};
    const int rc = ob_load(model, &o, &s->model, err);
    return rc == ACCEL_OK ? accel_session_new(s->model, &so, &s->session, err) : rc;
}

static void close_search(struct search *s)
{
    accel_session_free(s->session);
    accel_model_unref(s->model);
}

/* Two prompts of two tokens, up to `most` tokens in all, with `count` beams, or that seed. */
static int run_search(struct search *s, int32_t most, int32_t count, struct accel_error *err)
{
    int32_t ids[] = {0, 1, 3, 4};
    float heard[] = {0, 1, 3, 4};
    const struct accel_named_tensor in[] = {
        {"ids", s->kind == HEARD
                    ? (struct accel_tensor){ACCEL_DTYPE_FLOAT, 3, {2, 1, 2}, heard, sizeof(heard)}
                    : (struct accel_tensor){ACCEL_DTYPE_INT32, 2, {2, 2}, ids, sizeof(ids)}},
        {"most", {.dtype = ACCEL_DTYPE_INT32, .data = &most, .size_bytes = sizeof(most)}},
        {"count", {.dtype = ACCEL_DTYPE_INT32, .data = &count, .size_bytes = sizeof(count)}}};

    s->y = (struct accel_named_tensor){.name = "y"};
    return accel_session_run(s->session, in, 3, &s->y, 1, err);
}

/* The first sequence of the first prompt, of `most` tokens. */
static bool counts_by_two(const struct search *s, int32_t most)
{
    const int32_t *y = s->y.tensor.data;

    const int32_t given = s->kind >= ENCODED ? 1 : 2;

    for (int32_t i = given; i < most; i++)
        if (y[i] != (y[i - 1] + 2) % VOCAB)
            return false;
    return y[0] == 0 && (given == 1 || y[1] == 1);
}

static void *cancel_until_told(void *context)
{
    struct accel_session *s = ((void **)context)[0];
    const atomic_bool *done = ((void **)context)[1];

    while (!atomic_load(done))
        accel_session_cancel(s);
    return NULL;
}

static void ends_when_it_has_to(enum kind kind)
{
    static const char *const names[] = {"greedy", "sampled", "beams", "beams behind an encoder",
                                        "beams of what was heard"};
    struct accel_buf model = search_model(kind);
    struct accel_error err = {0};
    struct search s;
    atomic_bool done = false;
    void *context[2];
    pthread_t thread;

    ok(open_search(&s, kind, &model, &(struct accel_limits){.run_ms = 50}, &err) == ACCEL_OK &&
           run_search(&s, 12, 2, &err) == ACCEL_OK && counts_by_two(&s, 12),
       "%s: ten tokens %s", names[kind], err.msg);
    ok(run_search(&s, 16384, 2, &err) == ACCEL_E_TIMEOUT, "more than there is time for: %s",
       err.msg);
    ok(run_search(&s, 16385, 2, &err) == ACCEL_E_INVALID && strstr(err.msg, "16384") != NULL,
       "more than may be: %s", err.msg);
    close_search(&s);
    ok(open_search(&s, kind, &model, &(struct accel_limits){.arena_bytes = 1u << 15}, &err) ==
               ACCEL_OK &&
           run_search(&s, 20, 2, &err) == ACCEL_OK,
       "twenty tokens need little memory %s", err.msg);
    ok(run_search(&s, 2000, 2, &err) == ACCEL_E_LIMIT, "two thousand more than there is: %s",
       err.msg);
    ok(run_search(&s, 20, 2, &err) == ACCEL_OK && counts_by_two(&s, 20), "and twenty after it %s",
       err.msg);
    close_search(&s);
    ok(open_search(&s, kind, &model, &(struct accel_limits){0}, &err) == ACCEL_OK,
       "without limits");
    context[0] = s.session;
    context[1] = &done;
    ok(pthread_create(&thread, NULL, cancel_until_told, context) == 0, "a thread that cancels");
    ok(run_search(&s, 16384, 2, &err) == ACCEL_E_CANCELLED, "a search ends when cancelled: %s",
       err.msg);
    atomic_store(&done, true);
    pthread_join(thread, NULL);
    close_search(&s);
    accel_buf_free(&model);
}

static void refuses_beams(void)
{
    struct accel_buf model = search_model(BEAMS);
    struct accel_error err = {0};
    struct search s;

    ok(open_search(&s, BEAMS, &model, &(struct accel_limits){0}, &err) == ACCEL_OK, "beams %s",
       err.msg);
    ok(run_search(&s, 9, 0, &err) == ACCEL_E_INVALID && strstr(err.msg, "num_beams") != NULL,
       "none: %s", err.msg);
    ok(run_search(&s, 9, 129, &err) == ACCEL_E_INVALID && strstr(err.msg, "128") != NULL,
       "too many: %s", err.msg);
    ok(run_search(&s, 9, 128, &err) == ACCEL_OK && s.y.tensor.dims[1] == 128, "128 are not %s",
       err.msg);
    close_search(&s);
    accel_buf_free(&model);
}

static void refuses_samples(void)
{
    struct accel_buf model = search_model(SAMPLED);
    struct accel_error err = {0};
    struct search s;

    ok(open_search(&s, SAMPLED, &model, &(struct accel_limits){0}, &err) == ACCEL_OK, "samples %s",
       err.msg);
    ok(run_search(&s, 9, -1, &err) == ACCEL_E_INVALID && strstr(err.msg, "seed is -1") != NULL,
       "a seed below 0: %s", err.msg);
    ok(run_search(&s, 9, INT32_MAX, &err) == ACCEL_OK && counts_by_two(&s, 9),
       "the largest is one %s", err.msg);
    close_search(&s);
    accel_buf_free(&model);
    for (int64_t keep = -1; keep <= VOCAB; keep++) {
        const bool right = keep >= 0 && keep < VOCAB;

        model = model_of(SAMPLED, "Sampling", "y", "min_tokens_to_keep", keep);
        ok(open_search(&s, SAMPLED, &model, &(struct accel_limits){0}, &err) == ACCEL_OK &&
               run_search(&s, 9, 1, &err) == (right ? ACCEL_OK : ACCEL_E_INVALID) &&
               (right || strstr(err.msg, "min_tokens_to_keep") != NULL),
           "%lld tokens to keep: %s", (long long)keep, right ? "" : err.msg);
        close_search(&s);
        accel_buf_free(&model);
    }
}

static void frees_all_whatever_fails(enum kind kind)
{
    struct accel_buf model = search_model(kind);
    long nth = 0, wrong = 0;

    for (;; nth++) {
        struct accel_error err = {0};
        struct search s;

        accel_fault_arm(nth);
        int rc = open_search(&s, kind, &model, &(struct accel_limits){0}, &err);
        if (rc == ACCEL_OK)
            rc = run_search(&s, 6, 3, &err);
        const bool reached = accel_fault_disarm();
        const bool right = rc == ACCEL_OK && counts_by_two(&s, 6);
        close_search(&s);
        if (!reached) {
            ok(right, "a search runs when no allocation fails %s", err.msg);
            break;
        }
        wrong += rc != ACCEL_E_NOMEM && !right;
    }
    ok(wrong == 0, "%ld allocations failed one by one, all were reported", nth);
    accel_buf_free(&model);
}

/* A model that is loaded, or is not because of `why`. */
static void refuses_model(struct accel_buf model, int expected, const char *why)
{
    struct accel_error err = {0};
    struct search s;
    const int rc = open_search(&s, HEARD, &model, &(struct accel_limits){0}, &err);

    ok(rc == expected && (rc == ACCEL_OK || strstr(err.msg, why) != NULL), "%s: %s", why, err.msg);
    close_search(&s);
    accel_buf_free(&model);
}

static void refuses_models(void)
{
    const char *const op = "WhisperBeamSearch";

    refuses_model(model_of(HEARD, op, "y", "model_type", 2), ACCEL_OK, "nothing");
    refuses_model(model_of(HEARD, op, "y", "model_type", 1), ACCEL_E_UNSUPPORTED, "model_type 1");
    refuses_model(model_of(HEARD, "BeamSearch", "y", "model_type", 3), ACCEL_E_UNSUPPORTED,
                  "model_type 3");
    refuses_model(model_of(GREEDY, "GreedySearch", "y", "model_type", 1), ACCEL_E_UNSUPPORTED,
                  "model_type 1");
    refuses_model(model_of(SAMPLED, "Sampling", "y", "model_type", 1), ACCEL_E_UNSUPPORTED,
                  "model_type 1");
    refuses_model(model_of(SAMPLED, "Sampling", "y,f", "model_type", 0), ACCEL_E_UNSUPPORTED,
                  "filtered_logits");
    refuses_model(model_of(HEARD, op, "y", "decoder_output_cross_qk", 1), ACCEL_E_UNSUPPORTED,
                  "decoder_output_cross_qk");
    refuses_model(model_of(HEARD, op, "y,,,q", "model_type", 2), ACCEL_E_UNSUPPORTED, "cross_qk");
    refuses_model(model_of(HEARD, op, "y,,,,p", "model_type", 2), ACCEL_E_UNSUPPORTED,
                  "non_speech_probs");
    refuses_model(model_of(ENCODED, "BeamSearch", "y", "model_type", 2), ACCEL_E_INVALID,
                  "encoder has 3 inputs");
}

int main(void)
{
    refuses_beams();
    refuses_samples();
    refuses_models();
    for (enum kind kind = GREEDY; kind <= HEARD; kind++) {
        ends_when_it_has_to(kind);
        frees_all_whatever_fails(kind);
    }
    return tap_done();
}
