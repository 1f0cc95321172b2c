/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_QUANT_H
#define ACCEL_INFER_QUANT_H

/* Arithmetic on quantised tensors: an integer q with scale s and zero point z stands for
 * s * (q - z). Plain C, threaded over rows.
 *
 * Rounding is to the nearest even, results saturate. Where the standard leaves the order of
 * operations open they are those of ONNX Runtime on x86: the zero point is added after rounding in
 * Quantize and in the products, before it in addition, multiplication and average pooling. NaN
 * becomes the lowest value. Sums of products wrap at 32 bits. */

#include "infer/kernels/kernels.h"

/* UINT8, INT8, UINT16, INT16 and the integers of 4 and 2 bits: the least and the greatest value.
 * false: another type. */
bool accel_quant_range(enum accel_dtype dtype, int32_t *lo, int32_t *hi);
/* Element i of a tensor of those types or INT32; data NULL: 0. */
int32_t accel_quant_at(enum accel_dtype dtype, const void *data, size_t i);

/* A tensor seen as [outer][axis][inner]; element (o, a, i) has scale and zero point number
 * o * stride_outer + a / block * stride_axis + i * stride_inner. */
struct accel_quant_layout {
    size_t outer, axis, inner;
    size_t block; /* >= 1 */
    size_t stride_outer, stride_axis, stride_inner;
};

/* y = saturate(round(x / scale) + zero). zero NULL: 0; its type is y's. false: not y's type. */
bool accel_quantize(struct accel_pool *pool, const struct accel_quant_layout *layout,
                    const float *x, const float *scale, const void *zero, enum accel_dtype dtype,
                    void *y);
/* The same with the quotient rounded to `precision` (FLOAT: as it is; FLOAT16, BFLOAT16), and to
 * the small floats too, rounded as `cast` says. Those of eight bits have no zero point: it is not
 * read. */
struct accel_quant_how {
    enum accel_dtype precision;
    struct accel_cast cast;
};
bool accel_quantize_as(struct accel_pool *pool, const struct accel_quant_layout *layout,
                       const float *x, const float *scale, const void *zero, enum accel_dtype dtype,
                       const struct accel_quant_how *how, void *y);
/* y = (x - zero) * scale. What accel_quantize_as() knows, and INT32. false: another type. */
bool accel_dequantize(struct accel_pool *pool, const struct accel_quant_layout *layout,
                      enum accel_dtype dtype, const void *x, const float *scale, const void *zero,
                      float *y);
/* ONNX DynamicQuantizeLinear-11. */
void accel_quantize_dynamic(struct accel_pool *pool, size_t n, const float *x, uint8_t *y,
                            float *scale, uint8_t *zero);

/* What becomes of a sum of products. INT32: stored as it is; FLOAT: times alpha * a_scale *
 * b_scale; UINT8, INT8: saturate(round(sum * (alpha * a_scale * b_scale / y_scale)) + y_zero). */
struct accel_quant_out {
    enum accel_dtype dtype;
    float alpha, y_scale;
    int32_t y_zero;
    const float *a_scale, *b_scale; /* not read for INT32 */
    size_t a_scale_stride;          /* 0: one for all; 1: one per row (QLinearMatMul) */
    size_t b_scale_stride;          /* 0, or 1: one per column (of a convolution: per channel) */
    void *y;
};

/* y[m][n] = out(sum over k of (a - a_zero) * (b - b_zero) + c). Types INT8 or UINT8. */
struct accel_qgemm {
    size_t m, n, k;
    const void *a, *b;
    bool a_signed, b_signed;
    size_t a_row, a_col, b_row, b_col; /* element strides; b_row or b_col is 1 */
    const void *a_zero, *b_zero;       /* of a's and b's type; NULL: 0 */
    size_t a_zero_stride;              /* 0, or 1: per row */
    size_t b_zero_stride;              /* 0, or 1: per column */
    const int32_t *c;                  /* NULL: none; 0 strides repeat */
    size_t c_row, c_col;
    struct accel_quant_out out;
    const void *packed_b; /* b of accel_qgemm_pack_b(), which is then not read; or NULL */
};
/* Bytes of a packed b; 0: these kernels read it as it is. false: they overflow. */
bool accel_qgemm_packed_b_bytes(const struct accel_kernels *kernels, size_t k, size_t n,
                                size_t *bytes);
/* Element (k, j) at b[k * b_row + j * b_col]. */
void accel_qgemm_pack_b(const struct accel_kernels *kernels, size_t k, size_t n, bool b_signed,
                        const void *b, size_t b_row, size_t b_col, void *packed);
