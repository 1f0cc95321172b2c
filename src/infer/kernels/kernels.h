/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_KERNELS_H
#define ACCEL_INFER_KERNELS_H

/* The arithmetic of the inference core. Knows pointers, sizes and strides: no graph, no tensor.
 *
 *   struct accel_kernels    one slot per microkernel, filled once for a CPU mask, then read-only
 *   drivers                 functions that block, pack and thread: they call the slots
 *
 * Nothing here allocates. What needs room has a size query: `..._packed_bytes` for weights packed
 * once at load, `..._scratch_bytes` for memory that the caller lends for the time of one call.
 * Both must be ACCEL_KERNEL_ALIGN aligned. Queries fail with INVALID when a size overflows.
 *
 * Conventions: strides count elements unless they say bytes; `pool` may be NULL (one thread); an
 * output never overlaps an input unless "may be in place" is said; sizes of 0 are valid and write
 * nothing. Sums are in any order: |result - exact| <= k * FLT_EPSILON * sum |a[i]*b[i]| for k
 * products. NaN goes through every operation as IEEE 754 has it, activations included. */

#include "acceld/infer.h"
#include "base/pool.h"

#define ACCEL_KERNEL_ALIGN 64

/* ---------------------------------------------------------------- elementwise operations */

/* The ONNX operator of the same name; alpha and beta as in the right column. */
#define ACCEL_UNARY_MAP(X)                                                   \
    X(IDENTITY)                                                              \
    X(RELU)                                                                  \
    X(CLIP)      /* alpha..beta; beta wins when alpha > beta, as in numpy */ \
    X(LEAKYRELU) /* alpha: slope below 0 */                                  \
    X(SIGMOID)                                                               \
    X(TANH)                                                                  \
    X(HARDSIGMOID) /* max(0, min(1, alpha * x + beta)) */                    \
    X(HARDSWISH)   /* x * max(0, min(1, x / 6 + 0.5)) */                     \
    X(SILU)        /* x * sigmoid(alpha * x); alpha 1 is SiLU, Swish */      \
    X(GELU)        /* 0.5 * x * (1 + erf(x / sqrt 2)) */                     \
    X(GELU_TANH)   /* the tanh approximation of it */                        \
    X(ELU)         /* alpha */                                               \
    X(CELU)        /* alpha */                                               \
    X(SELU)        /* alpha, beta = gamma */                                 \
    X(SOFTPLUS)                                                              \
    X(SOFTSIGN)                                                              \
    X(MISH)                                                                  \
    X(THRESHOLDEDRELU) /* alpha */                                           \
    X(SHRINK)          /* alpha = lambd, beta = bias */                      \
    X(EXP)                                                                   \
    X(LOG)                                                                   \
    X(SQRT)                                                                  \
    X(RECIPROCAL)                                                            \
    X(ERF)                                                                   \
    X(ABS)                                                                   \
    X(NEG)                                                                   \
    X(SIGN)                                                                  \
    X(FLOOR)                                                                 \
    X(CEIL)                                                                  \
    X(ROUND) /* half to even */                                              \
    X(SQUARE)                                                                \
    X(SIN)                                                                   \
    X(COS)                                                                   \
    X(TAN)                                                                   \
    X(ASIN)                                                                  \
    X(ACOS)                                                                  \
    X(ATAN)                                                                  \
    X(SINH)                                                                  \
    X(COSH)                                                                  \
    X(ASINH)                                                                 \
    X(ACOSH)                                                                 \
    X(ATANH)                                                                 \
    X(NOT) /* BOOL: logical; integers: bitwise */

enum accel_unary_op {
#define ACCEL_UNARY_ENUM(name) ACCEL_UNARY_##name,
    ACCEL_UNARY_MAP(ACCEL_UNARY_ENUM)
#undef ACCEL_UNARY_ENUM
        ACCEL_UNARY_COUNT
};

/* Those before EQ give the operands' type, EQ and the following give BOOL. AND, OR, XOR are logical
 * on BOOL and bitwise on integers. */
