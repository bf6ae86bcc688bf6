"""Formats other than ONNX, each with what it keeps of the model and what it refuses."""

from __future__ import annotations

import contextlib
import io
import shutil
import zipfile

import pytest
import torch
from torch import Tensor, nn

from zoo_plugins.export import inductor_package, torch_program
from zoo_registry.catalog import catalog
from zoo_registry.errors import DataError, ExportError

DESCRIPTION = {"format": 1, "labels": ["links", "aufwärts"]}


def clips(batch: int, frames: int = 4) -> Tensor:
    return torch.randn(batch, 3, frames, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(3, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
        nn.Linear(8, 5),
    ).eval()  # fmt: skip


class TestTorchExport:
    def test_batch_and_clip_length_are_free_and_the_description_stays(self, network, tmp_path):
        path = tmp_path / "model.pt2"

        torch_program.write(
            network, (clips(1),), path, inputs=("clip_bcthw",), metadata=DESCRIPTION, dynamic_frames=True
        )

        loaded = torch_program.load(path)
        for x in (clips(1), clips(3), clips(2, frames=9)):
            torch.testing.assert_close(loaded(x), network(x), rtol=0, atol=1e-6)
        assert loaded.metadata == DESCRIPTION

    def test_a_model_in_bfloat16_stays_one(self, network, tmp_path):
        path, x = tmp_path / "model.pt2", clips(3).bfloat16()
        torch_program.write(network.bfloat16(), (x,), path)

        found = torch_program.load(path)(x)

        assert found.dtype is torch.bfloat16
        assert torch.equal(found, network(x))

    def test_a_file_for_one_sample_takes_batches_in_parts(self, network, tmp_path):
        path = tmp_path / "model.pt2"
        torch_program.write(network, (clips(2),), path, dynamic_batch=False)

        loaded = torch_program.load(path)

        torch.testing.assert_close(loaded(clips(3)), network(clips(3)), rtol=0, atol=1e-6)
        with pytest.raises(DataError, match="at least one sample"):
            loaded(clips(3)[:0])

    def test_no_clip_of_anybody_is_in_the_file(self, network, tmp_path):
        path = tmp_path / "model.pt2"
        torch_program.write(network, (clips(2),), path)

        assert torch.export.load(path).example_inputs is None

    def test_opening_one_unpickles_so_the_entry_wants_trust(self, network, tmp_path):
        """A good archive, but for one tensor that calls itself a pickle. Where this fails, torch has become safer."""
        path, hostile, trace = tmp_path / "model.pt2", tmp_path / "hostile.pt2", tmp_path / "ran"
        torch_program.write(network, (clips(2),), path)

        class Hostile:
            def __reduce__(self):
                return (trace.touch, ())

        pickled = io.BytesIO()
        torch.save(Hostile(), pickled)
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(hostile, "w") as copy:
            for name in archive.namelist():
                content = archive.read(name)
                if name.endswith("/weight_0"):
                    content = pickled.getvalue()
                copy.writestr(name, content.replace(b'"use_pickle": false', b'"use_pickle": true'))
        with contextlib.suppress(ExportError):
            torch_program.load(hostile)

        assert trace.exists()
        assert "pickled" in catalog().resolve("exporter", "torch_export").entry.runs


class TestOpenvino:
    @pytest.fixture(autouse=True)
    def _installed(self):
        for module in ("openvino", "onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(module, reason="the extra videozoo[openvino] is absent")

    def test_two_files_answer_like_the_model_whatever_the_batch(self, network, tmp_path):
        from zoo_plugins.export import openvino_ir

        path = tmp_path / "model.xml"
        openvino_ir.write(network, (clips(2),), path, inputs=("clip_bcthw",), metadata=DESCRIPTION)

        loaded = openvino_ir.load(path)
        for x in (clips(1), clips(3)):
            torch.testing.assert_close(loaded(x), network(x), rtol=0, atol=1e-5)
        assert loaded.metadata == DESCRIPTION
        assert loaded.inputs == ["clip_bcthw"]
        assert sorted(file.name for file in loaded.files) == ["model.bin", "model.xml"]
        with pytest.raises(DataError, match="clip_bcthw is uint8"):
            loaded(torch.zeros(1, 3, 4, 12, 12, dtype=torch.uint8))

    def test_a_file_for_one_sample_takes_batches_in_parts(self, network, tmp_path):
        from zoo_plugins.export import openvino_ir

        path = tmp_path / "model.xml"
        openvino_ir.write(network, (clips(2),), path, dynamic_batch=False)

        torch.testing.assert_close(openvino_ir.load(path)(clips(3)), network(clips(3)), rtol=0, atol=1e-5)

    @pytest.mark.parametrize("threads", [1, 2])
    def test_what_the_runtime_says_reaches_the_user(self, tmp_path, threads, monkeypatch):
        """The columns are free in the file, and only what is added to them inside is not."""
        import numpy as np
        import openvino
        from openvino import opset13

        from zoo_plugins.export import openvino_ir

        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        rows = opset13.parameter([-1, -1], np.float32, name="rows")
        total = opset13.add(rows, opset13.constant(np.ones((1, 3), np.float32)))
        openvino.save_model(openvino.Model([total], [rows], "foreign"), tmp_path / "foreign.xml")
        loaded = openvino_ir.load(tmp_path / "foreign.xml")

        assert loaded(torch.ones(2, 3)).tolist() == [[2.0] * 3] * 2
        with pytest.raises(DataError, match=r"foreign\.xml cannot compute tensors of \(2, 4\): .*mismatch"):
            loaded(torch.ones(2, 4))
        assert loaded(torch.ones(1, 3)).tolist() == [[2.0] * 3]

    def test_two_answers_do_not_share_memory(self, network, tmp_path):
        from zoo_plugins.export import openvino_ir

        path = tmp_path / "model.xml"
        openvino_ir.write(network, (clips(2),), path)
        loaded = openvino_ir.load(path)

        first = loaded(clips(2))
        kept = first.clone()
        loaded(-clips(2))

        assert torch.equal(first, kept)

    def test_int8_by_way_of_onnx(self, network, tmp_path):
        from zoo_plugins.export import openvino_ir

        path = tmp_path / "model.xml"
        rounded = openvino_ir.write(
            network, (clips(2),), path, int8="static", calibration=lambda count: iter([(clips(4),)] * count)
        )

        assert rounded is not None
        assert "FakeQuantize" in path.read_text()
        found, expected = openvino_ir.load(path)(clips(3)), network(clips(3))
        assert 0 < (found - expected).abs().max() < 0.1 * expected.abs().max()

    def test_weights_that_were_left_behind(self, network, tmp_path):
        from zoo_plugins.export import openvino_ir

        path = tmp_path / "model.xml"
        openvino_ir.write(network, (clips(2),), path)
        path.with_suffix(".bin").unlink()

        with pytest.raises(ExportError, match=r"weights of model\.xml are missing.*\n.*two files, copy both"):
            openvino_ir.load(path)

    @pytest.mark.parametrize(
        "text",
        ["<page/>", "junk", 'node { name: "x" op: "Placeholder" }', '<net name="x" version="11"><layers/></net>'],
    )
    def test_an_xml_file_of_something_else(self, tmp_path, text, capfd):
        from zoo_plugins.export import openvino_ir

        (tmp_path / "model.xml").write_text(text)
        (tmp_path / "model.bin").write_bytes(b"")

        with pytest.raises(ExportError, match=r"OpenVINO cannot run model\.xml: .+"):
            openvino_ir.load(tmp_path / "model.xml")
        assert "tensorflow" not in "".join(capfd.readouterr())  # nobody offered it to the readers of other formats


class TestAotInductor:
    def test_without_a_compiler_it_says_what_to_install(self, network, tmp_path, monkeypatch):
        from torch._inductor import cpp_builder

        def none():
            raise RuntimeError("no compiler")

        monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)

        with pytest.raises(ExportError, match=r"needs a C\+\+ compiler.*\n.*install g\+\+"):
            inductor_package.write(network, (clips(2),), tmp_path / "model.aoti.pt2")

    @pytest.mark.slow
    def test_the_package_keeps_its_description(self, network, tmp_path):
        if not (shutil.which("g++") or shutil.which("clang++")):
            pytest.skip("needs a C++ compiler")
        path = tmp_path / "model.aoti.pt2"

        inductor_package.write(network, (clips(2),), path, inputs=("clip_bcthw",), metadata=DESCRIPTION)

        loaded = inductor_package.load(path)
        for x in (clips(1), clips(5)):
            torch.testing.assert_close(loaded(x), network(x), rtol=0, atol=1e-5)
        assert loaded.metadata == DESCRIPTION

    @pytest.mark.slow
    def test_a_package_for_one_sample_takes_batches_in_parts(self, network, tmp_path):
        if not (shutil.which("g++") or shutil.which("clang++")):
            pytest.skip("needs a C++ compiler")
        path = tmp_path / "model.aoti.pt2"

        inductor_package.write(network, (clips(2),), path, dynamic_batch=False)

        torch.testing.assert_close(inductor_package.load(path)(clips(3)), network(clips(3)), rtol=0, atol=1e-5)

    def test_a_file_that_is_no_package(self, tmp_path):
        (tmp_path / "model.aoti.pt2").write_bytes(b"PK nonsense")

        with pytest.raises(ExportError, match=r"cannot open the package model\.aoti\.pt2.*\n.*same release of torch"):
            inductor_package.load(tmp_path / "model.aoti.pt2")


class TestExecutorch:
    def test_a_3d_convolution_is_refused_with_its_name(self, network, tmp_path):
        pytest.importorskip("executorch", reason="the package executorch is absent")
        from zoo_plugins.export import executorch_program

        with pytest.raises(ExportError, match=r"no 3-D convolution, and 0 is one"):
            executorch_program.write(network, (clips(2),), tmp_path / "model.pte")
