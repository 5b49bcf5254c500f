"""Files that PyTorch itself wrote."""

import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.weights import read_weights, write_weights

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("zipped", [True, False])
def test_both_serialisations(tmp_path, torch, zipped):
    whole = torch.arange(24, dtype=torch.float32)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    tensors = {
        "whole": whole,
        "view": whole[4:].reshape(4, 5).T,
        "half": whole.half(),
        "brain": whole.bfloat16(),
        "scalar": torch.tensor(3),
    }
    torch.save({"model": tensors | module.state_dict(), "epoch": 1}, tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    torch.save(module.state_dict(), tmp_path / "alone.pth", _use_new_zipfile_serialization=zipped)
    found, alone = read_weights(tmp_path / "weights.pth"), read_weights(tmp_path / "alone.pth")
    assert set(found) == {*tensors, *module.state_dict()}
    for name, tensor in (tensors | module.state_dict()).items():
        np.testing.assert_array_equal(found[name].astype(np.float64), tensor.double().numpy())
    assert found["brain"].dtype == jnp.bfloat16
    assert found["half"].dtype == np.float16
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(alone[name], tensor.numpy())


@pytest.mark.parametrize("mapped", [True, False])
def test_what_is_written_for_pytorch(tmp_path, torch, mapped):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    arrays = {name: np.random.default_rng(i).random(x.shape, np.float32) for i, (name, x) in enumerate(module.state_dict().items())}
    del arrays["1.num_batches_tracked"]
    write_weights(tmp_path / "weights.pth", arrays)
    read = torch.load(tmp_path / "weights.pth", weights_only=True, mmap=mapped)
    assert list(read) == list(arrays)
    module.load_state_dict(read)
    for name, array in arrays.items():
        np.testing.assert_array_equal(module.state_dict()[name].numpy(), array, strict=True)
