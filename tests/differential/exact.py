# SPDX-License-Identifier: Apache-2.0
"""Which outputs of a graph leave no room: integers that follow from its inputs by operators on integers alone.

Whole numbers are added, multiplied, compared and moved without rounding; what an operator on quantised numbers rounds, it
rounds once, as its definition says. No step off is right there, however the weights are shaken.
"""
from onnx import AttributeProto, TensorProto

WHOLE = {getattr(TensorProto, t) for t in ('INT8', 'INT16', 'INT32', 'INT64', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'BOOL', 'INT4',
                                           'UINT4', 'INT2', 'UINT2')}
# Exact on whole numbers, all inputs of which are such.
ON_INTEGERS = set("""
    Abs Add And ArgMax ArgMin BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CenterCropPad Clip Compress Concat
    ConcatFromSequence ConvInteger CumSum DepthToSpace Div Equal Expand Flatten Gather GatherElements GatherND Greater
    GreaterOrEqual Identity Less LessOrEqual MatMulInteger Max MaxPool Min Mod Mul Neg NonZero Not Or Pad ReduceMax ReduceMin
    ReduceProd ReduceSum Relu Reshape ReverseSequence ScatterElements ScatterND Shape Sign Size Slice SpaceToDepth Split Squeeze
    Sub Sum Tile TopK Transpose Trilu Unique Unsqueeze Where Xor""".split())
# One rounding at their end, of what the inputs say; scales, and what is quantised, are given reals.
ON_QUANTISED = set("""
    DynamicQuantizeLinear NhwcMaxPool QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool
    QLinearLeakyRelu QLinearMatMul QLinearMul QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear""".split())


def stays_whole(node):
    """Its results are whole numbers when its inputs are."""
    if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
        return False
    return node.op_type != 'Cast' or next(a.i for a in node.attribute if a.name == 'to') in WHOLE


def exact_outputs(model):
    """Names of the graph outputs that have to be ONNX Runtime's in every bit: (those of whole numbers alone, those where a
    real number was rounded on the way, which may lie between two whole ones)."""
    graph = model.graph
    types = {i.name: i.type.tensor_type.elem_type for i in (*graph.input, *graph.output) if i.type.HasField('tensor_type')}
    types.update((i.name, i.data_type) for i in graph.initializer)
    given = {i.name for i in graph.input} | {i.name for i in graph.initializer}
    whole, rounded = {n for n in given if types.get(n) in WHOLE}, set()
    for node in (model.functions[0].node if model.functions else graph.node):
        inputs, outputs = {i for i in node.input if i}, [o for o in node.output if o]
        if node.op_type in ON_INTEGERS and inputs <= whole | rounded and stays_whole(node):
            (whole if inputs <= whole else rounded).update(outputs)
        elif node.op_type in ON_QUANTISED and inputs <= whole | rounded | given:
            rounded.update(outputs)
    return tuple({o.name for o in graph.output if o.name in names and types.get(o.name) in WHOLE} for names in (whole, rounded))


# Move, compare or choose among the reals that they are given, and compute nothing before.
ON_GIVEN = set("""
    Abs And ArrayFeatureExtractor Binarizer Cast Ceil Clip Compress Concat DepthToSpace DictVectorizer Equal Expand Flatten Floor Gather
    GatherElements GatherND Greater GreaterOrEqual Identity IsInf IsNaN LabelEncoder Less LessOrEqual Max Min Neg NonZero Not
    OneHotEncoder Or Pad Relu Reshape ReverseSequence Round Shape Sign Size Slice SpaceToDepth Split Squeeze Transpose Trilu Unsqueeze
    Where Xor""".split())
# So do these, whose results are no such reals any more.
AT_LAST = {'MurmurHash3', 'Range', 'TreeEnsemble', 'TreeEnsembleRegressor'}


def decided_outputs(model):
    """Names of the graph outputs that no rounding comes before: a change of what was given in the last bits may well make
    them others, and excuses nothing."""
    graph = model.graph
    given = {i.name for i in graph.input} | {i.name for i in graph.initializer}
    last = set()
    for node in (model.functions[0].node if model.functions else graph.node):
        if node.op_type in ON_GIVEN | AT_LAST and given.issuperset(i for i in node.input if i):
            (given if node.op_type in ON_GIVEN else last).update(o for o in node.output if o)
    return {o.name for o in graph.output if o.name in given | last}
