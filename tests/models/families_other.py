"""Networks for lines of samples and for volumes, other normalizations, heads that make maps, and old opsets."""
import torch
from torch import nn
from torch.nn import functional as F

from families_kit import Join, Lambda, Sum, classifier, conv, network


@network(2, 5, 61)
def wavenet():
    """Dilated causal convolutions: all of the pad is on the left; tanh times sigmoid; residual and skip outputs."""
    class Layer(nn.Module):
        def __init__(self, dilation):
            super().__init__()
            self.left = dilation
            self.filter, self.gate = nn.Conv1d(12, 12, 2, dilation=dilation), nn.Conv1d(12, 12, 2, dilation=dilation)
            self.residual, self.skip = nn.Conv1d(12, 12, 1), nn.Conv1d(12, 16, 1)

        def forward(self, x):
            y = F.pad(x, (self.left, 0))
            y = torch.tanh(self.filter(y)) * torch.sigmoid(self.gate(y))
            return x + self.residual(y), self.skip(y)

    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv1d(5, 12, 2)
            self.layers = nn.ModuleList(Layer(d) for d in (1, 2, 4, 8, 1, 2, 4, 8))
            self.last = nn.Sequential(nn.ReLU(), nn.Conv1d(16, 16, 1), nn.ReLU(), nn.Conv1d(16, 9, 1))

        def forward(self, x):
            x, skips = self.first(F.pad(x, (1, 0))), 0
            for layer in self.layers:
                x, skip = layer(x)
                skips = skips + skip
            return self.last(skips)
    return Stack()


@network(2, 1, 97)
def line_classifier():
    return nn.Sequential(nn.Conv1d(1, 8, 9, 2, 4), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(3, 2), nn.Conv1d(8, 16, 5, padding=2, groups=2),
                         nn.BatchNorm1d(16), nn.ReLU(), nn.AvgPool1d(2), nn.Conv1d(16, 16, 3, padding=2, dilation=2, groups=16), nn.ReLU(),
                         nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 5))


@network(2, 2, 9, 17, 15)
def volume():
    def block(cin, cout, **more):
        return nn.Sequential(nn.Conv3d(cin, cout, 3, padding=1, bias=False, **more), nn.BatchNorm3d(cout), nn.ReLU())
    return nn.Sequential(block(2, 8), nn.MaxPool3d((1, 2, 2)), block(8, 12, stride=(1, 2, 1)), Sum(nn.Identity(), block(12, 12)), nn.MaxPool3d(2, ceil_mode=True),
                         block(12, 16, groups=4), nn.AvgPool3d((2, 1, 2)), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 5))


@network(2, 2, 7, 14, 14)
def volume_in_parts():
    """R(2+1)D: places and time convolved in turn."""
    def block(cin, mid, cout):
        return nn.Sequential(nn.Conv3d(cin, mid, (1, 3, 3), (1, 2, 2), (0, 1, 1)), nn.BatchNorm3d(mid), nn.ReLU(),
                             nn.Conv3d(mid, cout, (3, 1, 1), padding=(1, 0, 0)), nn.BatchNorm3d(cout), nn.ReLU())
    return nn.Sequential(block(2, 8, 8), block(8, 12, 12), Lambda(lambda x: x.mean((2, 3, 4))), nn.Linear(12, 5))


@network(2, 3, 33, 33)
def group_norm():
    norm = lambda c: nn.GroupNorm(4, c)
    return nn.Sequential(conv(3, 16, 3, 2, norm=norm), Sum(nn.Identity(), conv(16, 16, norm=norm, act=nn.SiLU)), conv(16, 24, 3, 2, norm=norm), classifier(24))


@network(2, 3, 33, 33)
def instance_norm():
    norm = lambda c: nn.InstanceNorm2d(c, affine=True)
    return nn.Sequential(nn.ReflectionPad2d(3), conv(3, 12, 7, pad=0, norm=norm), conv(12, 16, 3, 2, norm=norm, act=lambda: nn.LeakyReLU(0.2)),
                         Sum(nn.Identity(), nn.Sequential(nn.ReplicationPad2d(1), conv(16, 16, pad=0, norm=norm))), classifier(16))


@network(2, 3, 40, 40)
def weight_standardised():
    """Filters are centred and scaled on the way: a convolution whose weights are computed."""
    class Standard(nn.Module):
        def __init__(self, cin, cout, stride):
            super().__init__()
            self.weight, self.stride = nn.Parameter(torch.randn(cout, cin, 3, 3)), stride

        def forward(self, x):
            w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return F.conv2d(x, w / (w.pow(2).mean((1, 2, 3), keepdim=True) + 1e-5).sqrt() / 10, stride=self.stride, padding=1)
    return nn.Sequential(Standard(3, 16, 2), nn.GroupNorm(4, 16), nn.ReLU(), Standard(16, 16, 2), nn.GroupNorm(4, 16), nn.ReLU(), classifier(16))


def small():
    """For every opset: what a classifier has, with dropout, concatenation and a reshape by the batch."""
    return nn.Sequential(conv(3, 12, 3, 2), Join(conv(12, 8, 1), nn.AvgPool2d(3, 1, 1), nn.Sequential(nn.ConstantPad2d((0, 1, 0, 1), 0.0), nn.MaxPool2d(2, 1))),
                         nn.Dropout(0.3), nn.Hardtanh(-0.5, 3.0), conv(32, 16, 3, 2, act=lambda: nn.LeakyReLU(0.3)), Lambda(lambda x: x.view(x.shape[0], 16, -1)),
                         Lambda(lambda x: x.mean(2)), nn.Linear(16, 9), nn.LogSoftmax(1))


for version in (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17):
    network(2, 3, 29, 31, opset=version, name=f"small_opset_{version}")(small)
