"""Families of 1998 to 2016: what networks were made of before residual ones were common, and the first of these."""
import torch
from torch import nn

from families_kit import Join, Lambda, Lrn, Sum, classifier, conv, network


@network(3, 1, 28, 28)
def lenet5():
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(),
                         nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 60), nn.Tanh(), nn.Linear(60, 10))


@network(2, 3, 67, 67)
def alexnet_caffe():
    """Groups of two, LRN after pooling, pools that round up."""
    return nn.Sequential(nn.Conv2d(3, 24, 11, 4), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Lrn(5, 1e-4, 0.75),
                         nn.Conv2d(24, 32, 5, padding=2, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
                         Lrn(5, 1e-1, 0.75, 2.0), nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(),
                         nn.Conv2d(48, 32, 3, padding=1, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(288, 40), nn.ReLU(),
                         nn.Dropout(), nn.Linear(40, 9), nn.Softmax(1))


def inception_v1_block(cin, a, b, c, d, norm=None):
    return Join(conv(cin, a, 1, norm=norm), nn.Sequential(conv(cin, b[0], 1, norm=norm), conv(b[0], b[1], 3, norm=norm)),
                nn.Sequential(conv(cin, c[0], 1, norm=norm), conv(c[0], c[1], 5, norm=norm)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(cin, d, 1, norm=norm)))


@network(2, 3, 64, 64)
def inception_v1():
    return nn.Sequential(conv(3, 16, 7, 2, norm=None), nn.MaxPool2d(3, 2, ceil_mode=True), Lrn(5, 1e-4, 0.75),
                         conv(16, 16, 1, norm=None), conv(16, 24, 3, norm=None), Lrn(5, 1e-4, 0.75),
                         nn.MaxPool2d(3, 2, ceil_mode=True), inception_v1_block(24, 8, (8, 12), (4, 6), 6),
                         inception_v1_block(32, 8, (8, 12), (4, 6), 6), nn.MaxPool2d(3, 2, ceil_mode=True),
                         nn.AvgPool2d(4, 1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(32, 7))


@network(2, 3, 64, 64)
def inception_v2():
    """Batch-normalized, 5x5 as two 3x3, blocks of stride 2 that pool beside convolutions."""
    def block(cin, pool):
        return Join(conv(cin, 8, 1), nn.Sequential(conv(cin, 8, 1), conv(8, 12)),
                    nn.Sequential(conv(cin, 6, 1), conv(6, 8), conv(8, 8)), nn.Sequential(pool, conv(cin, 4, 1)))
    down = Join(nn.Sequential(conv(32, 16, 1), conv(16, 20, 3, 2)),
                nn.Sequential(conv(32, 8, 1), conv(8, 12), conv(12, 12, 3, 2)), nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(conv(3, 16, 7, 2), nn.MaxPool2d(3, 2, 1), conv(16, 24), nn.MaxPool2d(3, 2, 1),
                         block(24, nn.AvgPool2d(3, 1, 1)), down, block(64, nn.MaxPool2d(3, 1, 1)), classifier(32))


@network(2, 3, 75, 75)
def inception_v4():
    """Stem, A, reduction A, B with 1x7 and 7x1, reduction B, C with branches of branches."""
    def stem():
        first = nn.Sequential(conv(3, 8, 3, 2, pad=0), conv(8, 8, 3, pad=0), conv(8, 16))
        second = Join(nn.MaxPool2d(3, 2), conv(16, 12, 3, 2, pad=0))
        third = Join(nn.Sequential(conv(28, 16, 1), conv(16, 24, 3, pad=0)),
                     nn.Sequential(conv(28, 16, 1), conv(16, 16, (1, 7)), conv(16, 16, (7, 1)), conv(16, 24, 3, pad=0)))
        return nn.Sequential(first, second, third, Join(conv(48, 24, 3, 2, pad=0), nn.MaxPool2d(3, 2)))
    a = Join(nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv(72, 12, 1)), conv(72, 12, 1),
             nn.Sequential(conv(72, 8, 1), conv(8, 12)), nn.Sequential(conv(72, 8, 1), conv(8, 12), conv(12, 12)))
    reduce_a = Join(nn.MaxPool2d(3, 2), conv(48, 16, 3, 2, pad=0), nn.Sequential(conv(48, 8, 1), conv(8, 12), conv(12, 16, 3, 2, pad=0)))
    b = Join(nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv(80, 12, 1)), conv(80, 16, 1),
             nn.Sequential(conv(80, 12, 1), conv(12, 14, (1, 7)), conv(14, 16, (7, 1))),
             nn.Sequential(conv(80, 8, 1), conv(8, 8, (7, 1)), conv(8, 12, (1, 7)), conv(12, 12, (7, 1)), conv(12, 16, (1, 7))))
    c = Join(conv(60, 8, 1), nn.Sequential(conv(60, 12, 1), Join(conv(12, 8, (1, 3)), conv(12, 8, (3, 1)))),
             nn.Sequential(conv(60, 12, 1), conv(12, 14, (3, 1)), conv(14, 16, (1, 3)), Join(conv(16, 8, (1, 3)), conv(16, 8, (3, 1)))))
    return nn.Sequential(stem(), a, reduce_a, b, c, classifier(40))


@network(2, 3, 65, 65)
def inception_resnet_v2():
    """Residual blocks whose branches are joined, mixed by a 1x1 convolution with bias and scaled down."""
    def width_of(branch):
        return [m for m in branch.modules() if isinstance(m, nn.Conv2d)][-1].out_channels

    def block(cin, scale, act, *branches):
        width = sum(width_of(b) for b in branches)
        return nn.Sequential(Sum(nn.Identity(), nn.Sequential(Join(*branches), nn.Conv2d(width, cin, 1), Lambda(lambda x: x * scale))),
                             *([nn.ReLU()] if act else []))
    block35 = block(32, 0.17, True, conv(32, 8, 1), nn.Sequential(conv(32, 8, 1), conv(8, 8)),
                    nn.Sequential(conv(32, 8, 1), conv(8, 12), conv(12, 16)))
    reduce_a = Join(conv(32, 16, 3, 2, pad=0), nn.Sequential(conv(32, 12, 1), conv(12, 12), conv(12, 16, 3, 2, pad=0)), nn.MaxPool2d(3, 2))
    block17 = block(64, 0.1, True, conv(64, 12, 1), nn.Sequential(conv(64, 8, 1), conv(8, 10, (1, 7)), conv(10, 12, (7, 1))))
    block8 = block(64, 1.0, False, conv(64, 12, 1), nn.Sequential(conv(64, 12, 1), conv(12, 14, (1, 3)), conv(14, 16, (3, 1))))
    return nn.Sequential(conv(3, 16, 3, 2, pad=0), conv(16, 16, pad=0), nn.MaxPool2d(3, 2), conv(16, 32), block35, reduce_a, block17,
                         block8, conv(64, 48, 1), classifier(48))


def separable(cin, cout, stride=1):
    return nn.Sequential(nn.Conv2d(cin, cin, 3, stride, 1, groups=cin, bias=False), nn.Conv2d(cin, cout, 1, bias=False), nn.BatchNorm2d(cout))


@network(2, 3, 71, 71)
def xception():
    """ReLU before each separable convolution; no activation between its two halves."""
    def entry(cin, cout, relu_first):
        body = [nn.ReLU()] if relu_first else []
        body += [separable(cin, cout), nn.ReLU(), separable(cout, cout), nn.MaxPool2d(3, 2, 1)]
        return Sum(nn.Sequential(*body), conv(cin, cout, 1, 2, act=None))

    def middle(c):
        return Sum(nn.Identity(), nn.Sequential(*[m for _ in range(3) for m in (nn.ReLU(), separable(c, c))]))
    return nn.Sequential(conv(3, 8, 3, 2, pad=0), conv(8, 16, pad=0), entry(16, 24, False), entry(24, 32, True), middle(32),
                         Sum(nn.Sequential(nn.ReLU(), separable(32, 32), nn.ReLU(), separable(32, 48), nn.MaxPool2d(3, 2, 1)),
                             conv(32, 48, 1, 2, act=None)),
                         separable(48, 64), nn.ReLU(), classifier(64))


@network(2, 3, 32, 32)
def network_in_network():
    return nn.Sequential(conv(3, 24, 5, norm=None), conv(24, 16, 1, norm=None), nn.MaxPool2d(3, 2, 1), conv(16, 24, 5, norm=None),
                         conv(24, 24, 1, norm=None), nn.AvgPool2d(3, 2, 1), conv(24, 24, 3, norm=None), nn.Conv2d(24, 7, 1), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax(1))


@network(2, 3, 47, 47)
def zfnet_spp():
    """A pyramid of pools instead of one: 4x4, 2x2 and 1x1 cells of a 12x12 map."""
    pyramid = [nn.Sequential(nn.MaxPool2d(12 // n), nn.Flatten()) for n in (4, 2, 1)]
    return nn.Sequential(conv(3, 16, 7, 2, norm=None), nn.MaxPool2d(2, ceil_mode=True), conv(16, 24, 3, norm=None), Join(*pyramid),
                         nn.Linear(24 * 21, 30), nn.ReLU(), nn.Linear(30, 7))


@network(2, 3, 33, 33)
def maxout():
    def unit(cin, cout, kernel, stride=1):
        return nn.Sequential(nn.Conv2d(cin, 2 * cout, kernel, stride, kernel // 2),
                             Lambda(lambda x: torch.maximum(*x.chunk(2, 1))))
    return nn.Sequential(unit(3, 12, 5), nn.MaxPool2d(2), unit(12, 16, 3), unit(16, 16, 3, 2), classifier(16))


@network(2, 3, 32, 32)
def highway():
    class Block(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.h, self.t = nn.Conv2d(c, c, 3, padding=1), nn.Conv2d(c, c, 3, padding=1)

        def forward(self, x):
            t = torch.sigmoid(self.t(x))
            return torch.relu(self.h(x)) * t + x * (1 - t)
    return nn.Sequential(conv(3, 16, norm=None), Block(16), nn.MaxPool2d(2), Block(16), classifier(16))
