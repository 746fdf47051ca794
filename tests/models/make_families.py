#!/usr/bin/python3
"""Small networks of the families that there are, as ONNX files with PyTorch's answers.

    make_families.py FOLDER [NAME...]

Writes FOLDER/NAME/model.onnx (parameters seeded, BatchNormalization kept as nodes), test_data_set_0/{input,output}_0.pb
and gradients.npz: with loss = sum(output * weight), d loss / d input and d loss / d parameter, and `noise`: how far
float32 gradients are from these, of their length. References are computed in float64. What takes no photo but a line of
samples or a volume is there as well. Each network is a function in one of families_*.py.
Needs Debian's python3-torch and python3-onnx.
"""
import os
import sys
import warnings

import numpy as np
import onnx
import torch
from onnx import numpy_helper

import families_classic
import families_graphs
import families_maps
import families_modern
import families_other
from families_kit import NETWORKS, prepare

warnings.filterwarnings("ignore")


def save(folder, kind, tensor):
    with open(f"{folder}/test_data_set_0/{kind}_0.pb", "wb") as f:
        f.write(numpy_helper.from_array(tensor.detach().float().numpy(), kind).SerializeToString())


def gradients(module, x, weight, names):
    """d sum(module(x) * weight) / d x and / d the parameters of these names."""
    x = x.clone().requires_grad_(True)
    parameters = dict(module.named_parameters())
    found = torch.autograd.grad((module(x) * weight).sum(), [x] + [parameters[n] for n in names])
    return {"input": found[0], **dict(zip(names, found[1:]))}


def relative(a, b):
    return float((a.double() - b).norm() / b.norm().clamp_min(1e-30))


def write(folder, name):
    make, shape, opset = NETWORKS[name]
    os.makedirs(f"{folder}/test_data_set_0", exist_ok=True)
    module = prepare(make, shape, name)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(7))
    if hasattr(module, "write_onnx"):
        module.write_onnx(f"{folder}/model.onnx")
    else:
        torch.onnx.export(module, x, f"{folder}/model.onnx", opset_version=opset, input_names=["input"], output_names=["output"],
                          do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE,
                          dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}})
    module.eval()
    kept = {i.name for i in onnx.load(f"{folder}/model.onnx").graph.initializer}
    names = [n for n, _ in module.named_parameters() if n in kept]
    weight = torch.randn(module(x).shape, generator=torch.Generator().manual_seed(5))
    single = gradients(module, x, weight, names)
    module.double()
    exact = gradients(module, x.double(), weight.double(), names)
    save(folder, "input", x)
    y = module(x.double())
    save(folder, "output", y)
    largest = max(float(g.norm()) for g in exact.values())
    exact = {n: g for n, g in exact.items() if float(g.norm()) > 1e-9 * largest}  # what a normalization takes away is noise
    noise = max(relative(single[n], exact[n]) for n in exact)
    np.savez(f"{folder}/gradients.npz", weight=weight.numpy(), noise=np.float32([noise]),
             **{n: np.ascontiguousarray(g.float().numpy()) for n, g in exact.items()})
    print(f"{name:24} {os.path.getsize(folder + '/model.onnx'):9} bytes, output's deviation {float(y.std()):.3g}, "
          f"{len(names)} parameters, noise {noise:.1g}", flush=True)


def main():
    folder, names = sys.argv[1], sys.argv[2:] or list(NETWORKS)
    for name in names:
        write(f"{folder}/{name}", name)


if __name__ == "__main__":
    main()
