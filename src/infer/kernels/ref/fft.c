/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/fft.h"

#include <complex.h>
#include <math.h>
#include <string.h>

#include "infer/kernels/real.h"

/* CMPLX of C11, which glibc's header keeps from clang. */
static inline double complex of_parts(double real, double imaginary)
{
    return __builtin_complex(real, imaginary);
}

/* ---------------------------------------------------------------- lengths and tables */

static bool power_of_two(size_t n)
{
    return (n & (n - 1)) == 0;
}

/* Of the convolution that Bluestein's form needs. */
static size_t padded_length(size_t n)
{
    size_t m = 1;

    while (m < 2 * n - 1)
        m *= 2;
    return m;
}

bool accel_fft_sizes(size_t n, size_t *tables, size_t *work)
{
    if (n > SIZE_MAX / 256)
        return false;
    *tables = n;
    *work = 0;
    if (!power_of_two(n)) {
        const size_t m = padded_length(n);

        *tables = m + 2 * n + 2 * m; /* roots, chirp, its spectrum */
        *work = 2 * m;
    }
    return true;
}

/* exp(-2 pi i k / n) for k < n / 2 */
static void make_roots(size_t n, double complex *roots)
{
    for (size_t k = 0; k < n / 2; k++) {
        const double angle = -2 * M_PI * (double)k / (double)n;

        roots[k] = of_parts(cos(angle), sin(angle));
    }
}

/* Forward, n a power of two. */
static void transform(size_t n, const double complex *roots, double complex *x)
{
    for (size_t i = 1, j = 0; i < n; i++) { /* j: i with its bits reversed */
        size_t bit = n >> 1;

        for (; (j & bit) != 0; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            const double complex t = x[i];

            x[i] = x[j];
            x[j] = t;
        }
    }
    for (size_t half = 1; half < n; half *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * half) {
            for (size_t k = 0; k < half; k++) {
                const double complex w = roots[k * (n / 2 / half)];
                double complex *a = &x[begin + k], *b = a + half;
                /* Spelt out: C's product looks for infinities. */
                const double complex t = of_parts(creal(*b) * creal(w) - cimag(*b) * cimag(w),
                                                  creal(*b) * cimag(w) + cimag(*b) * creal(w));

                *b = *a - t;
                *a += t;
            }
        }
    }
}

/* Tables of a length that is no power of two: roots of the padded one, chirp, its spectrum. */
static void make_chirp(size_t n, double complex *roots)
{
    const size_t m = padded_length(n);
    double complex *chirp = roots + m / 2, *spectrum = chirp + n;
    size_t square = 0; /* k * k modulo 2 n, so that the angle keeps its digits */

    make_roots(m, roots);
    memset(spectrum, 0, m * sizeof(*spectrum));
    for (size_t k = 0; k < n; k++) {
        const double angle = -M_PI * (double)square / (double)n;

        chirp[k] = of_parts(cos(angle), sin(angle));
        spectrum[k] = conj(chirp[k]);
        if (k > 0)
            spectrum[m - k] = conj(chirp[k]);
        square = (square + 2 * k + 1) % (2 * n);
    }
    transform(m, roots, spectrum);
}

void accel_fft_tables(size_t n, double *tables)
{
    if (power_of_two(n))
        make_roots(n, (double complex *)tables);
    else
        make_chirp(n, (double complex *)tables);
}

/* ---------------------------------------------------------------- one transform */

static double complex product(double complex a, double complex b)
{
    return of_parts(creal(a) * creal(b) - cimag(a) * cimag(b),
                    creal(a) * cimag(b) + cimag(a) * creal(b));
}

static void chirped(size_t n, const double complex *roots, double complex *x, double complex *work)
{
    const size_t m = padded_length(n);
    const double complex *chirp = roots + m / 2, *spectrum = chirp + n;

    memset(work, 0, m * sizeof(*work));
    for (size_t k = 0; k < n; k++)
        work[k] = product(x[k], chirp[k]);
    transform(m, roots, work);
    for (size_t k = 0; k < m; k++) /* conjugated: the transform back is another one forward */
        work[k] = conj(product(work[k], spectrum[k]));
    transform(m, roots, work);
    for (size_t k = 0; k < n; k++)
        x[k] = product(conj(work[k]), chirp[k]) / (double)m;
}

void accel_fft(size_t n, bool inverse, const double *tables, double *values, double *work)
{
    const double complex *roots = (const double complex *)tables;
    double complex *x = (double complex *)values;

    for (size_t k = 0; k < n && inverse; k++)
        x[k] = conj(x[k]);
    if (power_of_two(n))
        transform(n, roots, x);
    else
        chirped(n, roots, x, (double complex *)work);
    for (size_t k = 0; k < n && inverse; k++)
        x[k] = conj(x[k]) / (double)n;
}

/* ---------------------------------------------------------------- many */

static void read_line(const struct accel_dft *d, const void *x, size_t at, double *line)
{
    const size_t count = ACCEL_MIN(d->x_count, d->half_in ? d->n / 2 + 1 : d->n);

    memset(line, 0, 2 * d->n * sizeof(*line));
    for (size_t k = 0; k < count; k++) {
        const double scale = d->window != NULL ? accel_real(d->dtype, d->window, k) : 1;

        for (size_t part = 0; part < d->x_parts; part++)
            line[2 * k + part] = scale * accel_real(d->dtype, x, at + k * d->x_step + part);
    }
    for (size_t k = d->n / 2 + 1; k < d->n && d->half_in; k++) {
        line[2 * k] = line[2 * (d->n - k)];
        line[2 * k + 1] = -line[2 * (d->n - k) + 1];
    }
}

struct lines_job {
    const struct accel_dft *dft;
    const void *x;
    void *y;
    double *work;
    size_t own; /* doubles of work per thread */
};

static void run_lines(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct lines_job *job = context;
    const struct accel_dft *d = job->dft;
    double *line = job->work + thread * job->own;

    for (size_t i = begin; i < end; i++) {
        const size_t to = i / d->inner * d->y_outer + i % d->inner * d->y_inner;

        read_line(d, job->x, i / d->inner * d->x_outer + i % d->inner * d->x_inner, line);
        accel_fft(d->n, d->inverse, d->tables, line, line + 2 * d->n);
        for (size_t k = 0; k < d->y_count; k++)
            for (size_t part = 0; part < d->y_parts; part++)
                accel_real_set(d->dtype, job->y, to + k * d->y_step + part, line[2 * k + part]);
    }
}

void accel_dft_lines(struct accel_pool *pool, const struct accel_dft *dft, const void *x, void *y,
                     double *work)
{
    struct lines_job job = {.dft = dft, .x = x, .y = y, .work = work};
    size_t tables, own;

    if (!accel_fft_sizes(dft->n, &tables, &own))
        return; /* asked before */
    job.own = own + 2 * dft->n;
    accel_pool_run_long(pool, dft->lines, 16384 / (dft->n + 1) + 1, run_lines, &job);
}
