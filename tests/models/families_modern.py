"""Families since 2016: residual networks and their variants, searched and mobile ones, attention."""
import torch
from torch import nn
from torch.nn import functional as F

from families_kit import Join, Lambda, Product, Sum, classifier, conv, network


class Excite(nn.Module):
    """Squeeze and excitation (arXiv:1709.01507)."""
    def __init__(self, c, hidden, linear=False, gate=torch.sigmoid):
        super().__init__()
        make = (lambda a, b: nn.Linear(a, b)) if linear else (lambda a, b: nn.Conv2d(a, b, 1))
        self.down, self.up, self.linear, self.gate = make(c, hidden), make(hidden, c), linear, gate

    def forward(self, x):
        s = x.mean((2, 3)) if self.linear else F.adaptive_avg_pool2d(x, 1)
        s = self.gate(self.up(F.relu(self.down(s))))
        return x * (s[:, :, None, None] if self.linear else s)


def bottleneck(cin, mid, cout, stride=1, groups=1, extra=nn.Identity, act=nn.ReLU):
    body = nn.Sequential(conv(cin, mid, 1, act=act), conv(mid, mid, 3, stride, act=act, groups=groups), conv(mid, cout, 1, act=None), extra())
    skip = nn.Identity() if cin == cout and stride == 1 else conv(cin, cout, 1, stride, act=None)
    return nn.Sequential(Sum(body, skip), act())


@network(2, 3, 48, 48)
def se_resnet():
    return nn.Sequential(conv(3, 16, 7, 2), nn.MaxPool2d(3, 2, 1), bottleneck(16, 8, 32, extra=lambda: Excite(32, 4, linear=True)),
                         bottleneck(32, 8, 32, extra=lambda: Excite(32, 4, linear=True)),
                         bottleneck(32, 16, 64, 2, extra=lambda: Excite(64, 8, linear=True)), classifier(64))


@network(2, 3, 48, 48)
def se_resnext():
    return nn.Sequential(conv(3, 16, 7, 2), nn.MaxPool2d(3, 2, 0, ceil_mode=True),
                         bottleneck(16, 16, 32, groups=4, extra=lambda: Excite(32, 4)),
                         bottleneck(32, 32, 64, 2, groups=4, extra=lambda: Excite(64, 4)), classifier(64))


@network(2, 3, 49, 49)
def resnet_v2():
    """Normalization and activation before each convolution; the sum is left as it is."""
    class Block(nn.Module):
        def __init__(self, cin, mid, cout, stride):
            super().__init__()
            self.first = nn.Sequential(nn.BatchNorm2d(cin), nn.ReLU())
            self.body = nn.Sequential(conv(cin, mid, 1), conv(mid, mid, 3, stride), nn.Conv2d(mid, cout, 1))
            self.skip = nn.Conv2d(cin, cout, 1, stride) if cin != cout else nn.MaxPool2d(1, stride) if stride > 1 else nn.Identity()
            self.after = cin != cout

        def forward(self, x):
            y = self.first(x)
            return self.body(y) + self.skip(y if self.after else x)
    return nn.Sequential(nn.Conv2d(3, 16, 7, 2, 3), nn.MaxPool2d(3, 2, 1), Block(16, 8, 32, 1), Block(32, 8, 32, 2), Block(32, 16, 64, 1),
                         Block(64, 16, 64, 1), nn.BatchNorm2d(64), nn.ReLU(), classifier(64))


