/* SPDX-License-Identifier: Apache-2.0 */
/* Random operators: the generator against the number its standard gives, distributions by their
 * moments, seeds by equality. The bounds are five standard errors: with fixed seeds they hold or do
 * not. Against ONNX Runtime's numbers: tests/models/oracle_cases/draws.py. */
#include "graph_text.h"
#include "infer/kernels/random.h"
#include "tap.h"

static void generator_gives_its_standards_number(void)
{
    struct accel_random g, other;

    /* C++17 [rand.predef]: what minstd_rand0 gives as its 10000th number, begun without a seed. */
    accel_random_begin(&g, 1);
    for (int i = 1; i < 10000; i++)
        accel_random_next(&g);
    const uint32_t last = accel_random_next(&g);
    ok(last == 1043618065, "number 10000 is %u", last);
    /* C++17 [rand.eng.lcong]: a seed that is 0 modulo 2^31 - 1 is 1. */
    accel_random_begin(&g, 1);
    accel_random_begin(&other, 0);
    ok(g.state == other.state, "seed 0 is seed 1");
    accel_random_begin(&other, 3 * (uint64_t)INT32_MAX);
    ok(g.state == other.state, "and so is 3 (2^31 - 1)");
    accel_random_begin(&other, UINT64_MAX);
    ok(other.state == UINT64_MAX % INT32_MAX, "a seed has 64 bits: %u", other.state);
}

static void ends_of_the_unit_are_right(void)
{
    /* 1407677000 x 16807 is 1 modulo 2^31 - 1: from there the smallest number follows; from its
     * negative the largest, which in float precision would be 1. */
    struct accel_random g = {INT32_MAX - 1407677000};
    const float high = accel_random_unit_f32(&g);

    ok(g.state == INT32_MAX - 1 && high == 1 - 0x1p-24f, "the largest is below 1: %a",
       (double)high);
    g.state = 1407677000;
    const float low = accel_random_unit_f32(&g);
    ok(g.state == 1 && low == 0, "the smallest is 0: %a", (double)low);
}

/* Runs the model `times` times without inputs, output y of each into y (bytes each). */
static bool run_model(const char *text, int64_t opset, size_t times, size_t bytes, void *y)
{
    struct accel_buf model = gt_model(text, opset);
    struct accel_session *session = NULL;
    struct accel_model *m = NULL;
    struct accel_load_options o;
    struct accel_error err = {0};

    accel_load_options_init(&o);
    int rc = ob_load(&model, &o, &m, &err);
    if (rc == ACCEL_OK)
        rc = accel_session_new(m, NULL, &session, &err);
    for (size_t i = 0; i < times && rc == ACCEL_OK; i++) {
        struct accel_named_tensor out = {
            .name = "y", .tensor = {.data = (char *)y + i * bytes, .size_bytes = bytes}};

        rc = accel_session_run(session, NULL, 0, &out, 1, &err);
    }
    if (rc != ACCEL_OK)
        printf("# %s\n", err.msg);
    accel_session_free(session);
    accel_model_unref(m);
    accel_buf_free(&model);
    return rc == ACCEL_OK;
}

struct moments {
    double mean, variance, low, high;
};

static struct moments moments_of(size_t n, const double *x)
{
    struct moments m = {.low = x[0], .high = x[0]};

    for (size_t i = 0; i < n; i++) {
        m.mean += x[i] / (double)n;
        m.low = fmin(m.low, x[i]);
        m.high = fmax(m.high, x[i]);
    }
    for (size_t i = 0; i < n; i++)
        m.variance += (x[i] - m.mean) * (x[i] - m.mean) / (double)n;
    return m;
}

#define N ((size_t)40000)
static double doubles[2 * N];

static bool near(double a, double b, double bound)
{
    return fabs(a - b) <= bound;
}

static void normal_numbers_have_their_moments(void)
{
    size_t beyond = 0;

    ok(run_model("out y double 200,200\nRandomNormal -> y shape=[200,200] dtype=11 seed=3.0 "
                 "mean=2.0 scale=3.0",
                 22, 1, N * sizeof(double), doubles),
       "RandomNormal runs");
    const struct moments m = moments_of(N, doubles);
    for (size_t i = 0; i < N; i++)
        beyond += fabs(doubles[i] - 2) > 6;
    ok(near(m.mean, 2, 5 * 3 / sqrt((double)N)), "mean %g is 2", m.mean);
    ok(near(m.variance, 9, 5 * 9 * sqrt(2 / (double)N)), "variance %g is 9", m.variance);
    /* 4.55 percent of a normal distribution lie beyond two standard deviations. */
    ok(near((double)beyond / (double)N, 0.0455, 5 * sqrt(0.0455 / (double)N)),
       "%zu of %zu are beyond two standard deviations", beyond, N);
}

