# SPDX-License-Identifier: Apache-2.0
"""A differential fuzzer: random small valid graphs, run by this core and by ONNX Runtime.

    python -m differential [--seed N] [--graphs N | --seconds N] [--only OPERATOR]    in tests/

draft.py builds a graph node by node; recipes/ knows how to make valid inputs and attributes for each operator, and
ONNX Runtime is asked about every node at once: what it refuses is not in the graph. judge.py runs the finished graphs
in every way this core can run them and compares.
"""
