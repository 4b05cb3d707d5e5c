"""Products in int8 on the CPU: a frozen base with an adapter, without fp32 products of the base.

Activations and weights are rounded to int8 with one scale a row, but for the few columns of activations that are many
times larger than the rest and would take the scale for themselves: those are multiplied in fp32 (LLM.int8(), Dettmers et
al., 2022). The forward product and the gradient of the input run in int8, which a CPU with VNNI works through four to six
times as fast as fp32 (SwitchBack, Wortsman et al., 2023). Weights that are trained stay in fp32: to round 135 million of
them at every step takes longer than it saves.
"""

from __future__ import annotations

import timeit
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import torch
from peft.tuners import lora
from torch import nn

LARGEST = 127.0
OUTLIERS = 8
"""Columns of activations in fp32. Over calendar prompts SmolLM2-135M is 0.062 away from itself in fp32 without them (KL
divergence of the next token), 0.013 with 8 and 0.011 with 32; the median cosine of an adapter's gradients rises from 0.976
to 0.996. Outliers of gradients make no difference."""


# -- products ---------------------------------------------------------------------------------------------------------
class Rounded(NamedTuple):
    """A matrix (rows, columns) in int8 with one scale a row: ``codes * scale[:, None]`` stands for it."""

    codes: torch.Tensor
    scale: torch.Tensor


def round_rows(matrix: torch.Tensor, outliers: torch.Tensor | None = None) -> Rounded:
    """Round a FloatTensor (rows, columns) to int8, each row scaled by its largest magnitude.

    The columns `outliers` (LongTensor) have no part in it: their codes are 0.
    """
    size = matrix.abs()
    if outliers is not None:
        size.index_fill_(1, outliers, 0)
    scale = size.amax(-1).clamp_min_(1e-12).div_(LARGEST)
    codes = torch.div(matrix, scale[:, None], out=size).round_().to(torch.int8)
    return Rounded(codes if outliers is None else codes.index_fill_(1, outliers, 0), scale)


@lru_cache(maxsize=1)
def _one_pass() -> bool:
    """Whether oneDNN's linear layer serves: it scales in the same pass, `torch._int_mm` in three.

    CPUs without VNNI add int8 products in 16 bits, where the largest ones do not fit. On others, some of AMD's among them,
    oneDNN has its reference loop alone: 190 ms for a product that takes 0.1 ms elsewhere.
    """
    if not hasattr(torch.ops.onednn, "qlinear_pointwise"):
        return False
    codes = torch.full((512, 512), 127, dtype=torch.int8)
    product = partial(_Factor(codes, torch.ones(512), True), Rounded(codes[:64], torch.ones(64)))
    exact = bool((product() == 512 * 127**2).all())
    return exact and min(timeit.repeat(product, number=1, repeat=3)) < 0.05


class _Factor:
    """The right side of products: ``(codes * scale[:, None]).T`` for int8 codes (out, in), laid out as they want it."""

    def __init__(self, codes: torch.Tensor, scale: torch.Tensor, one_pass: bool | None = None):
        self.one_pass, self.scale = _one_pass() if one_pass is None else one_pass, scale
        self.codes = torch.ops.onednn.qlinear_prepack(codes, None) if self.one_pass else codes.t()

    def __call__(self, left: Rounded) -> torch.Tensor:
        """FloatTensor (rows, out)."""
        if self.one_pass:
            zeros = torch.zeros(len(self.scale), dtype=torch.long)
            result = torch.ops.onednn.qlinear_pointwise(
                left.codes, 1.0, 0, self.codes, self.scale, zeros, None, 1.0, 0, torch.float32, "none", [], ""
            )
        else:
            result = torch._int_mm(left.codes, self.codes).float().mul_(self.scale)
        return result.mul_(left.scale[:, None])


class Packed:
    """A weight (out, in) in int8 for products with activations whose columns `outliers` stay in fp32."""

    def __init__(self, weight: torch.Tensor, outliers: torch.Tensor):
        self.codes, self.scale = round_rows(weight)
        self.large = weight[:, outliers].t().contiguous()  # what those columns are multiplied with
        self.times = _Factor(self.codes, self.scale)

    @cached_property
    def back(self) -> _Factor:
        """What the gradient of the product, its columns scaled already, is multiplied with for that of the activations."""
        return _Factor(self.codes.t().contiguous(), torch.ones(self.codes.shape[1]))


