/* SPDX-License-Identifier: Apache-2.0 */
/* fuse-qdq and sink-dequantize: which operators they make. Their numbers are held against ONNX
 * Runtime's by tests/models/oracle_cases/qdq.py; here, within a step, against those of the single
 * nodes. */
#include "pass_test.h"

#define ON   "fuse-qdq,sink-dequantize,fold-constants,dead-code"
#define DQ   "DequantizeLinear"
#define BOTH "[DequantizeLinear+QuantizeLinear]"

#define SCALES                                          \
    "const s float - = 0.0625\nconst z uint8 - = 128\n" \
    "const so float - = 0.5\nconst zo uint8 - = 120\n"  \
    "const sw float - = 0.03125\nconst zw int8 - = 0\n"

static const struct pass_case cases[] = {
    {"Conv with weights per channel and a bias", 15,
     "in x uint8 N,3,6,6\nout y uint8 N,4,4,4\n" SCALES
     "const w int8 4,3,3,3\nconst sc float 4 = 0.03125,0.0625,0.015625,0.03125\nconst zc int8 4 = "
     "0\n"
     "const b int32 4 = 100,-100,7,0\n"
     "const sb float 4 = 0.001953125,0.00390625,0.0009765625,0.001953125\n"
     "const zb int32 4 = 0\n"
     "DequantizeLinear x,s,z -> a\nDequantizeLinear w,sc,zc -> k axis=0\n"
     "DequantizeLinear b,sb,zb -> c axis=0\n"
     "Conv a,k,c -> d strides=[1,1]\nQuantizeLinear d,so,zo -> y\n",
     ON, "QLinearConv" BOTH, 1},
    {"not with a bias of another scale, nor with a float one", 15,
     "in x uint8 N,3,6,6\nout y uint8 N,4,4,4\nout u uint8 N,4,4,4\n" SCALES
     "const w int8 4,3,3,3\nconst b int32 4 = 100,-100,7,0\nconst sb float - = 0.5\n"
     "const f float 4\n"
     "DequantizeLinear x,s,z -> a\nDequantizeLinear w,sw,zw -> k\nDequantizeLinear b,sb -> c\n"
     "Conv a,k,c -> d\nQuantizeLinear d,so,zo -> y\n"
     "Conv a,k,f -> e\nQuantizeLinear e,so,zo -> u\n",
     ON, DQ " Conv QuantizeLinear Conv QuantizeLinear", 1},
    {"not when the float result is read as well", 15,
     "in x uint8 N,8\nout y uint8 N,8\nout f float N,8\n" SCALES
     "DequantizeLinear x,s,z -> a\nSigmoid a -> f\nQuantizeLinear f,so,zo -> y\n",
     ON, DQ " Sigmoid QuantizeLinear", 0},
    {"not when the types differ", 15,
     "in x int8 N,8\nout y uint8 N,8\n" SCALES
     "DequantizeLinear x,s,zw -> a\nSigmoid a -> f\nQuantizeLinear f,so,zo -> y\n",
     ON, DQ " Sigmoid QuantizeLinear", 0},
    {"MatMul, Add with a constant, Softmax", 15,
     "in x uint8 N,6\nout y uint8 N,4\n" SCALES
     "const w int8 6,4\nconst b uint8 4\nconst s1 float - = 0.00390625\nconst z1 uint8 - = 0\n"
     "DequantizeLinear x,s,z -> a\nDequantizeLinear w,sw,zw -> k\nDequantizeLinear b,s,z -> c\n"
     "MatMul a,k -> d\nQuantizeLinear d,so,zo -> e\nDequantizeLinear e,so,zo -> f\n"
     "Add f,c -> g\nQuantizeLinear g,so,zo -> h\nDequantizeLinear h,so,zo -> i\n"
     "Softmax i -> j\nQuantizeLinear j,s1,z1 -> y\n",
     ON, "QLinearMatMul" BOTH " QLinearAdd" BOTH " QLinearSoftmax" BOTH, 3},
    {"Gemm keeps its floats when nobody quantises them", 15,
     "in x uint8 N,6\nout y float N,4\n" SCALES
     "const w int8 4,6\nconst b int32 4 = 100,-100,7,0\nconst sb float - = 0.001953125\n"
     "DequantizeLinear x,s,z -> a\nDequantizeLinear w,sw,zw -> k\nDequantizeLinear b,sb -> c\n"
     "Gemm a,k,c -> y transB=1 beta=1.0\n",
     ON, "QGemm[DequantizeLinear]", 1e-5},
    {"so does MatMul", 15,
     "in x uint8 N,6\nout y float N,4\n" SCALES "const w int8 6,4\n"
     "const sc float 4 = 0.03125,0.0625,0.015625,0.03125\nconst zc int8 4 = 0\n"
     "DequantizeLinear x,s,z -> a\nDequantizeLinear w,sc,zc -> k axis=1\nMatMul a,k -> y\n",
     ON, "MatMulIntegerToFloat[DequantizeLinear]", 1e-5},
    {"Relu that the zero point makes pointless, Clip that it does not", 15,
     "in x uint8 N,8\nin u uint8 N,8\nout y uint8 N,8\nout v uint8 N,8\n" SCALES
     "const s1 float - = 0.0625\nconst z1 uint8 - = 0\nconst lo float - = 0\nconst hi float - = 6\n"
     "DequantizeLinear x,s,z -> a\nLeakyRelu a -> b\nRelu b -> c\nQuantizeLinear c,s1,z1 -> y\n"
     "DequantizeLinear u,s,z -> d\nLeakyRelu d -> e\nClip e,lo,hi -> f\nQuantizeLinear f,s1,z1 -> "
     "v\n",
     ON, "QLinearLeakyRelu" BOTH " " DQ " LeakyRelu Clip QuantizeLinear", 1},
    {"what moves moves integers", 15,
     "in x uint8 N,2,3,4\nout y uint8 N,24\nout f float N,4,6\n" SCALES
     "const t int64 2 = -1,24\nconst u int64 3 = -1,4,6\n"
     "DequantizeLinear x,s,z -> a\nTranspose a -> b perm=[0,2,3,1]\nReshape b,t -> c\n"
     "QuantizeLinear c,s,z -> y\nReshape b,u -> d\nAbs d -> f\n",
     ON, "Transpose Reshape Reshape " DQ " Abs", 0},
    {"a requantisation stays", 15,
     "in x uint8 N,2,3\nout y uint8 N,3,2\n" SCALES
     "DequantizeLinear x,s,z -> a\nTranspose a -> b perm=[0,2,1]\nQuantizeLinear b,so,zo -> y\n",
     ON, "Transpose " DQ " QuantizeLinear", 0},
    {"Concat in one scale is a Concat, in two QLinearConcat", 15,
     "in x uint8 N,2,3\nin u uint8 N,2,3\nout y uint8 N,4,3\nout v uint8 N,4,3\n" SCALES
     "DequantizeLinear x,s,z -> a\nDequantizeLinear u,s,z -> b\nDequantizeLinear u,so,zo -> c\n"
     "Concat a,b -> d axis=1\nQuantizeLinear d,s,z -> y\n"
     "Concat a,c -> e axis=1\nQuantizeLinear e,s,z -> v\n",
     ON, "Concat" BOTH " QLinearConcat" BOTH, 0},
    {"MaxPool, and only where integers are wanted", 15,
     "in x uint8 N,2,4,4\nout y uint8 N,2,2,2\nout v float N,2,2,2\n" SCALES
     "DequantizeLinear x,s,z -> a\nMaxPool a -> b kernel_shape=[2,2] strides=[2,2]\n"
     "QuantizeLinear b,s,z -> y\nMaxPool a -> v kernel_shape=[2,2] strides=[2,2]\n",
     ON, DQ " MaxPool MaxPool", 0},
    {"weights alone are made floats at load", 15,
     "in x float N,6\nout y float N,4\n" SCALES
     "const w int8 4,6\nconst sc float 4 = 0.03125,0.0625,0.015625,0.03125\n"
     "DequantizeLinear w,sc -> k axis=0\nTranspose k -> t\nMatMul x,t -> y\n",
     ON, "MatMul", 1e-6},
    {"an attribute that the integer operator lacks", 19,
     "in x uint8 N,1,6,6\nout y uint8 N,1,4,4\n" SCALES
     "DequantizeLinear x,s,z -> a\nAveragePool a -> b kernel_shape=[2,2] dilations=[2,2]\n"
     "QuantizeLinear b,so,zo -> y\n",
     ON, DQ " AveragePool QuantizeLinear", 0},
};

int main(void)
{
    PASS_CASES_RUN(cases);
    return tap_done();
}
