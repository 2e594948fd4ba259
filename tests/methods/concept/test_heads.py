from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pointlift.data.batch import Batch
from pointlift.losses import mse, token_rows
from pointlift.methods.concept.heads import ConceptExtraction, build_head
from pointlift.students.point_transformer import PointTransformer
from pointlift.teachers.mappers import MLPMapper
from tests.students.test_point_transformer import Literal, batch_of, stirred


class LiteralConcepts:
    """Equations (5), (7), (8), (12) and (13) in float64 NumPy, one concept, one head and one matrix at a time."""

    def __init__(self, module: torch.nn.Module, heads: int) -> None:
        self.w = {key: value.double().numpy() for key, value in module.state_dict().items()}
        self.heads = heads
        self.attention_weights: list[np.ndarray] = []

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.w[f"{name}.weight"].T + self.w.get(f"{name}.bias", 0.0)

    def layer_norm(self, x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def cross_attention(self, query: np.ndarray, context: np.ndarray) -> np.ndarray:
        """(13) of one concept (C,) and the patches (V, C) of one cloud."""
        width = len(query) // self.heads
        w_q = self.w["block.attention.query.weight"]
        w_k, w_v = np.split(self.w["block.attention.key_value.weight"], 2)
        out, weights = [], []
        for j in range(self.heads):
            part = slice(j * width, (j + 1) * width)
            scores = np.exp(context @ w_k[part].T @ (w_q[part] @ query) / math.sqrt(width))
            weights.append(scores / scores.sum())
            out.append(weights[-1] @ (context @ w_v[part].T))
        self.attention_weights.append(np.array(weights))
        return self.linear(np.concatenate(out), "block.attention.projection")

    def __call__(self, layers: list[np.ndarray]) -> np.ndarray:
        """Z (M, C) of the patches F_1 … F_N (V, C) of one cloud."""
        concepts = []
        for q in self.w["queries"][0]:  # each alone: concepts do not see each other
            for f in layers:
                context = self.layer_norm(f, "block.norm_context")
                q = q + self.cross_attention(self.layer_norm(q, "block.norm1"), context)
                hidden = gelu(self.linear(self.layer_norm(q, "block.norm2"), "block.mlp.0"))
                q = q + self.linear(hidden, "block.mlp.2")
            concepts.append(q)
        return np.array(concepts)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def literal_head(kind: str, head: torch.nn.Module, z: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """MLP(Z) (T, D) of concepts (M, C)."""
    w = {key: value.double().numpy() for key, value in head.state_dict().items()}
    if kind == "token_mix":
        return gelu(w["mix.weight"] @ z + w["mix.bias"][:, None]) @ w["channels.weight"].T + w["channels.bias"]
    if kind == "flatten":
        hidden = gelu(w["mlp.0.weight"] @ z.reshape(-1) + w["mlp.0.bias"])
        return (w["mlp.2.weight"] @ hidden + w["mlp.2.bias"]).reshape(shape)
    each = gelu(z @ w["mlp.0.weight"].T + w["mlp.0.bias"]) @ w["mlp.2.weight"].T + w["mlp.2.bias"]
    averages = np.exp(w["pooling"])
    return averages / averages.sum(1, keepdims=True) @ each + w["offset"]


def extraction(dim: int, heads: int, concepts: int) -> ConceptExtraction:
    return stirred(ConceptExtraction(dim, heads, concepts), seed=5)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_equals_equations_1_to_10_12_and_13_at_the_paper_s_sizes(dtype: torch.dtype) -> None:
    student = stirred(PointTransformer(0, 5, drop_path=0.0)).eval()
    concepts, head = extraction(384, 6, 32), stirred(build_head("token_mix", 32, 384, (10, 768)), seed=6)  # type: ignore[arg-type]
    mapper = stirred(MLPMapper(512, 10), seed=7)  # type: ignore[arg-type]
    batch = batch_of(4096)
    embedding = torch.randn(1, 512, generator=torch.Generator().manual_seed(8))  # (9) is CLIP's own test

    _, layers, _ = Literal(student)([batch.points.double().numpy()], 64, 32)  # (1)-(4), (6)
    z = LiteralConcepts(concepts, 6)([layer[0] for layer in layers])  # (5), (7), (8), (13)
    w = {key: value.double().numpy() for key, value in mapper.state_dict().items()}
    hidden = np.tanh(w["model.0.weight"] @ embedding[0].double().numpy() + w["model.0.bias"])
    prefix = (w["model.2.weight"] @ hidden + w["model.2.bias"]).reshape(10, 768)  # (10)
    expected = literal_head("token_mix", head, z, (10, 768))
    loss = ((expected - prefix) ** 2).sum() / 7680  # (12)

    for module in (student, concepts, head, mapper):
        module.to(dtype)
    with torch.no_grad():
        encoding = student.encode(Batch(batch.points.to(dtype), batch.features.to(dtype), batch.offsets))
        found, target = head(concepts(encoding.layers)), mapper(embedding.to(dtype))
    tolerance = 1e-5 if dtype == torch.float32 else 1e-11
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=tolerance * np.abs(expected).max())
    np.testing.assert_allclose(target[0], prefix, rtol=0, atol=tolerance * np.abs(prefix).max())
    np.testing.assert_allclose(mse(token_rows(found), token_rows(target)), loss, rtol=tolerance)


@pytest.mark.parametrize("kind", ["token_mix", "flatten", "pooled"])
def test_every_head_equals_its_formula(kind: str) -> None:
    head = build_head(kind, 5, 12, (3, 7), hidden=9).double()  # type: ignore[arg-type]
    stirred(head)  # type: ignore[arg-type]
    z = torch.randn(2, 5, 12, dtype=torch.float64)
    with torch.no_grad():
        found = head(z)
    for cloud in range(2):
        expected = literal_head(kind, head, z[cloud].numpy(), (3, 7))
        np.testing.assert_allclose(found[cloud], expected, rtol=0, atol=1e-12)


def test_attention_is_that_of_the_equations() -> None:
    module = extraction(12, 3, 2).double()
    layers = [torch.randn(1, 5, 12, dtype=torch.float64) for _ in range(4)]
    literal = LiteralConcepts(module, 3)
    literal([layer[0].numpy() for layer in layers])
    expected = np.array(literal.attention_weights).reshape(2, 4, 3, 5)  # concept, layer, head, patch
    with torch.no_grad():
        found = module.attention(layers)[0]
    np.testing.assert_allclose(found, expected.transpose(1, 2, 0, 3), atol=1e-12)


def test_concepts_do_not_see_each_other() -> None:
    module = extraction(12, 3, 4)
    layers = [torch.randn(2, 5, 12) for _ in range(3)]
    with torch.no_grad():
        before = module(layers)
        module.queries[0, 1] += 1.0
        after = module(layers)
    changed = (before != after).any(2).any(0)
    assert changed.tolist() == [False, True, False, False]


def test_one_block_is_shared_and_every_layer_is_read() -> None:
    module = extraction(12, 3, 4)
    layers = [torch.randn(1, 5, 12, requires_grad=True) for _ in range(3)]
    module(layers).square().sum().backward()
    assert all(layer.grad is not None and layer.grad.abs().sum() > 0 for layer in layers)
    assert sum(parameter.numel() for parameter in module.parameters()) == 4 * 12 + 12 * 12 * 12 + 12 * 12