@network(2, 3, 33, 33)
def res2net():
    class Block(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.first, self.last = conv(c, c, 1), conv(c, c, 1, act=None)
            self.parts = nn.ModuleList(conv(c // 4, c // 4) for _ in range(3))

        def forward(self, x):
            parts = torch.split(self.first(x), x.shape[1] // 4, 1)
            done = [parts[0]]
            for f, p in zip(self.parts, parts[1:]):
                done.append(f(p if len(done) == 1 else p + done[-1]))
            return F.relu(x + self.last(torch.cat(done, 1)))
    return nn.Sequential(conv(3, 32, 3, 2), Block(32), nn.AvgPool2d(3, 2, 1), Block(32), classifier(32))


@network(2, 3, 33, 33)
def sknet():
    """Two branches weighed against each other by a softmax over them, channel by channel."""
    class Block(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.a, self.b = conv(c, c, groups=4), conv(c, c, pad=2, dilation=2, groups=4)
            self.squeeze, self.score = conv(c, 8, 1, norm=None), nn.Conv2d(8, 2 * c, 1)
            self.c = c

        def forward(self, x):
            both = torch.stack([self.a(x), self.b(x)], 1)
            score = self.score(self.squeeze(both.sum(1).mean((2, 3), keepdim=True))).view(-1, 2, self.c, 1, 1)
            return (both * score.softmax(1)).sum(1)
    return nn.Sequential(conv(3, 16, 3, 2), Block(16), conv(16, 24, 3, 2), Block(24), classifier(24))


@network(2, 3, 33, 33)
def dual_path():
    class Block(nn.Module):
        def __init__(self, cin, keep, grow):
            super().__init__()
            self.keep, self.body = keep, nn.Sequential(nn.BatchNorm2d(cin), nn.ReLU(), conv(cin, 12, 1), conv(12, 12, groups=3),
                                                       nn.Conv2d(12, keep + grow, 1, bias=False))

        def forward(self, x):
            y = self.body(x)
            return torch.cat([x[:, :self.keep] + y[:, :self.keep], x[:, self.keep:], y[:, self.keep:]], 1)
    return nn.Sequential(conv(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1), Block(24, 16, 4), Block(28, 16, 4), Block(32, 16, 4), nn.BatchNorm2d(36),
                         nn.ReLU(), classifier(36))


class Shuffle(nn.Module):
    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        n, c, h, w = x.shape
        return x.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


@network(2, 3, 48, 48)
def shufflenet_v1():
    def body(cin, cout, stride):
        return nn.Sequential(conv(cin, 12, 1, groups=3), Shuffle(3), conv(12, 12, 3, stride, act=None, groups=12),
                             conv(12, cout, 1, act=None, groups=3))
    return nn.Sequential(conv(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1), Join(body(24, 24, 2), nn.AvgPool2d(3, 2, 1)), nn.ReLU(),
                         Sum(nn.Identity(), body(48, 48, 1)), nn.ReLU(), classifier(48))


@network(2, 3, 48, 48)
def mobilenet_v1():
    blocks = [conv(3, 8, 3, 2, act=nn.ReLU6)]
    for cin, cout, stride in ((8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 48, 2), (48, 48, 1)):
        blocks += [conv(cin, cin, 3, stride, act=nn.ReLU6, groups=cin), conv(cin, cout, 1, act=nn.ReLU6)]
    return nn.Sequential(*blocks, classifier(48))


@network(2, 3, 48, 48)
def mobilenet_v3_parts():
    def block(c, mid, act):
        return Sum(nn.Identity(), nn.Sequential(conv(c, mid, 1, act=act), conv(mid, mid, 5, act=act, groups=mid),
                                                Excite(mid, 8, gate=F.hardsigmoid), conv(mid, c, 1, act=None)))
    return nn.Sequential(conv(3, 16, 3, 2, act=nn.Hardswish), block(16, 32, nn.ReLU), conv(16, 24, 3, 2, act=nn.Hardswish),
                         block(24, 48, nn.Hardswish), classifier(24))


@network(2, 3, 48, 48)
def ghostnet():
    def ghost(cin, cout, act=nn.ReLU):
        half = cout // 2
        return nn.Sequential(conv(cin, half, 1, act=act), Join(nn.Identity(), conv(half, half, 3, act=act, groups=half)))
    return nn.Sequential(conv(3, 16, 3, 2), Sum(nn.Identity(), nn.Sequential(ghost(16, 32), ghost(32, 16, None))),
                         nn.MaxPool2d(2), Sum(nn.Identity(), nn.Sequential(ghost(16, 48), Excite(48, 12), ghost(48, 16, None))), classifier(16))


@network(2, 3, 64, 64)
def darknet():
    """Leaky ReLU, and the space-to-depth of YOLO v2 by strided slices."""
    leaky = lambda: nn.LeakyReLU(0.1)
    focus = Lambda(lambda x: torch.cat([x[..., a::2, b::2] for b in (0, 1) for a in (0, 1)], 1))
    return nn.Sequential(focus, conv(12, 16, act=leaky), conv(16, 32, 3, 2, act=leaky),
                         Sum(nn.Identity(), nn.Sequential(conv(32, 16, 1, act=leaky), conv(16, 32, act=leaky))), conv(32, 32, 3, 2, act=leaky),
                         classifier(32))


@network(2, 3, 64, 64)
def csp_darknet():
    """Mish, cross-stage parts, and the pyramid of pools of one size (SPP)."""
    def stage(c):
        half = c // 2
        part = nn.Sequential(conv(c, half, 1, act=nn.Mish), Sum(nn.Identity(), nn.Sequential(conv(half, half, 1, act=nn.Mish), conv(half, half, act=nn.Mish))))
        return nn.Sequential(Join(part, conv(c, half, 1, act=nn.Mish)), conv(c, c, 1, act=nn.Mish))
    spp = Join(nn.Identity(), *[nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13)])
    return nn.Sequential(conv(3, 12, 3, 2, act=nn.Mish), conv(12, 24, 3, 2, act=nn.Mish), stage(24), conv(24, 8, 1, act=nn.SiLU), spp, conv(32, 24, 1, act=nn.SiLU), classifier(24))


@network(2, 3, 33, 33)
def repvgg():
    def block(c):
        return nn.Sequential(Sum(conv(c, c, act=None), conv(c, c, 1, act=None), nn.BatchNorm2d(c)), nn.ReLU())
    return nn.Sequential(conv(3, 16, 3, 2), block(16), conv(16, 24, 3, 2), block(24), classifier(24))


@network(2, 3, 33, 33)
def antialiased():
    """Blur before each step of 2: reflected borders, one filter for all channels."""
    class Blur(nn.Module):
        def __init__(self, c):
            super().__init__()
            line = torch.tensor([1., 2., 1.]) / 4
            self.filter = nn.Parameter((line[:, None] * line).expand(c, 1, 3, 3).contiguous())

        def forward(self, x):
            return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filter, stride=2, groups=x.shape[1])
    return nn.Sequential(conv(3, 16), nn.MaxPool2d(2, 1), Blur(16), conv(16, 24, act=nn.PReLU), Blur(24), classifier(24))


@network(2, 3, 40, 40)
def coord_mixed():
    """Coordinates as channels, and kernels of four sizes side by side (MixNet)."""
    class Coordinates(nn.Module):
        def __init__(self, n):
            super().__init__()
            line = torch.linspace(-1, 1, n)
            self.register_buffer("grid", torch.stack([line[:, None].expand(n, n), line.expand(n, n)])[None])

        def forward(self, x):
            return torch.cat([x, self.grid.expand(x.shape[0], -1, -1, -1)], 1)

    class Mixed(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.parts = nn.ModuleList(nn.Conv2d(c // 4, c // 4, k, padding=k // 2, groups=c // 4) for k in (3, 5, 7, 9))

        def forward(self, x):
            return torch.cat([f(p) for f, p in zip(self.parts, x.chunk(4, 1))], 1)
    return nn.Sequential(Coordinates(40), conv(5, 16, 3, 2), Mixed(16), nn.BatchNorm2d(16), nn.ELU(), conv(16, 16, 1, act=nn.SELU), classifier(16))


@network(2, 3, 32, 32, opset=14)
def vision_transformer():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch = nn.Conv2d(3, 24, 8, 8)
            self.token, self.place = nn.Parameter(torch.randn(1, 1, 24)), nn.Parameter(torch.randn(1, 17, 24))
            self.norm1, self.norm2, self.norm = nn.LayerNorm(24), nn.LayerNorm(24), nn.LayerNorm(24)
            self.qkv, self.out = nn.Linear(24, 72), nn.Linear(24, 24)
            self.mlp = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 24))
            self.head = nn.Linear(24, 7)

        def attend(self, x):
            n, t, c = x.shape
            q, k, v = self.qkv(x).reshape(n, t, 3, 4, c // 4).permute(2, 0, 3, 1, 4)
            return self.out(((q @ k.transpose(-2, -1)) * (c // 4) ** -0.5).softmax(-1).matmul(v).transpose(1, 2).reshape(n, t, c))

        def forward(self, x):
            x = self.patch(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
            x = x + self.attend(self.norm1(x))
            x = x + self.mlp(self.norm2(x))
            return self.head(self.norm(x)[:, 0])
    return Network()


@network(2, 3, 32, 32, opset=17)
def mlp_mixer():
    class Mix(nn.Module):
        def __init__(self, tokens, c):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
            self.across = nn.Sequential(nn.Linear(tokens, 20), nn.GELU(), nn.Linear(20, tokens))
            self.within = nn.Sequential(nn.Linear(c, 40), nn.GELU(), nn.Linear(40, c))

        def forward(self, x):
            x = x + self.across(self.norm1(x).transpose(1, 2)).transpose(1, 2)
            return x + self.within(self.norm2(x))
    return nn.Sequential(nn.Conv2d(3, 24, 8, 8), nn.Flatten(2), Lambda(lambda x: x.transpose(1, 2)), Mix(16, 24), Mix(16, 24), nn.LayerNorm(24),
                         Lambda(lambda x: x.mean(1)), nn.Linear(24, 7))


@network(2, 3, 32, 32, opset=16)
def swin_parts():
    """Shifted windows: the map is rolled, cut into windows, attended to, put together, rolled back; patches merged."""
    class Block(nn.Module):
        def __init__(self, c, shift):
            super().__init__()
            self.shift, self.norm, self.qkv, self.out = shift, nn.LayerNorm(c), nn.Linear(c, 3 * c), nn.Linear(c, c)
            self.bias = nn.Parameter(torch.randn(2, 16, 16))

        def forward(self, x):
            n, h, w, c = x.shape
            y = torch.roll(self.norm(x), (-self.shift, -self.shift), (1, 2))
            y = y.view(n, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
            q, k, v = self.qkv(y).reshape(-1, 16, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
            y = ((q * (c // 2) ** -0.5) @ k.transpose(-2, -1) + self.bias).softmax(-1) @ v
            y = self.out(y.transpose(1, 2).reshape(-1, 16, c)).view(n, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
            return x + torch.roll(y, (self.shift, self.shift), (1, 2))
    merge = nn.Sequential(Lambda(lambda x: torch.cat([x[:, a::2, b::2] for b in (0, 1) for a in (0, 1)], -1)), nn.LayerNorm(64),
                          nn.Linear(64, 32, bias=False))
    return nn.Sequential(nn.Conv2d(3, 16, 2, 2), Lambda(lambda x: x.permute(0, 2, 3, 1)), nn.LayerNorm(16), Block(16, 0), Block(16, 2), merge,
                         Block(32, 0), nn.LayerNorm(32), Lambda(lambda x: x.mean((1, 2))), nn.Linear(32, 7))


@network(2, 3, 40, 40)
def conv_mixer():
    def block(c):
        return nn.Sequential(Sum(nn.Identity(), nn.Sequential(nn.Conv2d(c, c, 5, padding=2, groups=c), nn.GELU(), nn.BatchNorm2d(c))),
                             nn.Conv2d(c, c, 1), nn.GELU(), nn.BatchNorm2d(c))
    return nn.Sequential(nn.Conv2d(3, 24, 4, 4), nn.GELU(), nn.BatchNorm2d(24), block(24), block(24), classifier(24))


@network(2, 3, 40, 40)
def pool_former():
    def block(c):
        pool = nn.Sequential(nn.GroupNorm(1, c), Sum(nn.AvgPool2d(3, 1, 1, count_include_pad=False), Lambda(lambda x: -x)))
        mlp = nn.Sequential(nn.GroupNorm(1, c), nn.Conv2d(c, 2 * c, 1), nn.GELU(), nn.Conv2d(2 * c, c, 1))
        return nn.Sequential(Sum(nn.Identity(), pool), Sum(nn.Identity(), mlp))
    return nn.Sequential(nn.Conv2d(3, 24, 7, 4, 2), block(24), block(24), classifier(24))


@network(2, 3, 33, 33)
def attention_module():
    """CBAM: channels weighed by their mean and maximum, then places by theirs."""
    class Weigh(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.mlp = nn.Sequential(nn.Conv2d(c, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, c, 1, bias=False))
            self.place = nn.Conv2d(2, 1, 7, padding=3, bias=False)

        def forward(self, x):
            x = x * torch.sigmoid(self.mlp(F.adaptive_avg_pool2d(x, 1)) + self.mlp(F.adaptive_max_pool2d(x, 1)))
            return x * torch.sigmoid(self.place(torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)))
    return nn.Sequential(conv(3, 16, 3, 2), Weigh(16), conv(16, 24, 3, 2), Weigh(24), classifier(24))


@network(2, 3, 32, 32)
def bilinear():
    """Outer product of two nets' features over all places, signed root, unit length (arXiv:1504.07889)."""
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.head = conv(3, 8, 5, 4), conv(3, 6, 3, 4), nn.Linear(48, 7)

        def forward(self, x):
            a, b = self.a(x).flatten(2), self.b(x).flatten(2)
            y = (a @ b.transpose(1, 2) / a.shape[2]).flatten(1)
            return self.head(F.normalize(torch.sign(y) * torch.sqrt(torch.abs(y) + 1e-3)))
    return Outer()


@network(2, 3, 32, 32)
def gated():
    """Gated linear units over images, and a product of two branches."""
    return nn.Sequential(conv(3, 16, 3, 2), nn.Conv2d(16, 24, 3, padding=1), nn.GLU(1), nn.BatchNorm2d(12),
                         Product(nn.Conv2d(12, 12, 1), nn.Sequential(nn.Conv2d(12, 12, 3, padding=1), nn.Softplus())), classifier(12))