#define ACCEL_BINARY_MAP(X)                               \
    X(ADD)                                                \
    X(SUB)                                                \
    X(MUL)                                                \
    X(DIV) /* integers: towards 0; x / 0 is 0, no trap */ \
    X(MIN)                                                \
    X(MAX)                                                \
    X(PRELU) /* a < 0 ? a * b : a */                      \
    X(POW)                                                \
    X(MOD)  /* Python's: the divisor's sign */            \
    X(FMOD) /* C's: the dividend's sign */                \
    X(AND)                                                \
    X(OR)                                                 \
    X(XOR)                                                \
    X(SHL)                                                \
    X(SHR)                                                \
    X(EQ)                                                 \
    X(LT)                                                 \
    X(LE)                                                 \
    X(GT)                                                 \
    X(GE)

enum accel_binary_op {
#define ACCEL_BINARY_ENUM(name) ACCEL_BINARY_##name,
    ACCEL_BINARY_MAP(ACCEL_BINARY_ENUM)
#undef ACCEL_BINARY_ENUM
        ACCEL_BINARY_COUNT,
    ACCEL_BINARY_F32_COUNT = ACCEL_BINARY_PRELU + 1, /* these have microkernels */
};

enum accel_reduce_op {
    ACCEL_REDUCE_SUM,
    ACCEL_REDUCE_MEAN,
    ACCEL_REDUCE_MAX,
    ACCEL_REDUCE_MIN,
    ACCEL_REDUCE_PROD,
    ACCEL_REDUCE_L1,
    ACCEL_REDUCE_L2,
    ACCEL_REDUCE_SUMSQ,
    ACCEL_REDUCE_LOGSUM,
    ACCEL_REDUCE_LOGSUMEXP,
    ACCEL_REDUCE_COUNT
};

/* What is done to a value before it is stored; op IDENTITY (0): nothing. */
struct accel_activation {
    enum accel_unary_op op;
    float alpha, beta;
};

/* ---------------------------------------------------------------- microkernels */

/* One tile of a matrix product: c[m][n] = clamp(start + sum over k of a[k][i] * b[k][j] +
 * residual). a: packed, k columns of `a_rows` floats, a_rows >= m; b: packed, k rows of NR floats
 * (the table's f32_gemm_nr), all NR readable. start: bias_row[i] + bias_col[j] (NULL: 0), plus c
 * itself when `accumulate`. residual: NULL or [m][n] with rows ldr apart. Never touches c[m] or
 * c[.][n]. */
struct accel_f32_tile {
    size_t k;
    const float *a;
    size_t a_rows;
    const float *b;
    float *c;
    size_t ldc;
    size_t m, n;
    bool accumulate;
    const float *bias_row, *bias_col;
    const float *residual;
    size_t ldr;
    float lo, hi; /* -INFINITY, INFINITY: no clamp */
};
typedef void accel_f32_gemm_fn(const struct accel_f32_tile *tile);

/* Dot product of a[0..k) and b[0..k); any k, any alignment; never reads a[k]. */
typedef float accel_f32_dot_fn(size_t k, const float *a, const float *b);
/* y[i] = op(x[i]); may be in place. Where the operation is not exact: within 4 * FLT_EPSILON of the
 * result, or within 3e-7 * min(|x|, 1) where results cancel. */
typedef void accel_f32_unary_fn(size_t n, const float *x, float *y, float alpha, float beta);
/* y[i] = op(a[i * sa], b[i * sb]); sa and sb are 0 (the operand is one value) or 1; may be in
 * place. */
typedef void accel_f32_binary_fn(size_t n, const float *a, size_t sa, const float *b, size_t sb,
                                 float *y);
/* y[i] = x[i] * scale + shift; may be in place. */
typedef void accel_f32_affine_fn(size_t n, const float *x, float scale, float shift, float *y);
/* y[i] = x[i] * scale[i] + shift[i] (shift may be NULL); may be in place. */
typedef void accel_f32_affine_rows_fn(size_t n, const float *x, const float *scale,
                                      const float *shift, float *y);
