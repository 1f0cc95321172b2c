# SPDX-License-Identifier: Apache-2.0
"""Operators that make strings."""
import sys
import unicodedata

import numpy as np

WORDS = ['', 'a', 'Straße', 'żółć', '日本', '𝒳', 'two words', ' ']


def texts(*shape, words=WORDS):
    count = int(np.prod(shape))
    return np.array([words[i * 5 % len(words)] for i in range(count)], object).reshape(shape)


def concat(w):
    for label, a, b in (('same', (3, 5), (3, 5)), ('row', (2, 1, 7), (5, 7)), ('outer', (6, 1), (1, 4)), ('scalar', (), (3, 2)),
                        ('empty', (0, 3), (1, 3)), ('both_scalar', (), ())):
        w.case(f'stringconcat_{label}', 'StringConcat', [('a', texts(*a)), ('b', texts(*b, words=WORDS[::-1]))], opset=20)


def split(w):
    lines = np.array([['a b  c', ' x ', ''], ['   ', 'one', 'a\tb c']], object)
    commas = np.array(['a,b,,c', ',', 'abc', '', ',,x', 'a,,,b'], object)
    for label, x, attributes in (('spaces', lines, {}), ('comma', commas, {'delimiter': ','}), ('two', commas, {'delimiter': ',,'}),
                                 ('none', lines, {'delimiter': ''}), ('most_1', lines, {'maxsplit': 1}),
                                 ('most_0', commas, {'maxsplit': 0, 'delimiter': ','}), ('most_m1', commas, {'maxsplit': -1, 'delimiter': ','}),
                                 ('most_2', np.array(['  a b c  d  ', 'a  '], object), {'maxsplit': 2}),
                                 ('scalar', np.array('a b', object), {}), ('nothing', np.array(['', ' '], object), {}),
                                 ('empty', np.zeros((2, 0), object), {})):
        w.case(f'stringsplit_{label}', 'StringSplit', [('x', x)], outputs=2, opset=20, **attributes)


def normalizer(w):
    """locale C.UTF-8 is one that ONNX Runtime finds on any glibc of today."""
    words = np.array(['Ab', 'ab', 'ÄÖ', 'ß', 'ǅ', 'Ⅷ', 'ａ', '𐐨', 'ΑΣ', 'ς', 'ı', 'x'], object)
    for change in ('NONE', 'LOWER', 'UPPER'):
        for sensitive in (0, 1):
            for stops in ([], ['AB', 'äö'], ['ab', 'x'], list(words)):
                for locale in ('C', 'C.UTF-8'):
                    name = f'stringnormalizer_{change.lower()}_{sensitive}_{len(stops)}{"".join(stops[:1])}_{locale[1:]}'
                    w.case(name, 'StringNormalizer', [('x', words)], case_change_action=change, is_case_sensitive=sensitive,
                           locale=locale, **({'stopwords': stops} if stops else {}))
    w.case('stringnormalizer_row', 'StringNormalizer', [('x', words[None])], stopwords=['ab'], locale='C')


def letters(w):
    """Every letter that has a case."""
    every = [chr(c) for c in range(0x80, sys.maxunicode + 1) if unicodedata.category(chr(c)) in ('Lu', 'Ll', 'Lt', 'Nl', 'So')]
    for change in ('LOWER', 'UPPER'):
        w.case(f'stringnormalizer_letters_{change.lower()}', 'StringNormalizer', [('x', np.array(every, object))],
               case_change_action=change, locale='C.UTF-8')


EXACT = (concat, split, normalizer, letters)
