# SPDX-License-Identifier: Apache-2.0
"""com.microsoft Tokenizer: characters, separators, expressions."""
import numpy as np

from oracle_cases import MS

LINES = np.array(['a b  c', 'the cat-sat, on 日本 mats', '', ' x ', 'żółć żó', 'abc', '-,- ', 'one'], object)
SEPARATORS = {'space': [' '], 'spaces': [' +'], 'class': ['[ ,-]'], 'two': [' ', '-'], 'words': ['cat', 'a', 'on'], 'order': ['at', 'c'],
              'longest': ['a|ab|abc'], 'start': ['^a'], 'border': [r'\bc'], 'letters': [r'\w'], 'fold': ['(?i)B'], 'wide': ['日', 'ó'],
              'none': ['Q'], 'three': [' ', 'a', 't'], 'all': ['.+']}
EXPRESSIONS = {'word': '[a-z]+', 'star': 'a*', 'longest': 'a|ab|abc', 'lazy': '[a-z]+?', 'start': '^[a-z]', 'end': '[a-z]$', 'border': r'[a-z]\b',
               'any': '..', 'wide': '[^ -~]+', 'groups': '(a)(t)?', 'letters': r'\w+', 'class': '[[:punct:]]', 'none': 'Q', 'mixed': r'\S+\s?',
               'line': '(?m)^.', 'leftmost': 'at, on|t|cat'}


def case(w, name, x, mark, least, **how):
    w.case(f'tokenizer_{name}_{mark}{least}', 'Tokenizer', [('x', x)], domain=MS, mark=mark, mincharnum=least, pad_value='<pad>', **how)


def tokens(w):
    for mark in (0, 1):
        for label, how in (('characters', {'separators': ['']}), ('dot', {'tokenexp': '.'})):
            case(w, label, LINES, mark, 1, **how)
            case(w, f'{label}_rows', LINES.reshape(2, 4), mark, 1, **how)
            case(w, f'{label}_nothing', LINES[2:3], mark, 1, **how)
        for least in (1, 2, 3):
            for label, separators in SEPARATORS.items():
                case(w, f'separators_{label}', LINES, mark, least, separators=separators)
            for label, expression in EXPRESSIONS.items():
                case(w, f'expression_{label}', LINES, mark, least, tokenexp=expression)
        for label, how in (('characters', {'separators': ['']}), ('separators', {'separators': [' ']}), ('expression', {'tokenexp': 'a+'})):
            for shape in ((0,), (2, 0), (0, 3)):
                case(w, f'{label}_{"x".join(map(str, shape))}', np.zeros(shape, object), mark, 1, **how)
        case(w, 'rows', LINES.reshape(4, 2), mark, 1, separators=[' '])
        case(w, 'both', LINES, mark, 1, separators=['a'], tokenexp='b')
        case(w, 'lines', np.array(['a\nb', '\n', 'a.b'], object), mark, 1, tokenexp='a.?b?')


def random(w):
    """Patterns without a match of nothing: what ONNX Runtime makes of one at the end of a piece hangs on what lies behind it."""
    texts = np.array([''.join('abc '[c] for c in w.rng.integers(0, 4, w.rng.integers(0, 24))) for _ in range(40)], object)
    parts = ['a', 'b', 'c', '.', '[ab]', 'ab', '(a|bc)', 'a*b', '(ab)+', 'b+?', '(a|ab)(c|bcd)?', '[^a]', ' ', r'\bb', r'a\b', 'c{2,3}', 'b.?']
    for i in range(60):
        pattern = ''.join(w.rng.choice(parts, w.rng.integers(1, 4))) + ('|' + w.rng.choice(parts) if i % 3 == 0 else '')
        how = {'tokenexp': pattern} if i % 2 else {'separators': [pattern, *w.rng.choice(parts, i % 3)]}
        case(w, f'random_{i}', texts, i % 4 // 2, 1 + i % 2, **how)


EXACT = (tokens, random)