/* sum (n = 0: 0), largest (n = 0: -INFINITY; NaN wins), sum of squares of (x - shift). */
typedef float accel_f32_sum_fn(size_t n, const float *x);
typedef float accel_f32_max_fn(size_t n, const float *x);
typedef float accel_f32_sumsq_fn(size_t n, const float *x, float shift);
/* y[i] = exp(x[i] - shift); returns the sum of y; y NULL: the sum only; may be in place. */
typedef float accel_f32_expsum_fn(size_t n, const float *x, float shift, float *y);
/* y[i] = clamp(bias + sum over t of w[t] * x[t][i * stride]): one row of a depthwise convolution
 * or of an average pool. Reads x[t][(n - 1) * stride] last. */
typedef void accel_f32_taps_fn(size_t n, size_t taps, const float *const *x, const float *w,
                               size_t stride, float bias, float lo, float hi, float *y);
/* y[i] = max over t of x[t][i * stride]; taps >= 1. */
typedef void accel_f32_taps_max_fn(size_t n, size_t taps, const float *const *x, size_t stride,
                                   float *y);
/* Packs rows k0..k0+kc of columns j0..j0+n (n <= NR) of a matrix B into [kc][NR], zeros beyond n.
 * f32_patches: context is a struct accel_patches (conv.h). */
typedef void accel_f32_panel_fn(const void *context, size_t k0, size_t kc, size_t j0, size_t n,
                                float *packed);
/* To nearest even; NaN stays NaN, too large becomes infinity, subnormals kept. */
typedef void accel_f16_to_f32_fn(size_t n, const uint16_t *x, float *y);
typedef void accel_f32_to_f16_fn(size_t n, const float *x, uint16_t *y);

/* Products of 8-bit integers. Both operands are packed into cells of 4 bytes that hold `q8_group`
 * consecutive k of one row or column: two values widened to 16 bits, or, for VNNI, four bytes, of A
 * signed and of B unsigned (the driver moves zero points along). One tile:
 * c[i][j] = sum over cells g of a[g * a_rows + i] . b[g * NR + j], modulo 2^32, for i < m and all
 * NR (the table's q8_nr) columns. a_rows 0: one cell for all g. */
struct accel_q8_tile {
    size_t cells;
    const uint32_t *a;
    size_t a_rows, m; /* m: 1 .. the table's q8_mr */
    const uint32_t *b;
    uint32_t *c;
    size_t ldc;
};
typedef void accel_q8_gemm_fn(const struct accel_q8_tile *tile);
/* cells[j] = the bytes rows[j + t * stride], t < q8_group, as B has them, for the NR columns. */
typedef void accel_q8_cells_fn(const uint8_t *rows, size_t stride, bool is_signed, uint32_t *cells);
/* What becomes of n sums of a row: see accel_quant_out in quant.h for the result. */
struct accel_q8_row {
    size_t n;
    uint32_t *sum; /* is overwritten */
    /* Added to each first: add + sums_factor * b_sums[j] + zeros_factor * b_zeros[j] + c[j]. */
    uint32_t add;
    uint32_t sums_factor, zeros_factor;
    const uint32_t *b_sums, *b_zeros; /* NULL: none */
    const int32_t *c;                 /* NULL: none */
    enum accel_dtype dtype;           /* INT32, FLOAT, UINT8, INT8 */
    float a, y_scale;                 /* scale of column j: a * b[j * b_step] */
    const float *b;
    size_t b_step; /* 0 or 1 */
    int32_t y_zero;
    void *y;
};
typedef void accel_q8_row_fn(const struct accel_q8_row *row);

