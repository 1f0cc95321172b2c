/* SPDX-License-Identifier: Apache-2.0 */
#include "pass_test.h"

#define ON    "find-norms,dead-code"
#define CLOSE 2e-6

#define NUMBERS \
    "const two float - = 2\nconst eps float - = 0.001\nconst g float 6\nconst b float 6\n"

static const struct pass_case cases[] = {
    {"as PyTorch writes it for opset 11", 11,
     "in x float N,4,6\nout y float N,4,6\n" NUMBERS
     "ReduceMean x -> m axes=[-1]\nSub x,m -> d\nPow d,two -> p\nReduceMean p -> v axes=[-1]\n"
     "Add v,eps -> e\nSqrt e -> s\nDiv d,s -> n\nMul n,g -> h\nAdd h,b -> y\n",
     ON, "LayerNormalization", CLOSE},
    {"axes as an input, a product for the square, operands the other way round", 18,
     "in x float N,4,6\nout y float N,4,6\n" NUMBERS
     "const axes int64 2 = 1,2\nconst gg float 4,6\n"
     "ReduceMean x,axes -> m\nSub x,m -> d\nMul d,d -> p\nReduceMean p,axes -> v\n"
     "Add eps,v -> e\nSqrt e -> s\nDiv d,s -> n\nMul gg,n -> y\n",
     ON, "LayerNormalization", CLOSE},
    {"neither scale nor bias", 13,
     "in x float N,4,6\nout y float N,4,6\n" NUMBERS
     "ReduceMean x -> m axes=[2]\nSub x,m -> d\nPow d,two -> p\nReduceMean p -> v axes=[2]\n"
     "Add v,eps -> e\nSqrt e -> s\nDiv d,s -> y\n",
     ON, "LayerNormalization", CLOSE},
    {"a bias without a scale", 13,
     "in x float N,4,6\nout y float N,4,6\n" NUMBERS
     "ReduceMean x -> m axes=[2]\nSub x,m -> d\nPow d,two -> p\nReduceMean p -> v axes=[2]\n"
     "Add v,eps -> e\nSqrt e -> s\nDiv d,s -> n\nAdd b,n -> y\n",
     ON, "LayerNormalization", CLOSE},
    {"of root mean squares, as Llama writes it", 13,
     "in x float N,4,6\nout y float N,4,6\n" NUMBERS
     "Pow x,two -> p\nReduceMean p -> v axes=[-1]\nAdd v,eps -> e\nSqrt e -> s\n"
     "Reciprocal s -> r\nMul x,r -> n\nMul g,n -> y\n",
     ON, "SimplifiedLayerNormalization", CLOSE},
    {"with a residual of the same shape", 13,
     "in x float 2,4,6\nin r float 2,4,6\nout y float 2,4,6\n" NUMBERS "Abs r -> q\nAdd x,q -> a\n"
     "ReduceMean a -> m axes=[-1]\nSub a,m -> d\nPow d,two -> p\nReduceMean p -> v axes=[-1]\n"
     "Add v,eps -> e\nSqrt e -> s\nDiv d,s -> n\nMul n,g -> h\nAdd h,b -> y\n",
     ON, "Abs SkipLayerNormalization[Add]", CLOSE},
    {"not when the sum is wanted, too", 13,
     "in x float 2,4,6\nin r float 2,4,6\nout y float 2,4,6\nout a float 2,4,6\n" NUMBERS
     "Add x,r -> a\n"
     "ReduceMean a -> m axes=[-1]\nSub a,m -> d\nPow d,two -> p\nReduceMean p -> v axes=[-1]\n"
     "Add v,eps -> e\nSqrt e -> s\nDiv d,s -> n\nMul n,g -> h\nAdd h,b -> y\n",
     ON, "Add LayerNormalization", CLOSE},
    {"not over an axis that others follow", 13,
     "in x float N,4,6\nout y float N,4,6\n" NUMBERS
     "ReduceMean x -> m axes=[1]\nSub x,m -> d\nPow d,two -> p\nReduceMean p -> v axes=[1]\n"
     "Add v,eps -> e\nSqrt e -> s\nDiv d,s -> n\nMul n,g -> h\nAdd h,b -> y\n",
     ON, "ReduceMean Sub Pow ReduceMean Add Sqrt Div Mul Add", 0},
    {"not of another tensor's mean", 13,
     "in x float N,4,6\nin z float N,4,6\nout y float N,4,6\n" NUMBERS
     "ReduceMean z -> m axes=[2]\nSub x,m -> d\nPow d,two -> p\nReduceMean p -> v axes=[2]\n"
     "Add v,eps -> e\nSqrt e -> s\nDiv d,s -> y\n",
     ON, "ReduceMean Sub SimplifiedLayerNormalization", CLOSE},
    {"a scale per row is not the normalisation's", 13,
     "in x float N,4,6\nout y float N,4,6\n" NUMBERS "const row float 4,1\n"
     "ReduceMean x -> m axes=[-1]\nSub x,m -> d\nPow d,two -> p\nReduceMean p -> v axes=[-1]\n"
     "Add v,eps -> e\nSqrt e -> s\nDiv d,s -> n\nMul n,row -> y\n",
     ON, "LayerNormalization Mul", CLOSE},
};

int main(void)
{
    PASS_CASES_RUN(cases);
    return tap_done();
}