@torch.no_grad()
def find_outliers(model: nn.Module) -> dict[nn.Module, torch.Tensor]:
    """Columns of the largest inputs of each linear layer, LongTensor (outliers,); layers that read the same share them.

    They are channels of the model rather than of a text (Dettmers et al., 2022): 256 random tokens show them, without an
    adapter, so that an answer does not depend on the texts beside it, nor a resumed training on where it was stopped.
    """
    found, states, columns = {}, None, None

    def note(layer: nn.Module, given: tuple[torch.Tensor]) -> None:
        nonlocal states, columns
        if given[0] is not states:
            states = given[0]
            largest = states.abs().flatten(0, -2).amax(0)
            columns = largest.topk(min(OUTLIERS, len(largest))).indices
        found[layer] = columns

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    training = [module for module in model.modules() if module.training]
    tokens = torch.randint(model.config.vocab_size, (4, 64), generator=torch.Generator().manual_seed(0))
    with getattr(model, "disable_adapter", nullcontext)():
        model.eval()(input_ids=tokens, use_cache=False)
    for module in training:
        module.training = True
    for hook in hooks:
        hook.remove()
    return found


class _LastInput:
    """The last activation that was rounded: q, k and v, or gate and up, read the same one and share its codes."""

    def __init__(self) -> None:
        self.states, self.version, self.rounded = None, -1, None

    def __call__(self, states: torch.Tensor, outliers: torch.Tensor) -> Rounded:
        version = None if states.is_inference() else states._version  # inference mode counts no changes
        if version is None or states is not self.states or version != self.version:
            with torch.no_grad():
                self.rounded = round_rows(states.detach().reshape(-1, states.shape[-1]), outliers)
            self.states, self.version = states, version
        return self.rounded


class _Product(torch.autograd.Function):
    """``x @ W.T + scaling * x @ A.T @ B.T`` with W in int8, forward and for the gradient of x; `down` and `up` are A and B."""

    @staticmethod
    def forward(ctx, states, down, up, scaling, layer):
        flat, packed = states.reshape(-1, states.shape[-1]), _packed(layer)
        result = packed.times(layer.last(states, layer.outliers))
        low, thin, thick = None, flat[:, layer.outliers], packed.large
        if down is not None:  # one thin product for the outliers and the adapter
            low = (flat @ down.t()).mul_(scaling)
            thin, thick = torch.cat([thin, low], 1), torch.cat([thick, up.t()])
        result.addmm_(thin, thick)
        if layer.bias is not None:
            result.add_(layer.bias)
        ctx.save_for_backward(None if down is None else flat, low, down, up)
        ctx.scaling, ctx.layer, ctx.shape, ctx.packed = scaling, layer, states.shape, packed
        return result.view(*states.shape[:-1], -1)

    @staticmethod
    def backward(ctx, gradient):
        flat, low, down, up = ctx.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1])
        of_states = of_down = of_up = of_low = None
        if down is not None:
            of_low = (gradient @ up).mul_(ctx.scaling)
            of_down = of_low.t() @ flat
            of_up = (low.t() @ gradient).t()  # this order: the other one is slower for thin matrices
        if ctx.needs_input_grad[0]:
            exact = getattr(ctx.layer, "exact", None)
            if exact is None:  # the scales of the weights' rows go into the gradient first
                of_states = ctx.packed.back(round_rows(gradient * ctx.packed.scale))
            else:
                of_states = gradient @ exact.detach()
            if of_low is not None:
                of_states.addmm_(of_low, down)
            of_states = of_states.view(ctx.shape)
        return of_states, of_down, of_up, None, None


# -- layers -----------------------------------------------------------------------------------------------------------
class Int8Linear(nn.Module):
    """A frozen linear layer that keeps its weight (out, in) in int8 alone.

    With `exact` it keeps the weight itself too, for a gradient that int8 cannot hold: that of the logits is one large number
    a row and fifty thousand small ones, which would all become 0.
    """

    def __init__(self, layer: nn.Linear, outliers: torch.Tensor, last: _LastInput, exact: bool = False):
        super().__init__()
        # the embedding's parameter: not one of this layer as well
        self.__dict__["exact"] = layer.weight if exact else None
        self.out_features, self.in_features = layer.weight.shape
        self.packed = Packed(layer.weight.detach(), outliers)
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.outliers, self.last = outliers, last

    def dequantised(self) -> torch.Tensor:
        """The weight that the codes stand for, FloatTensor (out, in)."""
        weight = self.packed.codes.float().mul_(self.packed.scale[:, None])
        weight[:, self.outliers] = self.packed.large.t()
        return weight

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return _Product.apply(states, None, None, 1.0, self)


