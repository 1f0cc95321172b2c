# SPDX-License-Identifier: Apache-2.0
"""Einsum: every way in which indices meet."""
import numpy as np

from oracle_cases import F

SIZES = dict(zip('abcdefgijkl', (2, 3, 4, 5, 2, 3, 2, 3, 4, 5, 6), strict=True))
PRODUCTS = ('ij,jk->ik', 'ij,jk->ki', 'ji,jk->ik', 'ij,kj->ik', 'ji,kj->ki', 'bij,bjk->bik', 'bij,bjk->ikb', 'ibj,jkb->bik',
            'aij,bjk->abik', 'abij,abjk->abik', 'abij,abkj->abik', 'i,i', 'i,i->i', 'i,j->ij', 'i,j->ji', 'ij,ij->', 'ij,ij->i',
            'ij,k->i', 'ij,ji->', 'ijk,jil->kl', 'abc,cd,def->abef', 'ij,jk,kl->il', 'i,j,k->kij', 'ab,bc,ac->', 'ab,ab,ab->a',
            'ijk,ljk->il', 'ij,jk', 'ib,jb', 'abcd,cdef->abef', 'abcd,dcef->feba')
SINGLES = ('ij->ji', 'ij->', 'ij->i', 'ij->j', 'ij', 'ji', 'ijk->kij', 'ijk->ik', 'ii->i', 'ii', 'ii->', 'iji->j', 'iji->ij', 'iijj->ji',
           'iiij->ij', 'i->i', 'i->', '->', ' i j -> j ')


def shape(term):
    return tuple(SIZES[c] for c in term if c.isalpha())


def operands(w, equation, dtype):
    terms = equation.split('->')[0].split(',')
    def make(term):
        if np.issubdtype(dtype, np.integer):
            return w.rng.integers(-9, 10, shape(term)).astype(dtype)
        return w.rng.standard_normal(shape(term)).astype(dtype)
    return [(f'x{i}', make(term)) for i, term in enumerate(terms)]


def label(equation):
    return equation.replace('->', '_to_').replace(',', '-').replace(' ', 's').replace('.', 'd')


def kinds(w):
    for equation in PRODUCTS + SINGLES:
        w.case(f'einsum_{label(equation)}', 'Einsum', operands(w, equation, F), equation=equation)
    for dtype in (np.float64, np.int32, np.int64):
        for equation in PRODUCTS[::3] + SINGLES[::4]:
            w.case(f'einsum_{np.dtype(dtype).name}_{label(equation)}', 'Einsum', operands(w, equation, dtype), equation=equation)


def shapes(w):
    for equation, *sizes in (('...ij,...jk->...ik', (5, 2, 2, 3), (5, 2, 3, 4)), ('...ij,...jk', (2, 2, 3), (2, 3, 4)),
                             ('i...->...', (2, 3)), ('...a,...b->...ab', (4, 2), (4, 3)), ('...ii->...i', (3, 2, 2)),
                             ('a...b,c...b->ca...', (2, 3, 4, 5), (6, 3, 4, 5)), ('...,...->...', (2, 3), (2, 3)),
                             ('ij...->ij', (2, 3)), ('...->...', (2, 3)), ('b...,b->b...', (2, 3, 4), (2,)),
                             ('ij->ij', (1, 3)), ('ij,ij->ij', (1, 3), (2, 3)), ('ij,jk->ik', (2, 1), (3, 4)), ('i,i', (1,), (3,)),
                             ('ij,jk->ik', (2, 1), (1, 4)), ('ij,ij->i', (2, 1), (2, 3)), ('...i,...i->...', (2, 1, 3), (2, 4, 3)),
                             ('->', ()), (',->', (), ()), ('i,->i', (3,), ()), (',i->', (), (3,)),
                             ('i->i', (0,)), ('i->', (0,)), ('ij,jk->ik', (2, 0), (0, 3)), ('ij,jk->ik', (0, 2), (2, 3)), ('i,i->', (0,), (0,)),
                             ('bij,bjk->bik', (1, 64, 48), (1, 48, 80)), ('bhid,bhjd->bhij', (2, 3, 20, 16), (2, 3, 20, 16)),
                             ('bhij,bhjd->bihd', (2, 3, 20, 20), (2, 3, 20, 16)), ('bij,jk->bik', (3, 7, 33), (33, 9))):
        values = [(f'x{i}', w.rng.standard_normal(s).astype(F)) for i, s in enumerate(sizes)]
        name = f'einsum_{label(equation)}_' + '_'.join('x'.join(map(str, s)) for s in sizes)
        w.case(name, 'Einsum', values, equation=equation)
        if len(sizes) > 1:
            w.case(name + '_constant', 'Einsum', values, ('x1',), equation=equation)


NEAR = (kinds, shapes)