static void uniform_numbers_have_their_moments(void)
{
    static float floats[N];

    ok(run_model("const like int32 200,200\nout y float 200,200\nRandomUniformLike like -> y "
                 "dtype=1 seed=7.0 low=-1.0 high=3.0",
                 15, 1, N * sizeof(float), floats),
       "RandomUniformLike runs");
    for (size_t i = 0; i < N; i++)
        doubles[i] = (double)floats[i];
    const struct moments m = moments_of(N, doubles);
    ok(near(m.mean, 1, 5 * sqrt(16.0 / 12 / (double)N)), "mean %g is 1", m.mean);
    ok(near(m.variance, 16.0 / 12, 0.03), "variance %g is 16/12", m.variance);
    ok(m.low >= -1 && m.low < -0.99 && m.high < 3 && m.high > 2.99,
       "they fill -1..3 without the end: %g to %g", m.low, m.high);
}

static void bernoulli_and_multinomial_follow_their_probabilities(void)
{
    static int32_t drawn[N];
    static uint8_t hits[N];
    size_t count[3] = {0}, ones = 0;

    ok(run_model("const p float 200,200 = 0.3\nout y uint8 200,200\nBernoulli p -> y dtype=2 "
                 "seed=5.0",
                 22, 1, N, hits),
       "Bernoulli runs");
    for (size_t i = 0; i < N; i++)
        ones += hits[i] == 1;
    /* 0.7, not 0.3: ops/random.c says why. */
    ok(near((double)ones / (double)N, 0.7, 5 * sqrt(0.21 / (double)N)), "%zu of %zu are 1", ones,
       N);
    /* Logarithms, up to a constant, of 0.1, 0.2 and 0.7. */
    ok(run_model("const x float 1,3 = 1.0,1.6931472,2.9459101\nout y int32 1,40000\nMultinomial x "
                 "-> y sample_size=40000 seed=5.0",
                 22, 1, N * sizeof(int32_t), drawn),
       "Multinomial runs");
    for (size_t i = 0; i < N; i++)
        count[drawn[i] >= 0 && drawn[i] < 3 ? drawn[i] : 0]++;
    for (size_t c = 0; c < 3; c++) {
        const double p = (double[]){0.1, 0.2, 0.7}[c];

        ok(near((double)count[c] / (double)N, p, 5 * sqrt(p * (1 - p) / (double)N)),
           "class %zu was drawn %zu times", c, count[c]);
    }
}

/* The share that is dropped, what becomes of the others, and that without training nothing happens.
 */
static void dropout_drops_only_in_training(void)
{
    static float y[N];
    size_t kept = 0, strange = 0;

    ok(run_model("const x float 200,200 = 3.0\nconst r float = 0.25\nconst t bool = 1\nout y "
                 "float 200,200\nDropout x,r,t -> y seed=7",
                 22, 1, sizeof(y), y),
       "Dropout trains");
    for (size_t i = 0; i < N; i++) {
        kept += y[i] == 4.0f;
        strange += y[i] != 4.0f && y[i] != 0.0f;
    }
    ok(strange == 0 && near((double)kept / (double)N, 0.75, 5 * sqrt(0.1875 / (double)N)),
       "%zu of %zu stay, divided by 0.75", kept, N);
    ok(run_model("const x float 200,200 = 3.0\nconst r float = 0.25\nconst t bool = 0\nout y "
                 "float 200,200\nDropout x,r,t -> y seed=7",
                 22, 1, sizeof(y), y) &&
           y[0] == 3.0f && y[N - 1] == 3.0f,
       "without training nothing is dropped");
}

static void a_seed_fixes_the_numbers(void)
{
    static const char *const seeded[] = {
        "out y double 50\nRandomUniform -> y shape=[50] dtype=11 seed=1.0",
        "out y double 50\nRandomNormal -> y shape=[50] dtype=11 seed=1.0",
    };
    static const char *const other =
        "out y double 50\nRandomUniform -> y shape=[50] dtype=11 seed=2.0";
    static const char *const unseeded = "out y double 50\nRandomUniform -> y shape=[50] dtype=11";
    const size_t bytes = 50 * sizeof(double);

    for (size_t i = 0; i < ACCEL_COUNT(seeded); i++)
        ok(run_model(seeded[i], 22, 2, bytes, doubles) && memcmp(doubles, doubles + 50, bytes) == 0,
           "two runs with one seed are equal (%zu)", i);
    run_model(seeded[0], 22, 1, bytes, doubles);
    ok(run_model(other, 22, 1, bytes, doubles + 50) && memcmp(doubles, doubles + 50, bytes) != 0,
       "another seed gives others");
    ok(run_model(unseeded, 22, 2, bytes, doubles) && memcmp(doubles, doubles + 50, bytes) != 0,
       "without a seed no run is like the other, nor folded into a constant");
}

int main(void)
{
    generator_gives_its_standards_number();
    ends_of_the_unit_are_right();
    normal_numbers_have_their_moments();
    uniform_numbers_have_their_moments();
    bernoulli_and_multinomial_follow_their_probabilities();
    dropout_drops_only_in_training();
    a_seed_fixes_the_numbers();
    return tap_done();
}