struct accel_kernels {
    unsigned cpu;       /* the ACCEL_CPU_* bits the slots were chosen for */
    size_t f32_gemm_mr; /* largest m and n of a tile */
    size_t f32_gemm_nr;
    accel_f32_gemm_fn *f32_gemm;
    accel_f32_dot_fn *f32_dot;
    accel_f32_unary_fn *f32_unary[ACCEL_UNARY_COUNT]; /* NULL: not on floats (NOT) */
    accel_f32_binary_fn *f32_binary[ACCEL_BINARY_F32_COUNT];
    accel_f32_affine_fn *f32_affine;
    accel_f32_affine_rows_fn *f32_affine_rows;
    accel_f32_sum_fn *f32_sum;
    accel_f32_max_fn *f32_max;
    accel_f32_sumsq_fn *f32_sumsq;
    accel_f32_expsum_fn *f32_expsum;
    accel_f32_taps_fn *f32_taps;
    accel_f32_taps_max_fn *f32_taps_max;
    accel_f32_panel_fn *f32_patches;
    accel_f16_to_f32_fn *f16_to_f32;
    accel_f32_to_f16_fn *f32_to_f16;
    accel_f16_to_f32_fn *bf16_to_f32;
    accel_f32_to_f16_fn *f32_to_bf16;
    accel_q8_gemm_fn *q8_gemm; /* NULL, as all q8_*: the plain products of quant.h serve */
    size_t q8_mr, q8_nr, q8_group;
    accel_q8_cells_fn *q8_cells;
    accel_q8_row_fn *q8_row;
};

/* Fills the table for the ACCEL_CPU_* bits in `cpu_mask` that this CPU has; 0: plain C. */
void accel_kernels_init(struct accel_kernels *kernels, unsigned cpu_mask);

/* ---------------------------------------------------------------- matrix products */

/* y = act(alpha * op(a) * op(b) + beta * c + bias), where c and the biases may be absent. */
struct accel_gemm {
    size_t m, n, k;
    /* a: [m][k], or [k][m] when trans_a; rows lda apart. Alternatively packed_a. */
    const float *a;
    size_t lda;
    bool trans_a;
    const void *packed_a;
    /* b: [k][n], or [n][k] when trans_b; rows ldb apart. Alternatively packed_b. */
    const float *b;
    size_t ldb;
    bool trans_b;
    const void *packed_b;
    float alpha; /* must be 1 when both are packed */
    float beta;
    const float
        *c; /* NULL: none; element (i, j) at c[i * c_row_stride + j * c_col_stride]; 0 repeats */
    size_t c_row_stride, c_col_stride;
    const float *bias_row; /* [m] or NULL */
    const float *bias_col; /* [n] or NULL */
    struct accel_activation act;
    float *y; /* [m][n], rows ldy apart */
    size_t ldy;
    /* Repeated over batch_rank dimensions, each operand by its own strides (0 repeats). A packed
     * operand, c and the biases are the same for all. batch_rank 0: once. */
    unsigned batch_rank;
    size_t batch[ACCEL_RANK_MAX];
    size_t batch_stride_a[ACCEL_RANK_MAX], batch_stride_b[ACCEL_RANK_MAX],
        batch_stride_y[ACCEL_RANK_MAX];
};

/* The layout of packed operands belongs to the table's cpu bits: a stored one is only good for a
 * table with the same `cpu`. */
int accel_gemm_f32_packed_a_bytes(const struct accel_kernels *kernels, size_t m, size_t k,
                                  size_t *bytes, struct accel_error *err);
void accel_gemm_f32_pack_a(const struct accel_kernels *kernels, size_t m, size_t k, const float *a,
                           size_t lda, bool trans_a, void *packed);
int accel_gemm_f32_packed_b_bytes(const struct accel_kernels *kernels, size_t k, size_t n,
                                  size_t *bytes, struct accel_error *err);
void accel_gemm_f32_pack_b(const struct accel_kernels *kernels, size_t k, size_t n, const float *b,
                           size_t ldb, bool trans_b, void *packed);
/* Reads sizes and batch only (and whether operands are packed); threads: accel_pool_threads. */
int accel_gemm_f32_scratch_bytes(const struct accel_kernels *kernels, const struct accel_gemm *gemm,
                                 unsigned threads, size_t *bytes, struct accel_error *err);
void accel_gemm_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                    const struct accel_gemm *gemm, void *scratch);
/* The oracle: sums in double. Reads a and b, not the packed forms. */
void accel_gemm_f32__ref(const struct accel_gemm *gemm);

/* Of g the sizes, strides, transpositions, alpha and beta; no batches, biases and activation. */
void accel_gemm_f64__ref(struct accel_pool *pool, const struct accel_gemm *g, const double *a,
                         const double *b, const double *c, double *y);
