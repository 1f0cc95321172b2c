# SPDX-License-Identifier: Apache-2.0
"""RegexFullMatch beside RE2 itself: every construct, and patterns made at random."""
import numpy as np

PATTERNS = {
    r'a.c': 'abc a\nc aéc a日c ac', r'(?s)a.c': 'a\nc abc', r'(?i)straße': 'STRASSE STRAßE Straße', r'(?i)ſ': 's S ſ t', r'(?i)k': '\u212a K k',
    r'[^a]': '\n b 日 a', r'(?i)[k]': '\u212a K l', r'\d+': '123 ١ 12a', r'\w+': 'ab_1 é a-b', r'\s': '\t \x0b \xa0', r'[[:alpha:]]+': 'abZ a1 é',
    r'[[:word:]\-]+': 'a-b a+b', r'\bab\b': 'ab abc', r'^ab$': 'ab a', r'\Aab\z': 'ab', r'a\b': 'a', r'a\B': 'a', r'a\Bb': 'ab', r'a\bb': 'ab',
    r'a{2,3}': 'a aa aaa aaaa', r'a{,3}': 'a{,3} aa', r'a{2}': 'a aa aaa', r'a{2,}': 'a aa aaaaa', r'a*?': 'aa b', r'(a|b)*': 'abab abc',
    r'[]a]': '] a b', r'[a-]': '- a b', r'[--/]': '- . / 0', r'|a': 'a b', r'()': 'a', r'(?P<n>a)': 'a', r'(?<n>a)': 'a', r'(?:a)': 'a', r'\Qa.b\E': 'a.b axb',
    r'\Qab\E*': 'a ab abb', r'\x41\x{1F600}': 'A😀 A', r'\101': 'A a', r'(?i:A)b': 'ab aB', r'(?-i)a': 'a A', r'(?U)a+': 'aa', r'(?m)^a$': 'a', r'\_': '_',
    '(?m)a$\\nb': 'a\nb ab', '(?m)a\\n^b': 'a\nb', r'a$b': 'ab', r'a\n^b': 'a\nb', r'x{0}': 'x', r'[^\d\s]': 'a 1', r'[\D]': '1 a', r'[^\D]': '1 a',
    r'[[:^alpha:]]': '1 a', r'(a*)*b': 'a' * 32 + ' ' + 'a' * 32 + 'b', r'(a+)+$': 'a' * 40 + 'b ' + 'a' * 40, r'(a|aa)+': 'a' * 60 + ' ' + 'a' * 60 + 'b',
    r'[a\]b]+': ']a a', r'\a\f\t\n\r\v': '\a\f\t\n\r\v', r'(?i)É': 'é É e', r'(?i)[à-é]': 'É Z', r'(?i)ß': 'ẞ SS', r'(?i)σ': 'ς Σ σ s', r'(?i)θ': 'ϑ ϴ Θ',
    r'(?i)[^k]': '\u212a K l', r'a|b|': 'a b c', r'((((((((((a))))))))))': 'a', r'(a{2}){3}': 'aaaaaa aaaaa', r'(a|b|cd){2,3}': 'abcd a cdcdcd cdcdcdcd',
    r'(.*)@(.*)\.com': 'a@b.com a@b.net @.com', r'\.\*\+\?\(\)\[\]\{\}\|\^\$\\': '.*+?()[]{}|^$\\', r'(?i)(?-i:a)b': 'aB AB', r'(?i)a(?-i)b': 'Ab AB',
    r'(?:(?i)a)b': 'Ab AB', r'a(?i)b|c': 'aB C c', r'[[:punct:]]+': '!"# a', r'[[:xdigit:]]{2}': 'fF g0', r'日+本?': '日日本 日 本', r'[日-本]': '月 日',
    r'(x+x+)+y': 'x' * 50, r'[\w.]+': 'a.b a-b', r'\D\S\W': 'a!! 1a!', r'{a}': '{a}', r'a{': 'a{ a', r'a{1': 'a{1', r'a{1,': 'a{1,', r'}': '}', r']': ']',
}


def constructs(w):
    for i, (pattern, subjects) in enumerate(PATTERNS.items()):
        texts = np.array(['', *subjects.split(' '), subjects], object)
        w.case(f'regex_{i}', 'RegexFullMatch', [('x', texts)], opset=20, pattern=pattern)
    w.case('regex_empty', 'RegexFullMatch', [('x', np.zeros((0, 2), object))], opset=20, pattern='a')
    w.case('regex_scalar', 'RegexFullMatch', [('x', np.array('aaa', object))], opset=20, pattern='a+')


def pattern_of(w, depth):
    """Every one is well formed, and none repeats a repetition."""
    kind = w.rng.integers(0, 9 if depth > 0 else 4)
    if kind < 2:
        return 'abc'[w.rng.integers(0, 3)]
    if kind == 2:
        return ('.', '[ab]', '[^a]', '\\b', '^', '$', '[b-c]')[w.rng.integers(0, 7)]
    if kind == 3:
        return ''
    if kind < 6:
        return pattern_of(w, depth - 1) + pattern_of(w, depth - 1)
    if kind == 6:
        return f'({pattern_of(w, depth - 1)}|{pattern_of(w, depth - 1)})'
    return f'({pattern_of(w, depth - 1)})' + ('*', '+', '?', '{2}', '{1,2}', '{2,}', '{0,2}', '*?')[w.rng.integers(0, 8)]


def random(w):
    texts = [''.join('abc'[c] for c in w.rng.integers(0, 3, w.rng.integers(0, 7))) for _ in range(80)]
    for i in range(150):
        w.case(f'regex_random_{i}', 'RegexFullMatch', [('x', np.array(texts, object))], opset=20, pattern=pattern_of(w, 4))


EXACT = (constructs, random)
