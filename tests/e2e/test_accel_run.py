# SPDX-License-Identifier: Apache-2.0
"""accel-run as a user meets it: verbs, files, messages and exit statuses."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / 'tests' / 'models'))
import hostile  # noqa: E402
import oracle  # noqa: E402
import ort_maps  # noqa: E402

PROGRAM = Path(os.environ.get('ACCELD_BUILD', ROOT / 'build')) / 'accel-run'
FIXTURES = ROOT / 'tests' / 'fixtures'
MNIST = FIXTURES / 'mnist-8'
VERBS = ['test', 'bench', 'analyse', 'run', 'pack', 'ops']


def run(*arguments, status=0):
    """Runs accel-run, expects the exit status, returns (stdout, stderr)."""
    done = subprocess.run([str(a) for a in (PROGRAM, *arguments)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == status, f'status {done.returncode}: {done.stdout}\n{done.stderr}'
    assert 'Sanitizer' not in done.stderr and 'runtime error:' not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope='module')
def mnist_input():
    return oracle.inputs_of(MNIST / 'test_data_set_0')


@pytest.fixture(scope='module')
def mnist_output():
    return oracle.read_tensor(MNIST / 'test_data_set_0' / 'output_0.pb')


# ---------------------------------------------------------------- usage
def test_help_names_every_verb():
    out, err = run('--help')
    assert all(f'\n  {verb} ' in out for verb in VERBS) and err == ''


def test_version_names_the_cpu():
    assert re.match(r'accel-run \d+\.\d+\.\d+ \(.+\)\n$', run('--version')[0])


@pytest.mark.parametrize('verb', VERBS)
def test_each_verb_has_help(verb):
    out, _ = run(verb, '--help')
    assert out.startswith(f'usage: accel-run {verb} ') and '--help' in out


def test_no_verb_is_wrong_usage():
    assert 'usage: accel-run VERB' in run(status=2)[1]


def test_a_mistyped_verb_names_the_nearest():
    assert 'did you mean bench' in run('bnech', status=2)[1]


@pytest.mark.parametrize('arguments, said', [
    (['bench'], 'usage: accel-run bench MODEL'),
    (['bench', MNIST / 'model.onnx', '--thraeds', '1'], '--threads'),
    (['bench', MNIST / 'model.onnx', '--runs', 'many'], 'whole number'),
    (['analyse', 'a', 'b'], 'too many'),
    (['run', MNIST / 'model.onnx'], '--output DIR'),
    (['run', MNIST / 'model.onnx', '--output', 'x', '--format', 'txt'], 'pb or npy'),
    (['pack', MNIST / 'model.onnx'], '--output FILE'),
])
def test_wrong_usage_says_what_is_right(arguments, said):
    assert said in run(*arguments, status=2)[1]


@pytest.mark.parametrize('options, said', [
    (['--cpu-mask', 'sse9'], 'plain, avx2'),
    (['--passes-off', 'no-such-pass'], 'no-such-pass'),
    (['--passes-off', 'dead-code,fuse-bia'], 'did you mean fuse-bias'),
    (['--passes', 'no-such-pass'], 'no-such-pass'),
    (['--passes', 'fuse-bias', '--passes-off', 'dead-code'], 'only one of them'),
    (['--dim', 'N'], 'NAME=N'),
    (['--input-shape', 'Input3'], 'NAME:DIMS'),
    (['--input-shape', 'Input3:1xtwo'], '1x3x224x224'),
])
def test_a_bad_option_says_what_is_right(options, said):
    assert said in run('bench', MNIST / 'model.onnx', *options, status=2)[1]


def test_a_shape_of_another_rank_than_the_model_s_is_named():
    assert 'Input3' in run('bench', MNIST / 'model.onnx', '--input-shape', 'Input3:1x28', status=1)[1]


@pytest.mark.parametrize('verb', [['bench'], ['analyse'], ['pack', '--output', '/dev/null'], ['run', '--output', '/tmp']])
def test_a_missing_model_is_named(verb):
    assert 'no/such/model.onnx' in run(*verb, 'no/such/model.onnx', status=1)[1]


# ---------------------------------------------------------------- test
def test_test_prints_both_figures_and_the_totals():
    out, _ = run('test', MNIST)
    assert len(re.findall(r'^ok   mnist-8/test_data_set_\d: \S+ of the bound, largest \|a-b\| \S+, L2 \S+, ', out, re.M)) == 3
    assert out.endswith('3 passed, 0 failed, 0 skipped\n')


def model_folder(tmp_path, name, source=MNIST):
    folder = tmp_path / name
    (folder / 'test_data_set_0').mkdir(parents=True)
    (folder / 'model.onnx').write_bytes((source / 'model.onnx').read_bytes())
    for file in (source / 'test_data_set_0').iterdir():
        (folder / 'test_data_set_0' / file.name).write_bytes(file.read_bytes())
    return folder


def write_tensor(path, array, name):
    path.write_bytes(numpy_helper.from_array(array, name).SerializeToString())


def test_test_looks_below_folders_and_skips_what_has_no_data(tmp_path):
    model_folder(tmp_path, 'a/b/c')
    bare = tmp_path / 'bare'
    bare.mkdir()
    (bare / 'model.onnx').write_bytes((MNIST / 'model.onnx').read_bytes())
    out, _ = run('test', tmp_path)
    assert 'ok   c/test_data_set_0' in out and 'skip bare: ' in out
    assert out.endswith('1 passed, 0 failed, 1 skipped\n')


def test_a_wrong_output_fails_with_its_place(tmp_path, mnist_output):
    folder, (name, value) = model_folder(tmp_path, 'wrong'), mnist_output
    value = value.copy()
    value[0, 7] += 1000
    write_tensor(folder / 'test_data_set_0' / 'output_0.pb', value, name)
    out, _ = run('test', folder, status=1)
    assert re.search(r'^FAIL wrong/test_data_set_0: .*1 of 10 elements differ, first at \[0,7\]', out, re.M)
    assert out.endswith('0 passed, 1 failed, 0 skipped\n')


def test_a_wrong_shape_fails(tmp_path, mnist_output):
    folder, (name, value) = model_folder(tmp_path, 'wrong'), mnist_output
    write_tensor(folder / 'test_data_set_0' / 'output_0.pb', value.reshape(10, 1), name)
    assert 'float 1x10, expected float 10x1' in run('test', folder, status=1)[0]


def test_tensors_without_names_are_matched_by_number(tmp_path, mnist_input, mnist_output):
    data = model_folder(tmp_path, 'nameless') / 'test_data_set_0'
    write_tensor(data / 'input_0.pb', next(iter(mnist_input.values())), '')
    write_tensor(data / 'output_0.pb', mnist_output[1], '')
    run('test', tmp_path)


def test_a_damaged_tensor_file_fails_by_name(tmp_path):
    folder = model_folder(tmp_path, 'damaged')
    path = folder / 'test_data_set_0' / 'input_0.pb'
    path.write_bytes(path.read_bytes()[:-5])
    out, _ = run('test', folder, status=1)
    assert 'FAIL damaged/test_data_set_0: INVALID: ' in out and 'input_0.pb' in out


def test_a_data_set_without_outputs_fails(tmp_path):
    folder = model_folder(tmp_path, 'mute')
    (folder / 'test_data_set_0' / 'output_0.pb').unlink()
    assert 'no output_<i>.pb' in run('test', folder, status=1)[0]


def test_an_unsupported_model_fails_with_the_operator(tmp_path):
    folder = model_folder(tmp_path, 'unknown')
    case = next(c for c in hostile.cases() if c.name == 'unknown-operator')
    (folder / 'model.onnx').write_bytes(case.data)
    out, _ = run('test', folder, status=1)
    assert 'FAIL unknown/test_data_set_0: UNSUPPORTED: ' in out and 'Frobnicate' in out


def test_nothing_tested_is_no_success(tmp_path):
    assert run('test', tmp_path, status=1)[0] == '0 passed, 0 failed, 0 skipped\n'


def test_a_missing_folder_is_named():
    assert 'no/such/folder' in run('test', 'no/such/folder', status=1)[1]


# ---------------------------------------------------------------- bench, analyse
def test_bench_json_has_every_figure():
    said = json.loads(run('bench', MNIST / 'model.onnx', '--json', '--runs', '7', '--threads', '1', '--profile')[0])
    assert said['runs'] == 7 and said['threads'] == 1
    assert 0 < said['min_ms'] <= said['median_ms'] <= said['p90_ms']
    assert said['gflop'] > 0 and said['gflop_per_s'] > 0 and said['peak_rss_bytes'] > said['weights_bytes'] > 0
    assert {op['op'] for op in said['ops']} >= {'Conv', 'MaxPool'} and all(op['ms'] >= 0 for op in said['ops'])


def test_bench_prints_the_same_for_people():
    out, _ = run('bench', MNIST / 'model.onnx', '--runs', '5', '--profile')
    assert 'median' in out and 'GFLOP/s' in out and 'arena' in out and 'MaxPool' in out


def test_bench_takes_the_shape_of_an_input():
    model = FIXTURES / 'mobilenetv2-035-128' / 'model.onnx'
    name = onnx.load(str(model)).graph.input[0].name
    one, four = (json.loads(run('bench', model, '--json', '--runs', '1', '--threads', '1',
                                '--input-shape', f'{name}:{n}x3x128x128')[0]) for n in (1, 4))
    assert four['arena_bytes'] > one['arena_bytes']


def test_analyse_json_is_the_document_of_the_daemon():
    said = json.loads(run('analyse', MNIST / 'model.onnx', '--json')[0])
    assert said['runnable'] is True and said['opset'] == 8 and said['producer'].startswith('CNTK')
    assert said['inputs'] == [{'name': 'Input3', 'dtype': 'float', 'shape': [1, 1, 28, 28], 'dim_names': [None] * 4}]
    assert sum(op['flops'] for op in said['ops']) == pytest.approx(said['flops'])
    # Two convolutions and a matrix product, 2 FLOP per multiply-add.
    dense = 2 * (28 * 28 * 8 * 25 + 14 * 14 * 16 * 8 * 25 + 256 * 10)
    assert sum(op['flops'] for op in said['ops'] if op['op'] in ('Conv', 'MatMul', 'Gemm')) == pytest.approx(dense, rel=0.02)


def nodes_of(*options):
    return [(op['op'], op['fused']) for op in json.loads(run('analyse', MNIST / 'model.onnx', '--json', *options)[0])['ops']]


def test_analyse_lists_the_nodes_of_the_file():
    in_file = [(node.op_type, '') for node in onnx.load(str(MNIST / 'model.onnx')).graph.node]
    assert sorted(nodes_of()) == sorted(in_file)


def test_analyse_after_passes_lists_what_was_fused():
    assert nodes_of('--after-passes') == [('Conv', 'Add+Relu'), ('MaxPool', ''), ('Conv', 'Add+Relu'), ('MaxPool', ''),
                                          ('Reshape', ''), ('Gemm', 'Add')]
    out, _ = run('analyse', MNIST / 'model.onnx', '--after-passes')
    assert re.search(r'^Conv +Add\+Relu ', out, re.M)


def test_passes_are_chosen_by_name():
    names = [line.split()[0] for line in run('bench', '--passes', 'list')[0].splitlines()]
    assert names[0] == 'drop-identity' and 'dead-code' in names and len(set(names)) == len(names)
    assert all(len(line.split()) > 2 for line in run('run', '--passes', 'list')[0].splitlines())
    unfused = [('Conv', ''), ('Add', ''), ('Relu', '')]
    assert nodes_of('--after-passes', '--passes', 'fold-constants')[:3] == unfused
    assert nodes_of('--after-passes', '--passes-off', 'fold-affine,fuse-bias,fuse-activation,fuse-residual')[:3] == unfused
    assert nodes_of('--after-passes', '--passes', 'fold-constants,fuse-bias')[:2] == [('Conv', 'Add'), ('Relu', '')]
    assert nodes_of('--after-passes', '--passes', 'all') == nodes_of('--after-passes')


@pytest.mark.parametrize('verb', [['test', MNIST], ['bench', MNIST / 'model.onnx', '--runs', '1'], ['pack', MNIST / 'model.onnx', '--output', 'OUT']])
def test_every_verb_takes_passes(tmp_path, verb):
    run(*(tmp_path / 'out' if v == 'OUT' else v for v in verb), '--passes', 'fold-constants')


TEXT = r'"(?:[^"\\\n]|\\.)*"'
DOT_LINE = re.compile(rf'digraph {TEXT} \{{|subgraph cluster_\d+ \{{|label={TEXT};|\}}|(?:node|edge) \[fontname="sans-serif"(?:, fontsize=10)?\];|'
                      rf'[nvox]\d+ \[shape=(?:box|ellipse|note), label={TEXT}(?:, color=red)?\];|[nv]\d+ -> [no]\d+ \[label={TEXT}\];')


def dot_of(path, *options):
    """The lines of a drawing; each must be one that dot(1) knows, and every edge's ends nodes."""
    done = subprocess.run([PROGRAM, 'analyse', path, '--dump', 'dot', *options], capture_output=True, text=True, timeout=300, check=False)
    lines = done.stdout.splitlines()
    assert done.stderr == '' and lines
    bad = [line for line in lines if not DOT_LINE.fullmatch(line)]
    assert not bad, bad
    assert sum(line.endswith('{') for line in lines) == lines.count('}')
    drawn = {line.split()[0] for line in lines if ' [shape=' in line}
    assert {end for line in lines if ' -> ' in line for end in (line.split()[0], line.split()[2])} <= drawn
    return lines