/* Matrix product of other types, plain: y[m][n] = a[m][k] * b[k][n], dense, one matrix. DOUBLE,
 * INT32, INT64, UINT32, UINT64 (wrapping); false: another type. */
bool accel_matmul_any(struct accel_pool *pool, enum accel_dtype dtype, size_t m, size_t n, size_t k,
                      const void *a, const void *b, void *y);

/* ---------------------------------------------------------------- convolution */

#define ACCEL_SPATIAL_MAX 3

/* ONNX Conv, 1 to 3 spatial dimensions, outermost first. x: [batch][cin][in...],
 * w: [cout][cin / groups][kernel...], y: [batch][cout][out...]. The padding at the end follows from
 * `out`. For the transpose w: [cin][cout / groups][kernel...] and padding cuts the output. */
struct accel_conv {
    unsigned spatial;
    size_t batch, groups, cin, cout;
    size_t in[ACCEL_SPATIAL_MAX], out[ACCEL_SPATIAL_MAX];
    size_t kernel[ACCEL_SPATIAL_MAX], stride[ACCEL_SPATIAL_MAX], dilation[ACCEL_SPATIAL_MAX];
    size_t pad_begin[ACCEL_SPATIAL_MAX];
    /* The form of the product that the weights are packed for. Packed once they may serve images of
     * many sizes, so this is the caller's to keep: see accel_conv_f32_turn(). Not for transposed
     * or depthwise convolutions. */
    bool turned;
};

/* y = act(conv + bias + residual); residual has y's shape and may be y itself. */
struct accel_conv_epilogue {
    const float *bias;     /* [cout] or NULL */
    const float *residual; /* or NULL */
    struct accel_activation act;
};

enum accel_conv_algo {
    ACCEL_CONV_POINTWISE, /* 1x1, stride 1, no padding: x is the matrix */
    ACCEL_CONV_IM2COL, /* patches go straight into the packed panel of B, never to memory whole */
    ACCEL_CONV_TURNED, /* as IM2COL with the product transposed: small images, many channels */
    ACCEL_CONV_DEPTHWISE, /* one input channel per group: direct */
};

/* Checks the sizes (each > 0, channels divisible by groups, products that fit): INVALID. The other
 * functions need a conv that passed. */
int accel_conv_check(const struct accel_conv *conv, struct accel_error *err);
/* The out[] that ONNX defines for pads at both ends; 0 when the kernel is larger than the input. */
size_t accel_conv_out(size_t in, size_t kernel, size_t stride, size_t dilation, size_t pad_begin,
                      size_t pad_end);
/* Whether the turned form is faster for these sizes; true only when it can be used for them. */
bool accel_conv_f32_turn(const struct accel_kernels *kernels, const struct accel_conv *conv);
enum accel_conv_algo accel_conv_f32_algo(const struct accel_kernels *kernels,
                                         const struct accel_conv *conv);
const char *accel_conv_algo_name(enum accel_conv_algo algo);
int accel_conv_f32_packed_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                                size_t *bytes, struct accel_error *err);
void accel_conv_f32_pack(const struct accel_kernels *kernels, const struct accel_conv *conv,
                         const float *w, void *packed);
int accel_conv_f32_scratch_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                                 unsigned threads, size_t *bytes, struct accel_error *err);
void accel_conv_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                    const struct accel_conv *conv, const float *x, const void *packed,
                    const struct accel_conv_epilogue *epilogue, float *y, void *scratch);
void accel_conv_f32__ref(const struct accel_conv *conv, const float *x, const float *w,
                         const struct accel_conv_epilogue *epilogue, float *y);

/* ONNX ConvTranspose: a matrix product, then the columns are added into the image. */
int accel_convt_f32_packed_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                                 size_t *bytes, struct accel_error *err);
void accel_convt_f32_pack(const struct accel_kernels *kernels, const struct accel_conv *conv,
                          const float *w, void *packed);
int accel_convt_f32_scratch_bytes(const struct accel_kernels *kernels,
                                  const struct accel_conv *conv, unsigned threads, size_t *bytes,
                                  struct accel_error *err);
