"""Laid-out linear layers give what torch's give, and step aside where they must."""

import pytest

torch = pytest.importorskip("torch")

from smcdsl.models.torch_linear import lay_out  # noqa: E402


def layers() -> "torch.nn.Module":
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(24, 70), torch.nn.SiLU(), torch.nn.Linear(70, 33, bias=False))


@pytest.mark.parametrize("shape", [(1, 24), (1, 5, 24), (3, 1, 24), (2, 40, 24), (1, 0, 24)])
def test_products_are_the_same(shape):
    plain, fast = layers(), layers()
    if not lay_out(fast):
        pytest.skip("this torch has no such products")
    states = torch.randn(shape)
    with torch.inference_mode():
        assert torch.allclose(fast(states), plain(states), atol=1e-6)
        assert torch.allclose(fast(states.transpose(0, -2)), plain(states.transpose(0, -2)), atol=1e-6)


def test_gradients_go_through():
    fast = layers()
    lay_out(fast)
    states = torch.randn(3, 24, requires_grad=True)
    fast(states).sum().backward()
    assert states.grad is not None


def test_other_types_are_left_alone():
    fast = layers().bfloat16()
    assert not lay_out(fast)
    assert not lay_out(torch.nn.Embedding(3, 4))