def test_dump_dot_draws_shapes_types_constants_and_what_was_fused():
    after = '\n'.join(dot_of(MNIST / 'model.onnx', '--after-passes'))
    assert 'Input3\\nfloat 1x1x28x28"' in after and '[label="float 1x8x28x28"]' in after
    assert 'label="Conv +Add+Relu\\nConvolution28\\nParameter5: float 8x1x5x5, 800 bytes' in after
    before = dot_of(MNIST / 'model.onnx')
    assert sum('label="Add\\n' in line for line in before) == 3 and 'Relu' not in after.replace('+Relu', '')


def test_dump_dot_draws_subgraphs_as_clusters(tmp_path):
    helper, x = onnx.helper, onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [2])
    branches = {name: helper.make_graph([helper.make_node(op, ['x'], [op])], name, [],
                                        [helper.make_tensor_value_info(op, onnx.TensorProto.FLOAT, [2])])
                for name, op in (('then_branch', 'Abs'), ('else_branch', 'Neg'))}
    graph = helper.make_graph([helper.make_node('If', ['c'], ['y'], name='fork "in" \\ path', **branches)], 'g',
                              [helper.make_tensor_value_info('c', onnx.TensorProto.BOOL, []), x],
                              [helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [2])])
    path = tmp_path / 'if.onnx'
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8), path)
    lines = dot_of(path)
    at = lines.index('label="fork \\"in\\" \\\\ path then_branch";')
    assert lines[at - 1].startswith('subgraph cluster_')
    inside = lines[at:lines.index('}', at)]
    assert any(re.match(r'n\d+ \[.*label="Abs', line) for line in inside) and not any('label="Neg' in line for line in inside)
    assert sum('subgraph cluster_' in line for line in lines) == 2


