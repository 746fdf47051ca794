"""What the families are made of: a registry, layers with their usual names, and seeded parameters."""
import zlib

import torch
from torch import nn

NETWORKS = {}  # name: (function that makes the module, input's shape, opset)


def network(*shape, opset=13, name=None):
    """Registers the function as a network that takes an input of that shape."""
    def register(make):
        NETWORKS[name or make.__name__] = (make, shape, opset)
        return make
    return register


class Lambda(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x):
        return self.f(x)


class Sum(nn.Module):
    """The sum of what the branches make of one input."""
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return sum(b(x) for b in self.branches)


class Product(Sum):
    def forward(self, x):
        return self.branches[0](x) * self.branches[1](x)


class Join(Sum):
    """What the branches make of one input, side by side."""
    def forward(self, x):
        return torch.cat([b(x) for b in self.branches], 1)


def same(kernel, dilation=1):
    return tuple(dilation * (k - 1) // 2 for k in kernel) if isinstance(kernel, tuple) else dilation * (kernel - 1) // 2


def conv(cin, cout, kernel=3, stride=1, act=nn.ReLU, norm=nn.BatchNorm2d, pad=None, **more):
    """Convolution, normalization, activation."""
    layers = [nn.Conv2d(cin, cout, kernel, stride, same(kernel) if pad is None else pad, bias=norm is None, **more)]
    return nn.Sequential(*layers, *([norm(cout)] if norm else []), *([act()] if act else []))


def classifier(channels, classes=7):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class LrnNode(torch.autograd.Function):
    """Written as ONNX's LRN; PyTorch would write it as an average over a volume."""
    @staticmethod
    def symbolic(g, x, size, alpha, beta, k):
        return g.op("LRN", x, size_i=size, alpha_f=alpha, beta_f=beta, bias_f=k).setType(x.type())

    @staticmethod
    def forward(ctx, x, size, alpha, beta, k):
        return nn.functional.local_response_norm(x, size, alpha, beta, k)


class Lrn(nn.LocalResponseNorm):
    def forward(self, x):
        if torch.onnx.is_in_onnx_export():
            return LrnNode.apply(x, self.size, self.alpha, self.beta, self.k)
        return super().forward(x)


def prepare(make, shape, name):
    """The module with parameters that are all different, in float32, its statistics those of random inputs."""
    torch.manual_seed(zlib.crc32(name.encode()))
    module = make()
    with torch.no_grad():
        for p in module.parameters():
            p.add_(torch.randn(p.shape) * (0.05 if p.dim() < 2 else 0.01 * p.abs().max()))
        norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for n in norms:
            n.momentum = None
            n.reset_running_stats()
        module.train()
        for _ in range(2 if norms else 0):
            module(torch.randn(8, *shape[1:]))
        for n in norms:
            n.momentum = 0.1
            n.running_mean.add_(torch.randn(n.running_mean.shape) * 0.05)
            n.running_var.mul_(torch.rand(n.running_var.shape) * 0.4 + 0.8)
    return module.eval()
