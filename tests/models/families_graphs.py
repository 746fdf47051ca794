"""Graphs as other exporters write them, node by node: a module that computes the same gives the answers."""
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from families_kit import network


class Graph(nn.Module):
    """Parameters by name, and write_onnx with the nodes that `nodes` lists."""
    opset, shape, classes = 13, None, 7

    def __init__(self, **parameters):
        super().__init__()
        for name, p in parameters.items():
            self.register_parameter(name, nn.Parameter(p))

    def write_onnx(self, path):
        values = {k: v.detach() for k, v in self.named_parameters()}
        values.update(self.constants())
        inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *self.shape])]
        kept = [numpy_helper.from_array(v.numpy(), k) for k, v in values.items()]
        if self.opset < 9:  # initializers had to be inputs
            inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in kept]
        graph = helper.make_graph(self.nodes(), "graph", inputs, [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", self.classes])], kept)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], producer_name="families")
        model.ir_version = 3 if self.opset < 9 else 7
        onnx.save(model, path)

    def constants(self):
        return {}


def chain(start, *steps):
    """Nodes in a row: (operator, {further inputs}, attributes); each takes the one before."""
    nodes, x = [], start
    for i, (op, more, attributes) in enumerate(steps):
        y = attributes.pop("to", f"{op.lower()}_{len(nodes)}_{start}")
        nodes.append(helper.make_node(op, [x, *more], [y], name=f"{op}_{i}_{start}", **attributes))
        x = y
    return nodes


def normal(*shape, fan=None):
    return torch.randn(shape) * (2 / (fan or 1)) ** 0.5


@network(2, 36, 35, 3)
def keras_mobilenet():
    """tf2onnx: [N,H,W,C] outside, filters [H,W,I,O] turned by a Transpose, SAME pads that differ by side, Pad then VALID,
    depthwise filters by Reshape, a ReduceMean and a product of [N,C] at the end."""
    class Network(Graph):
        opset, shape = 13, [36, 35, 3]

        def forward(self, x):
            x = x.permute(0, 3, 1, 2)
            x = F.conv2d(F.pad(x, (1, 1, 0, 1)), self.stem.permute(3, 2, 0, 1), self.stem_bias, 2)     # 36 -> 18, 35 -> 18
            each = lambda v: v[:, None, None]
            x = F.relu6((x - each(self.mean)) * each(self.gamma * (self.variance + 1e-3).rsqrt()) + each(self.beta))
            x = F.conv2d(F.pad(x, (0, 1, 0, 1)), self.depth.reshape(3, 3, 12, 1).permute(2, 3, 0, 1), None, 2, groups=12)
            x = F.relu6(x)
            x = F.conv2d(x, self.point.permute(3, 2, 0, 1)) + self.point_bias[:, None, None]
            y = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            x = torch.cat([x, y], 1).permute(0, 2, 3, 1).mean((1, 2))
            return torch.softmax(x @ self.dense + self.dense_bias, -1)

        def constants(self):
            i64 = lambda *v: torch.tensor(v, dtype=torch.int64)
            return {"pads": i64(0, 0, 0, 0, 0, 0, 1, 1), "zero": torch.tensor(0.), "six": torch.tensor(6.), "depth_shape": i64(12, 1, 3, 3),
                    "point_shape": i64(1, 16, 1, 1)}

        def nodes(self):
            n = helper.make_node
            return [n("Transpose", ["stem"], ["stem_t"], perm=[3, 2, 0, 1]), n("Transpose", ["point"], ["point_t"], perm=[3, 2, 0, 1]),
                    n("Transpose", ["depth"], ["depth_t"], perm=[2, 3, 0, 1]), n("Reshape", ["depth_t", "depth_shape"], ["depth_r"]),
                    n("Reshape", ["point_bias", "point_shape"], ["point_b"]),
                    *chain("input", ("Transpose", [], {"perm": [0, 3, 1, 2]}),
                           ("Conv", ["stem_t", "stem_bias"], {"strides": [2, 2], "auto_pad": "SAME_UPPER", "kernel_shape": [3, 3]}),
                           ("BatchNormalization", ["gamma", "beta", "mean", "variance"], {"epsilon": 1e-3}), ("Clip", ["zero", "six"], {}),
                           ("Pad", ["pads"], {}), ("Conv", ["depth_r"], {"strides": [2, 2], "auto_pad": "VALID", "group": 12}), ("Clip", ["zero", "six"], {}),
                           ("Conv", ["point_t"], {}), ("Add", ["point_b"], {"to": "pointed"})),
                    n("Transpose", ["pointed"], ["pointed_t"], perm=[0, 2, 3, 1]), n("Transpose", ["pointed_t"], ["pointed_n"], perm=[0, 3, 1, 2]),
                    n("AveragePool", ["pointed_n"], ["pooled"], kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
                    n("Transpose", ["pooled"], ["pooled_t"], perm=[0, 2, 3, 1]), n("Concat", ["pointed_t", "pooled_t"], ["both"], axis=-1),
                    *chain("both", ("ReduceMean", [], {"axes": [1, 2], "keepdims": 0}), ("MatMul", ["dense"], {}), ("Add", ["dense_bias"], {}),
                           ("Softmax", [], {"axis": -1, "to": "output"}))]
    return Network(stem=normal(3, 3, 3, 12, fan=27), stem_bias=normal(12) * .1, gamma=torch.rand(12) + .5, beta=normal(12) * .1, mean=normal(12) * .1,
                   variance=torch.rand(12) + .5, depth=normal(3, 3, 12, 1, fan=9), point=normal(1, 1, 12, 16, fan=12), point_bias=normal(16) * .1,
                   dense=normal(32, 7, fan=8), dense_bias=normal(7) * .1)


@network(2, 3, 33, 34)
def keras_same_lower():
    """SAME_LOWER and SAME_UPPER where the pads are odd, pools too; the scores are a 1x1 convolution that Squeeze makes a row."""
    class Network(Graph):
        opset, shape = 12, [3, 33, 34]

        def forward(self, x):
            x = F.relu(F.conv2d(F.pad(x, (2, 1, 2, 1)), self.first, None, 1))
            x = F.max_pool2d(F.pad(x, (0, 0, 0, 1), value=-1e30), 2, 2)                                # 33 -> 17, 34 -> 17
            x = F.conv2d(F.pad(x, (2, 2, 2, 2)), self.second, None, 2, dilation=2)                     # 17 -> 9
            x = F.max_pool2d(F.pad(F.elu(x), (1, 1, 1, 1), value=-1e30), 3, 2)                         # 9 -> 5
            x = F.conv2d(x.mean((2, 3), keepdim=True), self.last, self.last_bias)
            return x[:, :, 0, 0]

        def nodes(self):
            return chain("input", ("Conv", ["first"], {"auto_pad": "SAME_LOWER", "kernel_shape": [4, 4]}), ("Relu", [], {}),
                         ("MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
                         ("Conv", ["second"], {"auto_pad": "SAME_LOWER", "dilations": [2, 2], "strides": [2, 2], "kernel_shape": [3, 3]}), ("Elu", [], {}),
                         ("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
                         ("ReduceMean", [], {"axes": [2, 3]}), ("Conv", ["last", "last_bias"], {}), ("Squeeze", [], {"axes": [2, 3], "to": "output"}))
    return Network(first=normal(12, 3, 4, 4, fan=48), second=normal(16, 12, 3, 3, fan=108), last=normal(7, 16, 1, 1, fan=16), last_bias=normal(7))


@network(2, 3, 29, 29)
def caffe2_squeezenet():
    """Opset 6: initializers among the inputs, broadcast by axis, Reshape by the file's numbers, fire modules."""
    class Network(Graph):
        opset, shape = 6, [3, 29, 29]

        def forward(self, x):
            x = F.relu(F.conv2d(x, self.first, None, 2) + self.first_bias[:, None, None])
            x = F.relu(F.conv2d(F.max_pool2d(x, 3, 2), self.squeeze))
            x = torch.cat([F.relu(F.conv2d(x, self.wide1)), F.relu(F.conv2d(x, self.wide3, padding=1))], 1)
            x = F.avg_pool2d(F.conv2d(x, self.last, self.last_bias), 6)
            return torch.softmax(x.reshape(-1, 7), 1)

        def constants(self):
            return {"row": torch.tensor([-1, 7])}

        def nodes(self):
            return [*chain("input", ("Conv", ["first"], {"strides": [2, 2], "kernel_shape": [3, 3]}), ("Add", ["first_bias"], {"broadcast": 1, "axis": 1}),
                           ("Relu", [], {}), ("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2]}), ("Conv", ["squeeze"], {"kernel_shape": [1, 1]}),
                           ("Relu", [], {"to": "squeezed"})),
                    helper.make_node("Conv", ["squeezed", "wide1"], ["w1"], kernel_shape=[1, 1]), helper.make_node("Relu", ["w1"], ["r1"]),
                    helper.make_node("Conv", ["squeezed", "wide3"], ["w3"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]), helper.make_node("Relu", ["w3"], ["r3"]),
                    helper.make_node("Concat", ["r1", "r3"], ["joined"], axis=1),
                    *chain("joined", ("Dropout", [], {"is_test": 1, "ratio": 0.5}), ("Conv", ["last", "last_bias"], {"kernel_shape": [1, 1]}),
                           ("AveragePool", [], {"kernel_shape": [6, 6]}), ("Reshape", ["row"], {}), ("Softmax", [], {"to": "output"}))]
    return Network(first=normal(12, 3, 3, 3, fan=27), first_bias=normal(12) * .1, squeeze=normal(6, 12, 1, 1, fan=12), wide1=normal(8, 6, 1, 1, fan=6),
                   wide3=normal(8, 6, 3, 3, fan=54), last=normal(7, 16, 1, 1, fan=400), last_bias=normal(7) * .1)