def test_analyse_lists_every_unsupported_node_at_once(tmp_path):
    path = tmp_path / 'two.onnx'
    path.write_bytes(hostile.model([hostile.node('Frobnicate', ['x'], ['a'], 'first'),
                                    hostile.node('Relu', ['a'], ['b'], domain='org.example', name='second'),
                                    hostile.node('Relu', ['b'], ['y'], name='third')], domains=['org.example']))
    out, _ = run('analyse', path, status=1)
    assert 'runnable: no' in out and 'first (Frobnicate' in out and 'second (org.example:Relu' in out
    said = json.loads(run('analyse', path, '--json', status=1)[0])
    assert {op['name'] for op in said['ops'] if op['unsupported']} >= {'first', 'second'}


# ---------------------------------------------------------------- run, pack
@pytest.mark.parametrize('given', ['pb', 'npy', 'fortran'])
@pytest.mark.parametrize('wanted', ['pb', 'npy'])
def test_run_reads_and_writes_files(tmp_path, mnist_input, mnist_output, given, wanted):
    (name, value), = mnist_input.items()
    source = tmp_path / f'in.{"pb" if given == "pb" else "npy"}'
    if given == 'pb':
        write_tensor(source, value, 'any name')
    else:
        np.save(source, np.asfortranarray(value) if given == 'fortran' else value)
    out, _ = run('run', MNIST / 'model.onnx', '--input', f'{name}={source}', '--output', tmp_path / 'out', '--format', wanted)
    result, = (tmp_path / 'out').iterdir()
    assert str(result) in out and 'float 1x10' in out and result.name == f'Plus214_Output_0.{wanted}'
    got = np.load(result) if wanted == 'npy' else oracle.read_tensor(result)[1]
    np.testing.assert_allclose(got, mnist_output[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('inputs, said', [
    ([], 'Input3'),
    (['--input', 'Input3=no/such/file.npy'], 'no/such/file.npy'),
    (['--input', 'Input4={good}'], 'Input4'),
    (['--input', 'Input3={small}'], 'Input3'),
    (['--input', 'Input3={double}'], 'Input3'),
    (['--input', 'Input3={good}', '--input', 'Input3={good}'], 'Input3'),
])
def test_run_says_which_input_is_wrong(tmp_path, inputs, said):
    files = {'good': np.zeros((1, 1, 28, 28), np.float32), 'small': np.zeros((1, 1, 27, 28), np.float32),
             'double': np.zeros((1, 1, 28, 28))}
    for name, array in files.items():
        np.save(tmp_path / f'{name}.npy', array)
    paths = {name: tmp_path / f'{name}.npy' for name in files}
    err = run('run', MNIST / 'model.onnx', *(i.format(**paths) for i in inputs), '--output', tmp_path / 'out', status=1)[1]
    assert said in err


def test_a_packed_model_runs_the_same(tmp_path, mnist_input, mnist_output):
    (name, value), = mnist_input.items()
    np.save(tmp_path / 'in.npy', value)
    run('pack', MNIST / 'model.onnx', '--output', tmp_path / 'mnist.packed')
    run('run', tmp_path / 'mnist.packed', '--packed', '--input', f'{name}={tmp_path / "in.npy"}', '--output', tmp_path / 'out')
    np.testing.assert_allclose(oracle.read_tensor(tmp_path / 'out' / 'Plus214_Output_0.pb')[1], mnist_output[1], rtol=1e-3, atol=1e-4)


def test_a_damaged_packed_model_is_refused(tmp_path):
    packed = tmp_path / 'mnist.packed'
    run('pack', MNIST / 'model.onnx', '--output', packed)
    sound = packed.read_bytes()
    for cut in (0, 1, 64, len(sound) // 2, len(sound) - 1):
        packed.write_bytes(sound[:cut])
        run('bench', packed, '--packed', '--runs', '1', status=1)
    packed.write_bytes(b'x' + sound[1:])
    assert str(packed) in run('bench', packed, '--packed', '--runs', '1', status=1)[1]


def test_flipped_bytes_of_a_packed_model_do_no_harm(tmp_path):
    """The graph lies at one end of the file: whatever a byte there becomes, nothing crashes."""
    packed = tmp_path / 'm.packed'
    run('pack', MNIST / 'model.onnx', '--output', packed)
    sound, rng = packed.read_bytes(), np.random.RandomState(3)
    places = np.concatenate([np.arange(0, 64, 4), rng.randint(0, min(4096, len(sound)), 24), len(sound) - 1 - rng.randint(0, 4096, 24)])
    for at in places:
        bad = bytearray(sound)
        bad[at] ^= 1 << rng.randint(8)
        packed.write_bytes(bad)
        done = subprocess.run([str(PROGRAM), 'bench', str(packed), '--packed', '--runs', '1', '--threads', '1'],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 1) and 'Sanitizer' not in done.stderr, f'byte {at}: {done.returncode} {done.stderr}'


# ---------------------------------------------------------------- sequences, maps and optionals
def map_case(tmp_path, op, value, output, **attributes):
    """A model of one operator and a file of its input."""
    info = (onnx.ValueInfoProto(name='x', type=ort_maps.map_type(*value)) if isinstance(value, ort_maps.Map)
            else onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, value.shape))
    node = onnx.helper.make_node(op, ['x'], ['y'], domain='ai.onnx.ml', **attributes)
    graph = onnx.helper.make_graph([node], op, [info], [onnx.ValueInfoProto(name='y', type=output)])
    imports = [onnx.helper.make_opsetid('', 17), onnx.helper.make_opsetid('ai.onnx.ml', 1)]
    model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)
    onnx.save(model, tmp_path / 'm.onnx')
    made = ort_maps.proto(value, 'x') if isinstance(value, ort_maps.Map) else numpy_helper.from_array(value, 'x')
    (tmp_path / 'in.pb').write_bytes(made.SerializeToString())
    return model


@pytest.mark.parametrize('labels', [{'classlabels_int64s': [7, -2]}, {'classlabels_strings': ['zwei', 'eins']}])
def test_writes_sequences_of_maps(tmp_path, labels):
    x = np.array([[0.25, 0.75], [0.5, 0.5], [1, 0]], np.float32)
    keys = np.array(next(iter(labels.values())))
    kinds = ort_maps.map_type(keys.astype(np.int64 if keys.dtype.kind == 'i' else object), x)
    model = map_case(tmp_path, 'ZipMap', x, onnx.helper.make_sequence_type_proto(kinds), **labels)
    out, _ = run('run', tmp_path / 'm.onnx', '--input', tmp_path / 'in.pb', '--output', tmp_path / 'out')
    assert 'a sequence of maps of 3' in out
    kind = 'int64' if keys.dtype.kind == 'i' else 'string'
    assert f'y: a sequence of maps of {kind} to float\n' in run('analyse', tmp_path / 'm.onnx')[0]
    made = onnx.SequenceProto.FromString((tmp_path / 'out/y.pb').read_bytes())
    (wanted,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {'x': x})
    got = [ort_maps.read(m) for m in made.map_values]
    assert [dict(zip(m.keys.tolist(), m.values.tolist(), strict=True)) for m in got] == wanted
    _, err = run('run', tmp_path / 'm.onnx', '--input', tmp_path / 'in.pb', '--output', tmp_path / 'out', '--format', 'npy',
                 status=1)
    assert 'numpy has no maps' in err


def test_reads_maps_and_says_what_is_wrong_with_them(tmp_path):
    value = ort_maps.Map(np.array([4, 1], np.int64), np.array(['2.5', '3'], object))
    map_case(tmp_path, 'CastMap', value, onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [1, None]), cast_to='TO_FLOAT')
    command = ['run', tmp_path / 'm.onnx', '--input', tmp_path / 'in.pb', '--output', tmp_path / 'out']
    run(*command)
    assert numpy_helper.to_array(onnx.load_tensor(tmp_path / 'out/y.pb')).tolist() == [[3, 2.5]]
    made = ort_maps.proto(value, 'x')
    made.keys.append(9)
    (tmp_path / 'in.pb').write_bytes(made.SerializeToString())
    assert 'a map of 3 keys and 2 values' in run(*command, status=1)[1]
    made.keys[:] = [4, 4]
    (tmp_path / 'in.pb').write_bytes(made.SerializeToString())
    assert 'key 4 is there twice' in run(*command, status=1)[1]
    made.key_type = onnx.TensorProto.STRING
    (tmp_path / 'in.pb').write_bytes(made.SerializeToString())
    assert 'not of its key type' in run(*command, status=1)[1]