void accel_convt_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                     const struct accel_conv *conv, const float *x, const void *packed,
                     const struct accel_conv_epilogue *epilogue, float *y, void *scratch);
void accel_convt_f32__ref(const struct accel_conv *conv, const float *x, const float *w,
                          const struct accel_conv_epilogue *epilogue, float *y);

/* ---------------------------------------------------------------- pooling */

/* ONNX MaxPool and AveragePool over `planes` = batch * channels images. `out` is the caller's: with
 * ceil_mode windows may hang over the end; they are cut at in + pad_end. Negative padding: the
 * first window begins within the input, the last ends there. */
struct accel_window {
    unsigned spatial;
    size_t planes;
    size_t in[ACCEL_SPATIAL_MAX], out[ACCEL_SPATIAL_MAX];
    size_t kernel[ACCEL_SPATIAL_MAX], stride[ACCEL_SPATIAL_MAX], dilation[ACCEL_SPATIAL_MAX];
    ptrdiff_t pad_begin[ACCEL_SPATIAL_MAX], pad_end[ACCEL_SPATIAL_MAX];
};

/* out[] as ONNX MaxPool-12 and AveragePool-19 define it, a last window wholly in the padding left
 * out; 1 when the kernel hangs over by less than a stride, 0 when it does not fit. */
size_t accel_window_out(size_t in, size_t kernel, size_t stride, size_t dilation,
                        ptrdiff_t pad_begin, ptrdiff_t pad_end, bool ceil_mode);
/* indices: NULL or [planes][out...], the flat index of each maximum (the first one) over all
 * planes, as ONNX has it; column_major: storage_order 1. */
void accel_maxpool_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                       const struct accel_window *window, const float *x, float *y,
                       int64_t *indices, bool column_major);
/* FLOAT, DOUBLE, INT8, UINT8 and others of fixed size, plain, the oracle; false: not a numeric
 * type. */
bool accel_maxpool_any(struct accel_pool *pool, enum accel_dtype dtype,
                       const struct accel_window *window, const void *x, void *y, int64_t *indices,
                       bool column_major);
/* INT8 and UINT8, threaded; false: another type. */
bool accel_maxpool8(struct accel_pool *pool, enum accel_dtype dtype,
                    const struct accel_window *window, const void *x, void *y);
void accel_avgpool_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                       const struct accel_window *window, bool count_include_pad, const float *x,
                       float *y);
void accel_avgpool_f32__ref(const struct accel_window *window, bool count_include_pad,
                            const float *x, float *y);
/* (sum over the window of |x|^p)^(1/p): ONNX LpPool. Plain. */
void accel_lppool_f32(struct accel_pool *pool, const struct accel_window *window, int64_t p,
                      const float *x, float *y);
/* Global pools: accel_reduce over the spatial axes. */

/* ---------------------------------------------------------------- elementwise drivers */

/* Up to three inputs, each seen through strides (elements, 0 repeats, may be negative), one dense
 * row-major output of shape dims. */
struct accel_nd {
    unsigned rank;
    size_t dims[ACCEL_RANK_MAX];
    ptrdiff_t stride[3][ACCEL_RANK_MAX];
};

/* The strides of a dense tensor of `rank` dims[] seen as the last axes of nd's shape (ONNX
 * broadcasting): fills nd->stride[operand]. nd->rank and nd->dims are set before; each dim is 1 or
 * nd's. */
void accel_nd_operand(struct accel_nd *nd, unsigned operand, unsigned rank, const int64_t *dims);

/* All numeric types where the operation makes sense; FLOAT16 and BFLOAT16 are not among them
 * (convert first). x and y may be in place. */
bool accel_unary_supported(enum accel_unary_op op, enum accel_dtype dtype);
void accel_unary(const struct accel_kernels *kernels, struct accel_pool *pool,
                 enum accel_unary_op op, float alpha, float beta, enum accel_dtype dtype, size_t n,
                 const void *x, void *y);
