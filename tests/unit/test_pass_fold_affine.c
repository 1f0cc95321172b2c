/* SPDX-License-Identifier: Apache-2.0 */
/* fold-affine and fold-batchnorm. */
#include "pass_test.h"

#define ON    "fold-affine"
#define BN    "fold-batchnorm"
#define CLOSE 1e-5

#define STATISTICS          \
    "const gamma float 4\n" \
    "const beta float 4\n"  \
    "const mean float 4\n"  \
    "const var float 4 = 0.5,1,2,0.25\n"

static const struct pass_case cases[] = {
    {"all four behind a convolution with bias", 13,
     "in x float N,3,5,5\n"
     "out y float N,4,3,3\n"
     "const w float 4,3,3,3\n"
     "const b float 4\n"
     "const m float 4,1,1\n"
     "const a float 1,4,1,1\n"
     "const s float - = 0.5\n"
     "const d float 1,1,1 = 4\n"
     "Conv x,w,b -> c\n"
     "Mul c,m -> e\n"
     "Add a,e -> f\n"
     "Sub s,f -> g\n"
     "Div g,d -> h\n"
     "Sub h,m -> y\n",
     ON, "Conv[Mul+Add+Sub+Div+Sub]", CLOSE},
    {"behind a grouped transposed convolution without one", 13,
     "in x float N,4,3,3\n"
     "out y float N,4,5,5\n"
     "const w float 4,2,3,3\n"
     "const m float 4,1,1\n"
     "const a float 4,1,1\n"
     "ConvTranspose x,w -> c group=2\n"
     "Mul c,m -> e\n"
     "Add e,a -> y\n",
     ON, "ConvTranspose[Mul+Add]", CLOSE},
    {"behind Gemm, either way round", 13,
     "in x float N,3\n"
     "out y float N,4\n"
     "out z float N,4\n"
     "const w float 3,4\n"
     "const v float 4,3\n"
     "const b float 4\n"
     "const m float 4\n"
     "Gemm x,w,b -> c\n"
     "Mul c,m -> y\n"
     "Gemm x,v,b -> d transB=1\n"
     "Mul d,m -> z\n",
     ON, "Gemm[Mul] Gemm[Mul]", CLOSE},
    {"a MatMul of matrices becomes a Gemm, of more dimensions is only scaled", 13,
     "in x float N,3\n"
     "in u float N,2,3\n"
     "out y float N,4\n"
     "out z float N,2,4\n"
     "const w float 3,4\n"
     "const m float 4\n"
     "const a float 1,4\n"
     "MatMul x,w -> c\n"
     "Mul c,m -> d\n"
     "Add d,a -> y\n"
     "MatMul u,w -> e\n"
     "Mul e,m -> f\n"
     "Add f,a -> z\n",
     ON, "Gemm[Mul+Add] MatMul[Mul] Add", CLOSE},
    {"not constants per position, nor a quotient by the result", 13,
     "in x float N,3,5,5\n"
     "out y float N,4,3,3\n"
     "out z float N,4,3,3\n"
     "const w float 4,3,3,3\n"
     "const v float 4,3,3,3\n"
     "const p float 3\n"
     "const s float - = 0.5\n"
     "Conv x,w -> c\n"
     "Mul c,p -> y\n"
     "Conv x,v -> d\n"
     "Div s,d -> z\n",
     ON, "Conv Mul Conv Div", CLOSE},
    {"not where alpha scales the product", 13,
     "in x float N,3\n"
     "out y float N,4\n"
     "const w float 3,4\n"
     "const m float 4\n"
     "Gemm x,w -> c alpha=0.5\n"
     "Mul c,m -> y\n",
     ON, "Gemm Mul", 0},
    {"BatchNormalization behind Conv", 15,
     "in x float N,3,5,5\n"
     "out y float N,4,3,3\n"
     "const w float 4,3,3,3\n" STATISTICS "Conv x,w -> c\n"
     "BatchNormalization c,gamma,beta,mean,var -> y epsilon=0.125\n",
     BN, "Conv[BatchNormalization]", CLOSE},
    {"BatchNormalization in training stays", 15,
     "in x float N,3,5,5\n"
     "out y float N,4,3,3\n"
     "out u float 4\n"
     "out v float 4\n"
     "const w float 4,3,3,3\n" STATISTICS "Conv x,w -> c\n"
     "BatchNormalization c,gamma,beta,mean,var -> y,u,v training_mode=1\n",
     BN, "Conv BatchNormalization", CLOSE},
    {"BatchNormalization behind a grouped ConvTranspose and behind Gemm", 15,
     "in x float N,4,5,5\n"
     "in z float N,3\n"
     "out y float N,4,7,7\n"
     "out u float N,4\n"
     "const w float 4,2,3,3\n"
     "const b float 4\n"
     "const v float 4,3\n" STATISTICS "ConvTranspose x,w,b -> c group=2\n"
     "BatchNormalization c,gamma,beta,mean,var -> y\n"
     "Gemm z,v -> d transB=1\n"
     "BatchNormalization d,gamma,beta,mean,var -> u\n",
     BN, "ConvTranspose[BatchNormalization] Gemm[BatchNormalization]", CLOSE},
};

int main(void)
{
    PASS_CASES_RUN(cases);
    return tap_done();
}