def _adapted_forward(self, states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Forward pass of a LoRA layer whose base is in int8 or 4 bits: one product with the adapter's inside."""
    if "packed_once" in self.__dict__ or self.disable_adapters:
        return _Product.apply(states, None, None, 1.0, self)
    name = self.active_adapters[0]
    down, up = self.lora_A[name].weight, self.lora_B[name].weight
    dropout = self.lora_dropout[name]
    if isinstance(dropout, nn.Identity) or not self.training:
        return _Product.apply(states, down, up, self.scaling[name], self)
    plain = _Product.apply(states, None, None, 1.0, self)
    return plain + self.scaling[name] * (dropout(states) @ down.t() @ up.t())


@lru_cache(maxsize=4)
def _int8_lora(kind: type) -> type:
    """A LoRA layer of PEFT that multiplies its base, an :class:`Int8Linear` or a 4-bit layer of bitsandbytes, in int8."""
    of_base = property(lambda self: self.base_layer.bias)
    return type(f"Int8{kind.__name__}", (kind,), {"forward": _adapted_forward, "bias": of_base})


Int8Lora = _int8_lora(lora.Linear)


def _packed(layer: nn.Module) -> Packed:
    """The int8 weight of a layer: that of its base, which never changes, or with the adapter in it."""
    return layer.__dict__.get("packed_once") or getattr(layer, "base_layer", layer).packed


def _float_weight(layer: nn.Module) -> torch.Tensor:
    """The weight of a base layer in fp32: as it is, from int8 codes, or from 4-bit blocks."""
    if isinstance(layer, Int8Linear):
        return layer.dequantised()
    if hasattr(layer.weight, "quant_state"):
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
    return layer.weight.detach()


# -- models -----------------------------------------------------------------------------------------------------------
def use_int8(model: nn.Module) -> nn.Module:
    """Let a causal model on the CPU, in fp32, multiply in int8, in place.

    Linear layers whose weights are frozen keep int8 codes only; others stay as they are. Layers with a LoRA adapter of PEFT
    keep it as it is, in fp32, over a base in int8 or, where bitsandbytes holds it, in 4 bits. The head may share its weight
    with the embedding, which stays. What saves the adapter, counts parameters or trains does not notice.
    """
    last, head, outliers = _LastInput(), model.get_output_embeddings(), find_outliers(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, lora.LoraLayer) and hasattr(child, "base_layer"):
                base = child.base_layer
                child.last, child.outliers = last, outliers[base]
                if type(child).__name__ in ("Linear", "Linear4bit"):
                    child.__class__ = _int8_lora(type(child))
                if type(base) is nn.Linear:
                    child.base_layer = Int8Linear(base, child.outliers, last)
                elif not isinstance(base, Int8Linear):
                    # 4 bits are stored; to unpack them anew doubles a step
                    base.packed = Packed(_float_weight(base), child.outliers)
            elif (
                type(child) is nn.Linear
                and not child.weight.requires_grad
                and not isinstance(parent, (nn.ModuleDict, lora.LoraLayer))
            ):
                setattr(parent, name, Int8Linear(child, outliers[child], last, exact=child is head))
    return model


@contextmanager
def packed_once(model: nn.Module) -> Iterator[None]:
    """While nothing is trained: adapters merged into a base that is packed anew, 4-bit weights packed once.

    A decoding step is a few milliseconds long, most of which would go into packing or the adapter's small products. The
    model itself stays as it is. Without int8 layers nothing happens.
    """
    changed = [module for module in model.modules() if type(module).forward is _adapted_forward]
    with torch.no_grad():
        for module in changed:
            name, weight = module.active_adapters[0], _float_weight(module.base_layer)
            down, up = module.lora_A[name].weight, module.lora_B[name].weight
            merged = weight.addmm(up, down, alpha=module.scaling[name])
            module.__dict__["packed_once"] = Packed(merged, module.outliers)
    try:
        yield
    finally:
        for module in changed:
            del module.__dict__["packed_once"]
