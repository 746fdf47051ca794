"""Networks that make maps: segmentation heads, upsampling, and shapes that follow from the input's."""
import torch
from torch import nn
from torch.nn import functional as F

from families_kit import Join, Lambda, Sum, classifier, conv, network


@network(2, 3, 48, 40)
def fcn():
    """Scores of two depths, made larger by transposed convolutions and added."""
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Sequential(conv(3, 12, 3, 2), conv(12, 16, 3, 2)), conv(16, 24, 3, 2)
            self.score_a, self.score_b = nn.Conv2d(16, 5, 1), nn.Conv2d(24, 5, 1)
            self.up2, self.up4 = nn.ConvTranspose2d(5, 5, 4, 2, 1, bias=False), nn.ConvTranspose2d(5, 5, 8, 4, 2, groups=5)

        def forward(self, x):
            a = self.a(x)
            return self.up4(self.score_a(a) + self.up2(self.score_b(self.b(a))))
    return Network()


class UNet(nn.Module):
    def __init__(self, up):
        super().__init__()
        self.down1, self.down2, self.deep = conv(3, 8), conv(8, 12), conv(12, 16)
        self.up2, self.up1 = up(16), up(12)
        self.join2, self.join1 = conv(28, 12), conv(20, 8)
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        y = self.join2(torch.cat([b, self.up2(self.deep(F.max_pool2d(b, 2)))], 1))
        return torch.softmax(self.last(self.join1(torch.cat([a, self.up1(y)], 1))), 1)


@network(2, 3, 32, 24, opset=11)
def unet_bilinear():
    return UNet(lambda c: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))


@network(2, 3, 32, 24)
def unet_aligned():
    return UNet(lambda c: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))


@network(2, 3, 32, 24)
def unet_transposed():
    return UNet(lambda c: nn.ConvTranspose2d(c, c, 2, 2))


@network(2, 3, 41, 33)
def deeplab():
    """Dilated convolutions side by side, one branch that sees all, and a map of the input's own size."""
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = nn.Sequential(conv(3, 12, 3, 2), conv(12, 16, 3, 2))
            self.branches = Join(conv(16, 8, 1), conv(16, 8, 3, pad=2, dilation=2), conv(16, 8, 3, pad=4, dilation=4))
            self.all, self.mix, self.last = conv(16, 8, 1), conv(32, 16, 1), nn.Conv2d(16, 5, 1)

        def forward(self, x):
            y = self.trunk(x)
            seen = F.interpolate(self.all(y.mean((2, 3), keepdim=True)), size=y.shape[2:], mode="bilinear", align_corners=False)
            y = self.last(self.mix(torch.cat([self.branches(y), seen], 1)))
            return F.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=False)
    return Network()


@network(2, 3, 24, 20)
def subpixel():
    return nn.Sequential(conv(3, 16), conv(16, 27), nn.PixelShuffle(3), conv(3, 8, 3, 3), classifier(8))


def high_resolution():
    """Branches of two sizes that exchange what they see."""
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.down = conv(3, 12, 3, 2), conv(12, 16, 3, 2)
            self.high, self.low = conv(12, 12), conv(16, 16)
            self.to_low, self.to_high = conv(12, 16, 3, 2, act=None), conv(16, 12, 1, act=None)
            self.head = classifier(28)

        def forward(self, x):
            a = self.stem(x)
            b = self.down(a)
            a, b = self.high(a), self.low(b)
            a, b = F.relu(a + F.interpolate(self.to_high(b), scale_factor=2, mode="nearest")), F.relu(b + self.to_low(a))
            return self.head(torch.cat([a, F.interpolate(b, scale_factor=2, mode="nearest")], 1))
    return Network()


network(2, 3, 32, 32)(high_resolution)
network(2, 3, 32, 32, opset=9, name="high_resolution_opset_9")(high_resolution)


@network(2, 3, 40, 40)
def autoencoder():
    return nn.Sequential(conv(3, 12, 3, 2), conv(12, 16, 3, 2), Sum(nn.Identity(), conv(16, 16)),
                         nn.ConvTranspose2d(16, 12, 3, 2, 1, output_padding=1), nn.ReLU(), nn.ConvTranspose2d(12, 3, 4, 2, 1), nn.Sigmoid())


@network(2, 3, 40, 40)
def traced_lrn():
    """Normalization over channels as PyTorch writes it: a branch on the input's size, and an average over a volume."""
    return nn.Sequential(conv(3, 16, 5, 2, norm=None), nn.LocalResponseNorm(5, 1e-1), nn.MaxPool2d(3, 2), conv(16, 16, norm=None), classifier(16))


@network(2, 4, 30, 22)
def deep_stereo():
    """One network on both halves of the channels, and the product of what it makes."""
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.head = nn.Sequential(conv(2, 12, 3, 2), conv(12, 16, 3, 2)), nn.Linear(16, 5)

        def forward(self, x):
            a, b = self.trunk(x[:, :2]), self.trunk(x[:, 2:])
            return self.head((a * b + (a - b).abs()).mean((2, 3)))
    return Network()