/* Reads m, n, k and whether b is packed. false: it overflows. */
bool accel_qgemm_scratch_bytes(const struct accel_kernels *kernels, const struct accel_qgemm *gemm,
                               unsigned threads, size_t *bytes);
void accel_qgemm(const struct accel_kernels *kernels, struct accel_pool *pool,
                 const struct accel_qgemm *gemm, void *scratch);
/* The definition, and what serves where there is no microkernel. */
bool accel_qgemm_scratch_bytes__ref(size_t n, unsigned threads, size_t *bytes);
void accel_qgemm__ref(struct accel_pool *pool, const struct accel_qgemm *gemm, void *scratch);

/* y[m][n] = a[m][k] b[k][n]; sums wrap. In kernels/ref/matmul16.c. */
struct accel_matmul16 {
    size_t m, n, k;
    const int16_t *a, *b;
    int32_t *y;
};
void accel_matmul16(struct accel_pool *pool, const struct accel_matmul16 *product);

/* y = out(conv(x - x_zero, w - w_zero) + bias); padding is x_zero, that is 0. */
struct accel_qconv {
    struct accel_conv conv; /* checked */
    const void *x, *w;
    bool x_signed, w_signed;
    int32_t x_zero;
    const void *w_zero; /* of w's type; NULL: 0 */
    size_t w_zero_stride;
    const int32_t *bias; /* [cout] or NULL */
    struct accel_quant_out out;
    const void *packed_w; /* w of accel_qconv_pack(), which is then not read; or NULL */
};
/* Bytes of packed weights, from channels, groups and kernel alone; 0: these kernels read them as
 * they are. false: they overflow. */
bool accel_qconv_packed_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                              size_t *bytes);
void accel_qconv_pack(const struct accel_kernels *kernels, const struct accel_conv *conv,
                      bool w_signed, const void *w, void *packed);
/* packed: w comes packed. false: it overflows. */
bool accel_qconv_scratch_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                               bool packed, unsigned threads, size_t *bytes);
void accel_qconv(const struct accel_kernels *kernels, struct accel_pool *pool,
                 const struct accel_qconv *conv, void *scratch);
bool accel_qconv_scratch_bytes__ref(const struct accel_conv *conv, unsigned threads, size_t *bytes);
void accel_qconv__ref(struct accel_pool *pool, const struct accel_qconv *conv, void *scratch);

/* One quantised operand: UINT8 or INT8. */
struct accel_quant_param {
    float scale;
    int32_t zero;
};

/* y = a + b or a * b, by broadcasting strides 0 and 1 of nd. */
void accel_qbinary(struct accel_pool *pool, bool multiply, bool is_signed,
                   const struct accel_nd *nd, const void *a, struct accel_quant_param a_quant,
                   const void *b, struct accel_quant_param b_quant, void *y,
                   struct accel_quant_param y_quant);
/* The average is taken of the dequantised values, in float. */
void accel_qavgpool(struct accel_pool *pool, const struct accel_window *window,
                    bool count_include_pad, bool is_signed, const void *x,
                    struct accel_quant_param x_quant, void *y, struct accel_quant_param y_quant);
/* [planes][n] -> [planes]; the sum is taken of the integers. */
void accel_qglobal_avgpool(struct accel_pool *pool, size_t planes, size_t n, bool is_signed,
                           const void *x, struct accel_quant_param x_quant, void *y,
                           struct accel_quant_param y_quant);
/* ONNX MaxPool of x [images][in...][channels], as com.microsoft NhwcMaxPool; window->planes is the
 * number of images. A window wholly in the padding gives the lowest value. */
void accel_qmaxpool_nhwc(struct accel_pool *pool, const struct accel_window *window,
                         size_t channels, bool is_signed, const void *x, void *y);
/* Over the middle axis of [outer][axis][inner]. By a table of exponentials, as com.microsoft
 * QLinearSoftmax does it; y_scale enters as its whole inverse. */
void accel_qsoftmax(struct accel_pool *pool, size_t outer, size_t axis, size_t inner,
                    bool is_signed, const void *x, float x_scale, void *y,
                    struct accel_quant_param y_quant);
/* y[i] = table[x[i] as a byte]. */
void accel_lookup8(struct accel_pool *pool, size_t n, const uint8_t *x, const uint8_t table[256],
                   uint8_t *y);
/* The table of y = f(x): table[byte of q] = quantize(f(dequantize(q))). op as in accel_unary. */
void accel_quant_table(const struct accel_kernels *kernels, enum accel_unary_op op, float alpha,
                       bool x_signed, struct accel_quant_param x_quant, bool y_signed,
                       struct accel_quant_param y_quant, uint8_t table[256]);

#endif
