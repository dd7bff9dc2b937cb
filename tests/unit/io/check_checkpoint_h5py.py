"""Opens a checkpoint written by `test_io_checkpoint write` with h5py, as outsiders do: layout, attributes, values and the
virtual datasets. Usage: check_checkpoint_h5py.py PROGRAM. Exit status 77 (skipped) without h5py."""
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError:
    print("skipped: this python has no h5py")
    sys.exit(77)

STEP = 120
TENSORS = {"embedding": ((3, 1000), 0), "layer0.weight": ((7, 11, 13), 3000), "layer0.gain": ((1,), 4001),
           "head": ((6000,), 4002)}
FLATS = {"/model/flat/parameters": ("/model/parameters", "<f4", 0), "/model/flat/main/m": ("/model/main/m", "<f4", 1),
         "/model/flat/main/sums": ("/model/main/sums", "<f8", 2)}


def expected(dtype, which):
    i = np.arange(10002)
    values = np.sin((i * 7 + which * 1000 + STEP).astype("f8")) * 3
    values[17], values[18] = np.nan, -0.0
    return values.astype(dtype)


def check(file):
    form = file["/format"].attrs
    assert form["version"] == 1 and form["step"] == STEP and int(form["seed"]) == 0xFEDCBA9876543210, dict(form)
    text = {name: form[name].decode() if isinstance(form[name], bytes) else form[name]
            for name in ("kind", "config", "kernels", "digests")}
    assert text["kind"] == "supervised" and text["config"] == "run: x\nseed: 1\n" and text["kernels"] == "f32_avx2", text
    digests = dict(reversed(line.split(" ")) for line in text["digests"].splitlines())
    assert list(digests) == list(FLATS) + ["/loop/flat/rows"], digests
    for path, digest in digests.items():
        assert int(file[path].attrs["digest"]) == int(digest, 16), path
    sampler = {name: int(value) for name, value in file["/sampler"].attrs.items()}
    assert sampler == {"epoch": 12, "position": -120, "draws": 2**63 - 1 - 120}, sampler
    for flat, (view, dtype, which) in FLATS.items():
        wanted = expected(dtype, which)
        assert file[flat].dtype == np.dtype(dtype) and not file[flat].is_virtual
        np.testing.assert_allclose(file[flat][:], wanted, rtol=1e-6, atol=1e-6)
        assert np.signbit(file[flat][18]) and np.isnan(file[flat][17])
        assert set(file[view]) == set(TENSORS), list(file[view])
        for name, (shape, offset) in TENSORS.items():
            tensor = file[view][name]
            assert tensor.is_virtual and tensor.shape == shape and tensor.dtype == np.dtype(dtype), (name, tensor)
            count = int(np.prod(shape))
            part = file[flat][offset:offset + count].reshape(shape)
            assert tensor[:].tobytes() == part.tobytes(), name
    rows = np.arange(1500, dtype="i8") * 1000003 - 3 - STEP
    assert (file["/loop/rows/rows"][:] == rows).all()


with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "sample.h5")
    subprocess.run([sys.argv[1], "write", path], check=True)
    with h5py.File(path, "r") as opened:
        check(opened)
print("h5py reads the checkpoint: layout, attributes, values, virtual datasets")