def test_runs_on_sequences_and_writes_them(tmp_path):
    model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 18]>
        m (seq(float[N]) s, optional(float[2]) o, float[2] x) => (seq(float[N]) longer, optional(float[2]) there, optional(float[2]) absent) {
            longer = SequenceInsert (s, x) there = Optional (x) absent = Identity (o) }''')
    (tmp_path / 'model.onnx').write_bytes(model.SerializeToString())
    given = onnx.SequenceProto(name='s', elem_type=onnx.SequenceProto.TENSOR)
    given.tensor_values.extend(numpy_helper.from_array(np.arange(n, dtype=np.float32)) for n in (3, 0))
    (tmp_path / 's.pb').write_bytes(given.SerializeToString())
    (tmp_path / 'o.pb').write_bytes(onnx.OptionalProto(name='o').SerializeToString())
    np.save(tmp_path / 'x.npy', np.array([7, 8], np.float32))
    inputs = [part for name, file in (('s', 's.pb'), ('o', 'o.pb'), ('x', 'x.npy')) for part in ('--input', f'{name}={tmp_path / file}')]
    out, _ = run('run', tmp_path / 'model.onnx', *inputs, '--output', tmp_path / 'out')
    assert 'a sequence of 3' in out
    longer = onnx.SequenceProto.FromString((tmp_path / 'out' / 'longer.pb').read_bytes())
    assert longer.name == 'longer' and [list(numpy_helper.to_array(t)) for t in longer.tensor_values] == [[0, 1, 2], [], [7, 8]]
    there = onnx.OptionalProto.FromString((tmp_path / 'out' / 'there.pb').read_bytes())
    assert there.elem_type == onnx.OptionalProto.TENSOR and list(numpy_helper.to_array(there.tensor_value)) == [7, 8]
    absent = onnx.OptionalProto.FromString((tmp_path / 'out' / 'absent.pb').read_bytes())
    assert absent.elem_type == onnx.OptionalProto.UNDEFINED and not absent.HasField('tensor_value')
    (tmp_path / 's.pb').write_bytes(given.SerializeToString()[:-3])
    _, err = run('run', tmp_path / 'model.onnx', *inputs, '--output', tmp_path / 'out', status=1)
    assert 's.pb' in err and 'cut off' in err
