"""Laws whose logits lie on a device: what is fetched and drawn there equals what arrays on the processor give.

The processor stands in for the device; that nothing on the two is mixed is checked with tensors that only pretend.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from smcdsl.automaton.applying import cumulate, draw, gather  # noqa: E402
from smcdsl.inference.proposals import log_probabilities  # noqa: E402
from smcdsl.models import token_masks, torch_logits  # noqa: E402
from smcdsl.models.host_logits import HostLogits  # noqa: E402
from smcdsl.models.torch_logits import DeviceLogits, joined, law_of, totals_on_device, written_out  # noqa: E402

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
NUMBERS = st.sampled_from([0.0, np.nextafter(1.0, 0.0)]) | st.floats(0.0, 1.0, exclude_max=True)


def some_logits(count: int, size: int, seed: int = 0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(scale=4.0, size=(count, size)).astype(np.float32)
    logits[0, : size // 3] = -np.inf
    return logits


def on_device(logits: np.ndarray, device: str = "cpu") -> DeviceLogits:
    tensor = torch.from_numpy(logits.copy()).to(device)
    return DeviceLogits(tensor, totals_on_device(tensor))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    exact = logits.astype(np.float64)
    return exact - np.logaddexp.reduce(exact, axis=1, keepdims=True)


def table_of(generator: np.random.Generator, count: int, size: int) -> np.ndarray:
    """(count, W) words of 64; the first allows nothing, the second all."""
    bits = np.zeros((count, 64 * -(-size // 64)), dtype=np.uint8)
    bits[:, :size] = generator.random((count, size)) < 0.4
    bits[0] = 0
    bits[1, :size] = 1
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


def test_laws_stay_where_the_logits_are():
    logits = some_logits(3, 70)
    found = law_of(torch.from_numpy(logits.copy()))
    assert isinstance(found, HostLogits)
    np.testing.assert_allclose(found[:], log_softmax(logits), atol=1e-5)
    halves = law_of(torch.from_numpy(logits).to(torch.bfloat16))
    assert halves[:].dtype == np.float32
    np.testing.assert_allclose(halves[1:], log_softmax(logits)[1:], atol=0.1)
    assert law_of(torch.empty((0, 0))).shape == (0, 0)


def test_laws_are_written_out_as_arrays():
    logits = some_logits(3, 70)
    for tensor, atol in ((torch.from_numpy(logits.copy()), 1e-5), (torch.from_numpy(logits).to(torch.bfloat16), 0.1)):
        found = written_out(tensor)
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, log_softmax(logits), atol=atol)


@pytest.mark.parametrize("device", DEVICES)
def test_rows_and_single_tokens_are_read_as_from_an_array(device):
    logits = some_logits(4, 70)
    found, expected = on_device(logits, device), log_softmax(logits)
    assert found.shape == (4, 70)
    rows, tokens = np.array([2, 0, 2]), np.array([69, 50, 0])
    for key in (slice(None), 1, rows, (rows, tokens)):
        np.testing.assert_allclose(found[key], expected[key], atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [64, 70, 33])
def test_what_masks_allow_is_what_is_gathered_from_an_array(size, device):
    generator = np.random.default_rng(size)
    logits, table = some_logits(3, size), table_of(generator, 5, size)
    numbers, rows = np.array([4, 0, 1, 2, 4]), np.array([0, 1, 2, 2, 1])
    found = on_device(logits, device).allowed(table, numbers, rows)
    expected = gather(table, numbers, log_softmax(logits).astype(np.float32), rows)
    assert (found.starts == expected.starts).all()
    assert (found.tokens == expected.tokens).all()
    assert found.tokens.dtype == expected.tokens.dtype
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 4), NUMBERS), max_size=12), st.sampled_from([1.0, 2.0, 0.5]), st.integers(0, 9)
)
def test_draws_are_those_from_gathered_outcomes(device, wanted, power, seed):
    generator = np.random.default_rng(seed)
    logits, table = some_logits(3, 70, seed), table_of(generator, 5, 70)
    rows = generator.integers(0, 3, size=5)
    which = np.array([mask for mask, _ in wanted], dtype=np.int64)
    numbers = np.array([number for _, number in wanted])
    tokens, log_masses = on_device(logits, device).drawn(table, rows, which, numbers, power)
    totals = np.exp(log_masses)
    allowed = on_device(logits).allowed(table, np.arange(5), rows)
    law, edges = np.exp(np.float32(power) * allowed.values), np.empty(len(allowed.tokens))
    cumulate(law, allowed.starts, edges)
    places = np.empty(len(which), dtype=np.int64)
    draw(edges, allowed.starts, which, numbers, places)
    for mask in range(5):
        own = slice(allowed.starts[mask], allowed.starts[mask + 1])
        assert totals[mask] == pytest.approx(law[own].sum(dtype=np.float64), rel=1e-6)
    for token, mask, place in zip(tokens.tolist(), which.tolist(), places.tolist()):
        if totals[mask] > 0:
            # Sums are added up in another order, so that a draw on an edge may fall on either side of it.
            near = {place - 1, place, place + 1} & set(range(allowed.starts[mask], allowed.starts[mask + 1]))
            assert token in allowed.tokens[sorted(near)]
            assert law[
                allowed.starts[mask] + allowed.tokens[slice(*allowed.starts[mask : mask + 2])].searchsorted(token)
            ]


def test_the_law_at_a_temperature_is_normalised_anew():
    logits = some_logits(3, 70)
    found = on_device(logits).tempered(0.5)[slice(None)]
    np.testing.assert_allclose(found, log_probabilities(log_softmax(logits), 0.5), atol=2e-5)


def test_all_that_is_computed_later_is_guarded():
    class Broken(Exception):
        pass

    def guard(compute):
        compute()
        raise Broken

    tensor = torch.from_numpy(some_logits(2, 70))
    law = DeviceLogits(tensor, totals_on_device(tensor), guard)
    table, numbers, none = table_of(np.random.default_rng(0), 2, 70), np.arange(2), np.zeros(0, dtype=np.int64)
    for use in (
        lambda: law[0],
        lambda: law.allowed(table, numbers, numbers),
        lambda: law.tempered(0.5),
        lambda: law.drawn(table, numbers, none, np.zeros(0), 1.0),
    ):
        with pytest.raises(Broken):
            use()


def test_parts_are_put_in_their_places():
    logits = torch.from_numpy(some_logits(4, 8))
    assert joined([(np.arange(4), logits)], 4) is logits
    parts = [(np.array([1, 3]), logits[:2]), (np.array([0, 2]), logits[2:].to(torch.float64))]
    assert torch.equal(joined(parts, 4), logits[[2, 0, 3, 1]])


def test_nothing_on_the_device_is_mixed_with_what_is_not(monkeypatch):
    from torch._subclasses.fake_tensor import FakeTensorMode

    monkeypatch.setattr(token_masks, "_close_on_device", token_masks.close_in_parts)

    def there(shape, dtype=torch.float32):
        return torch.empty(shape, dtype=dtype, device="cuda")

    with FakeTensorMode():
        logits, which, numbers = there((3, 70)), there(4, torch.int64), there(4, torch.float64)
        words, rows = there((5, 3), torch.int32), there(5, torch.int64)
        totals = totals_on_device(logits)
        edges = torch_logits.edges_of(logits, totals, words, rows, 1.0)
        tokens, sums = torch_logits.drawn_by(edges, which, numbers)
        assert {each.device.type for each in (totals, edges, tokens, sums)} == {"cuda"}
        assert (tuple(tokens.shape), tuple(sums.shape), totals.dtype) == ((4,), (5,), torch.float64)
        with pytest.raises((RuntimeError, ValueError), match=r"device|cpu"):
            torch_logits.edges_of(logits, totals, torch.empty((5, 3), dtype=torch.int32), rows, 1.0)
        with pytest.raises(RuntimeError, match="device"):
            torch_logits.drawn_by(edges, which, torch.empty(4, dtype=torch.float64))
