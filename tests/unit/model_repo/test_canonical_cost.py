"""Costs of canonical networks against counts by hand and by walking the graph; identity before generation."""

import subprocess
import sys

import onnx
import pytest
from onnx import shape_inference

from model_repo.canonical.cost import Cost, cost_of
from model_repo.canonical.describe import canonical_digest, describe
from model_repo.canonical.families import generate
from shared.errors import InvalidModel
from shared.jobs.spec import AttentionModel, CanonicalSpec, FullyConnectedModel, LstmModel, ResidualCnnModel


def test_fc_by_hand() -> None:
    """Two layers of 3 x 3 with 3 biases and a last one of 3 x 10 with 10; 9 + 9 + 30 multiply-adds."""
    cost = cost_of(FullyConnectedModel(family="fc", layers=2, width=3))
    assert cost == Cost(
        parameters=(9 + 3) * 2 + 30 + 10, flops_per_sample=2 * (9 + 9 + 30), activations_per_sample=3 + 3 + 3 + 10
    )
    assert (cost.weight_bytes, cost.activation_bytes_per_sample) == (4 * 64, 4 * 19)


def test_cnn_by_hand() -> None:
    """A 9 x 9 image gives 5 x 5 maps; the stem and one block of width 2."""
    cost = cost_of(ResidualCnnModel(family="cnn", layers=1, width=2, image_size=9))
    stem, convolution = 2 * 3 * 9, 2 * 2 * 9  # weights
    assert cost.parameters == (stem + 2) + 2 * (convolution + 2) + (2 * 10 + 10)
    assert cost.flops_per_sample == 2 * (stem * 25 + 2 * convolution * 25 + 2 * 10)
    assert cost.activations_per_sample == 3 * 81 + 50 + (50 + 50 + 50) + 2 + 10


def test_lstm_by_hand() -> None:
    """Width 2, 3 steps: per step 4 gates of 2 x 2 for the input and 2 x 2 for the state; two biases of 8."""
    cost = cost_of(LstmModel(family="lstm", layers=2, width=2, sequence_length=3))
    assert cost.parameters == 2 * (16 + 16 + 16) + 30
    assert cost.flops_per_sample == 2 * (2 * 3 * 32) + 2 * 20
    assert cost.activations_per_sample == 6 + 2 * 6 + 10


def test_attention_by_hand() -> None:
    """Width 8, 2 heads, 3 tokens: 192 + 64 + 256 + 256 weights in products, and 9 token pairs."""
    cost = cost_of(AttentionModel(family="attention", layers=1, width=8, heads=2, sequence_length=3))
    products = 8 * 24 + 8 * 8 + 8 * 32 + 32 * 8
    biases, norms = 24 + 8 + 32 + 8, 3 * 16
    assert cost.parameters == products + biases + norms + 8 * 10 + 10
    assert cost.flops_per_sample == 2 * (3 * products + 2 * 9 * 8 + 8 * 10)
    block = 24 + 72 + 2 * 9 + 24 + 24 + 24 + 24 + 96 + 24 + 24
    assert cost.activations_per_sample == 24 + block + 24 + 8 + 10


def counted_flops(content: bytes) -> int:
    """Multiply-adds of every MatMul, Conv and LSTM in the graph for a batch of one, from inferred shapes, times two."""
    proto = onnx.load_from_string(content)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = shape_inference.infer_shapes(proto, data_prop=True).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    return 2 * sum(multiply_adds(node, shapes) for node in graph.node)


def multiply_adds(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> int:
    """By operator: outputs times the length of the sum behind each."""
    outputs = 1
    for size in shapes.get(node.output[0], []):
        outputs *= size
    match node.op_type:
        case "MatMul":
            return outputs * shapes[node.input[0]][-1]
        case "Conv":
            _, inputs, rows, columns = shapes[node.input[1]]
            return outputs * inputs * rows * columns
        case "LSTM":
            (steps, _, _), (_, rows, width) = shapes[node.input[0]], shapes[node.input[1]]
            return steps * rows * (width + shapes[node.input[2]][2])
        case _:
            return 0


@pytest.mark.parametrize(
    "spec",
    [
        FullyConnectedModel(family="fc", layers=5, width=33),
        ResidualCnnModel(family="cnn", layers=3, width=12, image_size=21),
        LstmModel(family="lstm", layers=3, width=20, sequence_length=9),
        AttentionModel(family="attention", layers=3, width=48, heads=6, sequence_length=10),
    ],
    ids=lambda spec: spec.family,
)
def test_operations_agree_with_the_graph(spec: CanonicalSpec) -> None:
    """The formula and a count over the nodes of the generated model give the same number."""
    assert counted_flops(generate(spec).onnx_bytes) == cost_of(spec).flops_per_sample


def test_the_digest_names_the_spec() -> None:
    """Equal specs, however written, have one digest; any other hyper-parameter gives another."""
    plain = FullyConnectedModel(family="fc")
    assert canonical_digest(plain) == canonical_digest(FullyConnectedModel(family="fc", layers=4, width=512, seed=0))
    others = [plain.model_copy(update={field: 7}) for field in ("layers", "width", "seed")]
    specs: list[CanonicalSpec] = [plain, *others, LstmModel(family="lstm"), AttentionModel(family="attention")]
    assert len({canonical_digest(spec) for spec in specs}) == 6


def test_a_network_too_large_for_one_file_is_refused_before_it_is_built() -> None:
    """The message has the size and the limit; nothing is allocated."""
    spec = FullyConnectedModel(family="fc", layers=256, width=16384)
    size = 4 * (256 * (16384 * 16384 + 16384) + 16384 * 10 + 10)
    for make in (describe, generate):
        with pytest.raises(InvalidModel, match=f"{size} bytes; one ONNX file holds at most 2000000000"):
            make(spec)


def test_describing_does_not_load_onnx() -> None:
    """The leader predicts and keys canonical models without the memory that importing onnx takes."""
    code = "import sys, model_repo.canonical.describe, model_repo.onnx_check; sys.exit('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
