# SPDX-License-Identifier: Apache-2.0
"""How to make valid nodes: one function per family of operators, registered by the names it can make.

A recipe is called with a Draft and the operator's name, adds what it likes and returns what Draft.emit returned.
Modules of this package are found by themselves.
"""
import importlib
import pkgutil

RECIPES = {}


def recipe(*operators):
    def keep(function):
        for op in operators:
            RECIPES[op] = function
        return function
    return keep


def load():
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f'{__name__}.{module.name}')
    return RECIPES


def broadcast(d, high=4):
    """Two shapes that broadcast to one another."""
    whole = list(d.shape(high=high))
    pair = []
    for _ in range(2):
        shape = [1 if d.chance(0.25) else n for n in whole]
        pair.append(tuple(shape[d.integer(0, len(shape)):] if d.chance(0.3) else shape))
    return pair


def axis_of(d, array, axis=None):
    """An axis as the standard writes it: sometimes counted from the end."""
    axis = d.integer(0, array.ndim - 1) if axis is None else axis
    return axis - array.ndim if d.chance(0.4) else axis