bool accel_binary_supported(enum accel_binary_op op, enum accel_dtype dtype);
/* y may be an operand that is dense and of y's shape. */
void accel_binary(const struct accel_kernels *kernels, struct accel_pool *pool,
                  enum accel_binary_op op, enum accel_dtype dtype, const struct accel_nd *nd,
                  const void *a, const void *b, void *y);
/* y = cond ? a : b by strides 0, 1, 2; elements of 1, 2, 4, 8 or 16 bytes. */
void accel_where(struct accel_pool *pool, size_t element_size, const struct accel_nd *nd,
                 const uint8_t *cond, const void *a, const void *b, void *y);
/* How ONNX Cast goes to types of eight bits and less. */
struct accel_cast {
    bool saturate; /* float8: not to Inf or NaN */
    enum { ACCEL_ROUND_UP, ACCEL_ROUND_DOWN, ACCEL_ROUND_NEAREST } round; /* FLOAT8E8M0 */
};
/* ONNX Cast between all types of fixed size but the complex ones (dense). Float to integer cuts
 * towards 0; what has no integer gives what it does on x86 (convert.c); INT4 and its kin: small.h.
 * cast NULL: saturate, up. false: a type it cannot do. */
bool accel_cast(const struct accel_kernels *kernels, struct accel_pool *pool, size_t n,
                enum accel_dtype from, const void *x, enum accel_dtype to, void *y,
                const struct accel_cast *cast);
bool accel_convert(const struct accel_kernels *kernels, struct accel_pool *pool, size_t n,
                   enum accel_dtype from, const void *x, enum accel_dtype to, void *y);
/* ISNAN, ISINF of floats into BOOL; detect_*: as ONNX IsInf. FLOAT and DOUBLE. */
bool accel_isnan(enum accel_dtype dtype, size_t n, const void *x, uint8_t *y);
bool accel_isinf(enum accel_dtype dtype, size_t n, const void *x, bool detect_negative,
                 bool detect_positive, uint8_t *y);

/* ---------------------------------------------------------------- moving data */

/* Copies dims[0..rank) elements of 1, 2, 4, 8 or 16 bytes; strides in elements, any sign for the
 * source (transpose, slice, expand, flip), dst rows may lie apart (concat, pad). No overlap. */
void accel_copy_nd(struct accel_pool *pool, size_t element_size, unsigned rank, const size_t *dims,
                   const void *src, const ptrdiff_t *src_stride, void *dst,
                   const ptrdiff_t *dst_stride);
/* y = x with axes permuted: y's axis i is x's axis perm[i]. dims are x's. Dense. */
void accel_transpose(struct accel_pool *pool, size_t element_size, unsigned rank,
                     const size_t *dims, const unsigned *perm, const void *x, void *y);
/* n elements, each a copy of the one at `value`. */
void accel_fill(size_t element_size, size_t n, const void *value, void *y);

/* ---------------------------------------------------------------- reductions and norms */

/* x: dense, dims[rank]; axes: bit i set when axis i goes (0: none, an elementwise pass). y: dense,
 * what is left. Integers saturate. FLOAT; DOUBLE, INT32, INT64, UINT32, UINT64 and, for MAX and
 * MIN, INT8, UINT8, INT16, UINT16, BOOL. An empty set gives 0 (PROD 1, MAX lowest, MIN largest,
 * MEAN NaN). false: not for this type. */
bool accel_reduce(const struct accel_kernels *kernels, struct accel_pool *pool,
                  enum accel_reduce_op op, enum accel_dtype dtype, unsigned rank,
                  const size_t *dims, uint32_t axes, const void *x, void *y);
/* Index of the largest (or smallest) along the middle axis of [outer][axis][inner]; NaN never wins.
 * y: [outer][inner]. false: not a numeric type. */
bool accel_arg_reduce(struct accel_pool *pool, enum accel_dtype dtype, bool largest,
                      bool select_last, size_t outer, size_t axis, size_t inner, const void *x,
                      int64_t *y);
/* Over the middle axis of [outer][axis][inner]; may be in place. */
void accel_softmax_f32(const struct accel_kernels *kernels, struct accel_pool *pool, size_t outer,
                       size_t axis, size_t inner, bool log_softmax, const float *x, float *y);
