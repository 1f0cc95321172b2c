/* SPDX-License-Identifier: Apache-2.0 */
#include "pass_test.h"

#define ON    "find-activations,dead-code"
#define CLOSE 2e-6

#define IN_OUT "in x float N,8\nout y float N,8\n"

static const struct pass_case cases[] = {
    {"x * sigmoid(x)", 13, IN_OUT "Sigmoid x -> s\nMul s,x -> y\n", ON, "QuickGelu[Mul]", CLOSE},
    {"x * sigmoid(1.5 x)", 13,
     IN_OUT "const k float - = 1.5\n"
            "Mul x,k -> a\nSigmoid a -> s\nMul x,s -> y\n",
     ON, "QuickGelu[Mul]", CLOSE},
    {"x * (1 + erf(x / sqrt 2)) * 0.5, as PyTorch writes it", 13,
     IN_OUT "const r float - = 1.41421354\nconst one float - = 1\nconst half float - = 0.5\n"
            "Div x,r -> a\nErf a -> e\nAdd e,one -> f\nMul x,f -> g\nMul g,half -> y\n",
     ON, "Gelu[Mul]", CLOSE},
    {"0.5 * x first, a product instead of the quotient", 13,
     IN_OUT "const r float - = 0.707106769\nconst one float - = 1\nconst half float - = 0.5\n"
            "Mul half,x -> h\nMul r,x -> a\nErf a -> e\nAdd one,e -> f\nMul h,f -> y\n",
     ON, "Gelu[Mul]", CLOSE},
    {"the tanh form with Pow", 13,
     IN_OUT "const three float - = 3\nconst c float - = 0.044715\nconst r float - = 0.797884583\n"
            "const one float - = 1\nconst half float - = 0.5\n"
            "Pow x,three -> p\nMul p,c -> q\nAdd x,q -> s\nMul s,r -> t\nTanh t -> u\n"
            "Add u,one -> v\nMul x,v -> w\nMul half,w -> y\n",
     ON, "FastGelu[Mul]", CLOSE},
    {"the tanh form with products", 13,
     IN_OUT "const c float - = 0.044715\nconst r float - = 0.797884583\n"
            "const one float - = 1\nconst half float - = 0.5\n"
            "Mul x,x -> p2\nMul x,p2 -> p\nMul c,p -> q\nAdd q,x -> s\nMul r,s -> t\nTanh t -> u\n"
            "Add u,one -> v\nMul half,x -> w\nMul w,v -> y\n",
     ON, "FastGelu[Mul]", CLOSE},
    {"x * relu6(x + 3) / 6", 13,
     IN_OUT "const three float - = 3\nconst lo float - = 0\nconst hi float - = 6\n"
            "Add x,three -> a\nClip a,lo,hi -> c\nMul x,c -> m\nDiv m,hi -> y\n",
     ON, "HardSwish[Div]", CLOSE},
    {"x * hardsigmoid(x)", 13, IN_OUT "HardSigmoid x -> s alpha=0.16666667\nMul x,s -> y\n", ON,
     "HardSwish[Mul]", CLOSE},
    {"x * tanh(softplus(x))", 13, IN_OUT "Softplus x -> s\nTanh s -> t\nMul x,t -> y\n", ON,
     "Mish[Mul]", CLOSE},
    {"Min after Max is Clip", 13,
     IN_OUT "const lo float - = -0.25\nconst hi float - = 0.5\nMax x,lo -> m\nMin hi,m -> y\n", ON,
     "Clip[Max+Min]", 0},
    {"Max after Min is, too, but not with the bounds the wrong way round", 13,
     "in x float N,8\nout y float N,8\nout z float N,8\n"
     "const lo float - = -0.25\nconst hi float - = 0.5\n"
     "Min x,hi -> m\nMax lo,m -> y\n"
     "Max x,hi -> n\nMin n,lo -> z\n",
     ON, "Clip[Max+Min] Max Min", 0},
    {"not the sigmoid of something else", 13,
     "in x float N,8\nin z float N,8\nout y float N,8\nSigmoid z -> s\nMul s,x -> y\n", ON,
     "Sigmoid Mul", 0},
    {"not with other numbers", 13,
     IN_OUT "const r float - = 1.5\nconst one float - = 1\nconst half float - = 0.5\n"
            "Div x,r -> a\nErf a -> e\nAdd e,one -> f\nMul x,f -> g\nMul g,half -> y\n",
     ON, "Div Erf Add Mul Mul", 0},
    {"not a constant that gives the result another rank", 13,
     "in x float N,8\nout y float 1,N,8\nconst k float 1,1,1 = 1\n"
     "Sigmoid x -> s\nMul s,x -> t\nMul k,t -> y\n",
     ON, "QuickGelu[Mul] Mul", CLOSE},
    {"found ones are fused into what feeds them", 13,
     "in x float N,3,5,5\nout y float N,4,3,3\nconst w float 4,3,3,3\nconst b float 4\n"
     "Conv x,w,b -> c\nSigmoid c -> s\nMul c,s -> y\n",
     "find-activations,dead-code,fuse-activation", "Conv[QuickGelu]", 1e-5},
};

int main(void)
{
    PASS_CASES_RUN(cases);
    return tap_done();
}