void accel_softmax_f32__ref(size_t outer, size_t axis, size_t inner, bool log_softmax,
                            const float *x, float *y);
void accel_softmax_f64__ref(size_t outer, size_t axis, size_t inner, bool log_softmax,
                            const double *x, double *y);
/* y = act(x * scale[c] + shift[c]) on [batch][channels][inner]; may be in place. BatchNormalization
 * with scale = gamma / sqrt(var + eps), shift = beta - mean * scale. */
void accel_channel_affine_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                              size_t batch, size_t channels, size_t inner, const float *x,
                              const float *scale, const float *shift, struct accel_activation act,
                              float *y);
/* x: [rows][n]; y = (x - mean) / sqrt(var + epsilon) * scale[n] + bias[n] (NULL: none); mean and
 * inv_std: NULL or [rows]. ONNX LayerNormalization-17. rms: no mean is taken (RMSNormalization). */
void accel_layer_norm_f32(const struct accel_kernels *kernels, struct accel_pool *pool, size_t rows,
                          size_t n, float epsilon, bool rms, const float *x, const float *scale,
                          const float *bias, float *y, float *mean, float *inv_std);
/* x: [batch][channels][inner], groups of channels / groups channels share mean and variance
 * (groups = channels: InstanceNormalization). scale, bias: [channels]. */
void accel_group_norm_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                          size_t batch, size_t channels, size_t groups, size_t inner, float epsilon,
                          const float *x, const float *scale, const float *bias, float *y);
/* ONNX LRN over channels of [batch][channels][inner]. */
void accel_lrn_f32(struct accel_pool *pool, size_t batch, size_t channels, size_t inner,
                   size_t size, float alpha, float beta, float bias, const float *x, float *y);

/* ---------------------------------------------------------------- resize */

enum accel_resize_mode { ACCEL_RESIZE_NEAREST, ACCEL_RESIZE_LINEAR, ACCEL_RESIZE_CUBIC };
enum accel_resize_coord {
    ACCEL_COORD_HALF_PIXEL,
    ACCEL_COORD_HALF_PIXEL_SYMMETRIC,
    ACCEL_COORD_PYTORCH_HALF_PIXEL,
    ACCEL_COORD_ALIGN_CORNERS,
    ACCEL_COORD_ASYMMETRIC,
    ACCEL_COORD_TF_CROP_AND_RESIZE,
    ACCEL_COORD_TF_HALF_PIXEL_FOR_NN, /* opset 11 only */
};
enum accel_resize_nearest {
    ACCEL_NEAREST_ROUND_PREFER_FLOOR,
    ACCEL_NEAREST_ROUND_PREFER_CEIL,
    ACCEL_NEAREST_FLOOR,
    ACCEL_NEAREST_CEIL,
};

/* ONNX Resize-19 (and Upsample: LINEAR or NEAREST, ASYMMETRIC, FLOOR) on every axis of a dense
 * tensor. An axis with in = out and scale 1 is left alone. */
struct accel_resize {
    unsigned rank;
    size_t in[ACCEL_RANK_MAX], out[ACCEL_RANK_MAX];
    float scale[ACCEL_RANK_MAX]; /* as given, or out / in */
    enum accel_resize_mode mode;
    enum accel_resize_coord coord;
    enum accel_resize_nearest nearest;
    float roi_start[ACCEL_RANK_MAX], roi_end[ACCEL_RANK_MAX]; /* TF_CROP_AND_RESIZE */
    float extrapolation_value;                                /* outside it */
    float cubic_coeff_a;
    bool exclude_outside;
    bool antialias;
};
int accel_resize_scratch_bytes(const struct accel_resize *resize, size_t *bytes,
                               struct accel_error *err);
/* FLOAT: all modes. Any type of 1, 2, 4, 8 bytes: NEAREST. UINT8, INT8, INT32: all, cut to integers
 * (antialiased: rounded to even) and saturated. false: not this type in this mode. */
bool accel_resize(const struct accel_kernels *kernels, struct accel_pool *pool,
                  const struct accel_resize *resize, enum accel_dtype dtype, const void *x, void *y,
                  void *scratch);

#endif
