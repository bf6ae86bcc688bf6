"""From a film to an explanation, and back onto the film."""

from __future__ import annotations

import doctest
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.zoo.data.films import write_numbered_film
from zoo.artefact import save_model
from zoo.build import build
from zoo.explanation import Explanation, attention, occlusion, overlay
from zoo.explanation.film_clip import read_film_clip
from zoo.explanation.overlay import on_picture
from zoo_registry import ClipSpec
from zoo_registry.catalog import catalog
from zoo_registry.errors import ArtefactError, DataError, ParameterError, UndecodableMedia

pytestmark = pytest.mark.filterwarnings("ignore:nothing in this clip speaks for the label")  # weights are random

LABELS = ("left", "right", "up")
SPEC = ClipSpec(frames=4, stride=2, size=32, resize=48)


def save(folder: Path, task: str = "classification", **changes: object) -> Path:
    """A model folder of random weights."""
    listed = catalog().resolve("model", "basic/cnn3d")
    clip = replace(SPEC, **changes)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = build(listed, {}, {"num_classes": 3, "clip": clip})
    reads = {"name": f"tasks/{task}", "params": {}}
    save_model(folder, network, model=listed.name, params={}, clip=clip, labels=LABELS, task=reads)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> zoo.ZooModel:
    return zoo.load(save(tmp_path_factory.mktemp("run") / "model"))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of 96 x 64 at 10 frames/s: noise."""
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 96, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def frames_of(path: Path) -> tuple[av.VideoStream, list[av.VideoFrame]]:
    with av.open(str(path)) as container:
        return container.streams.video[0], list(container.decode(video=0))


# ---------------------------------------------------------------------------------------------------- what is explained


def test_the_clip_is_the_one_that_prediction_sees(model, film):
    explanation = zoo.explain(model, film)
    assert torch.equal(explanation.clip.pixels_cthw, zoo.read_clip(film, SPEC))
    (row,) = model.predict(film)
    assert (explanation.label, explanation.score) == (row["top5"][0]["label"], pytest.approx(row["top5"][0]["score"]))
    assert explanation.map_thw.shape == (4, 32, 32)
    assert explanation.frames_thwc.shape == (4, 64, 96, 3)


def test_a_film_may_be_bytes_or_an_open_file(model, film, tmp_path):
    expected = zoo.explain(model, film)
    with film.open("rb") as file:
        for media in (film.read_bytes(), file):
            explanation = zoo.explain(model, media)
            assert np.array_equal(explanation.map_thw, expected.map_thw)
            assert np.array_equal(explanation.frames_thwc, expected.frames_thwc)
            _, frames = frames_of(explanation.write_video(tmp_path / "why.mp4"))
            assert len(frames) == 7
            explanation.write_strip(tmp_path / "why.png")
    with pytest.raises(DataError, match=r"film\.mp4 was closed"):
        explanation.write_video(tmp_path / "late.mp4")
    assert not (tmp_path / "late.mp4").exists()


def test_start_says_where_the_clip_begins(model, film):
    explanation = zoo.explain(model, film, start=1.0)
    assert (explanation.clip.start, explanation.clip.end) == (pytest.approx(1.0), pytest.approx(1.7))
    assert torch.equal(explanation.clip.pixels_cthw, zoo.read_clip(film, SPEC, start=1.0, position=0.0))


@pytest.mark.parametrize("label", ["up", 2, "2"])
def test_any_label_can_be_asked_for(model, film, label):
    explanation = zoo.explain(model, film, label=label)
    scores = {row["label"]: row["score"] for row in model.predict(film)[0]["top5"]}
    assert (explanation.label, explanation.score) == ("up", pytest.approx(scores["up"]))


def test_labels_that_do_not_exclude_each_other_have_a_probability_each(film, tmp_path):
    model = zoo.load(save(tmp_path / "model", "multilabel_classification"))
    explanation = zoo.explain(model, film, label="right")
    clip_bcthw = (explanation.clip.pixels_cthw[None] / 255 - 0.45) / 0.225
    with torch.no_grad():
        assert explanation.score == pytest.approx(float(model(clip_bcthw)[0, 1].sigmoid()), abs=1e-4)


def test_a_picture_is_explained_as_a_film_of_one_frame(model, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (41, 67, 3), np.uint8)).save(tmp_path / "picture.png")
    explanation = zoo.explain(model, tmp_path / "picture.png")
    _, (frame,) = frames_of(explanation.write_video(tmp_path / "out.mp4"))
    assert (frame.height, frame.width) == (40, 66)  # H.264's pixel format wants even sides
    assert explanation.write_strip(tmp_path / "out.png").stat().st_size > 0


def test_a_model_in_training_mode_is_explained_in_eval_mode_and_left_in_training(model, film):
    expected = zoo.explain(model, film)
    try:
        model.train()
        again = zoo.explain(model, film)
        assert model.training
        assert np.array_equal(again.map_thw, expected.map_thw)
    finally:
        model.eval()


# ---------------------------------------------------------------------------------------------- back onto the film


@pytest.mark.parametrize("resize", [None, 48, (40, 56)])
@pytest.mark.parametrize(("size", "rotate"), [((64, 96), None), ((96, 64), None), ((64, 96), 90)])
def test_a_map_lies_on_the_picture_where_the_model_saw_it(size, rotate, resize, tmp_path):
    """The map is what the clip itself shows, a white patch: over the film it has to lie on that patch."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        if rotate is not None:
            stream.set_display_rotation(rotate)
        picture = np.zeros((*size, 3), np.uint8)
        picture[28:44, 36:56] = 255
        for _ in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    clip = read_film_clip(path, replace(SPEC, resize=resize), None)
    map_hw = clip.pixels_cthw[0, 0].numpy() / 255
    shown = clip.frames()[0]
    heat_hw = on_picture(map_hw, clip.placement, *shown.shape[:2])
    white, hot = shown[..., 0] > 127, np.nan_to_num(heat_hw) > 0.5
    seen = ~np.isnan(heat_hw)
    assert (white & hot).sum() / ((white & seen) | hot).sum() > 0.85


def test_the_written_film_has_the_films_frames_at_their_times(model, film, tmp_path):
    explanation = zoo.explain(model, film, start=1.0)
    stream, frames = frames_of(explanation.write_video(tmp_path / "out" / "why.mp4"))
    assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 96, 64)
    assert [frame.time for frame in frames] == pytest.approx(
        [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    )  # 4 with stride 2 span 7


def test_a_changing_frame_rate_is_kept(model, tmp_path):
    times = [0, 100, 150, 400, 500, 900, 1000, 1050]
    path = write_numbered_film(tmp_path / "film.mp4", 8, times=times)
    explanation = zoo.explain(model, path)
    _, frames = frames_of(explanation.write_video(tmp_path / "why.mp4"))
    start, end = explanation.clip.start, explanation.clip.end
    inside = [time / 1000 - start for time in times if start < time / 1000 < end]
    assert [frame.time for frame in frames] == pytest.approx(
        [0, *inside], abs=0.002
    )  # first what was shown at the start


def test_what_the_model_does_not_see_is_dark(model, film, tmp_path):
    explanation = zoo.explain(model, film)
    _, frames = frames_of(explanation.write_video(tmp_path / "why.mp4"))
    picture = frames[0].to_ndarray(format="rgb24").mean(axis=-1)
    # 96 x 64 scaled to 72 x 48 and cropped to 32 x 32: columns 26.7 to 69.3 are seen.
    assert picture[:, :24].mean() < 0.7 * picture[11:53, 30:66].mean()


def test_the_map_is_strongest_where_it_is_one_and_leaves_the_picture_where_it_is_zero(model, film, tmp_path):
    explanation = zoo.explain(model, film)
    half = np.zeros_like(explanation.map_thw)
    half[:, :, 16:] = 1
    _, frames = frames_of(replace(explanation, map_thw=half).write_video(tmp_path / "why.mp4"))
    picture = frames[0].to_ndarray(format="rgb24").astype(float)
    left, right = picture[11:53, 28:44], picture[11:53, 52:68]
    assert abs(left[..., 0].mean() - left[..., 2].mean()) < 10  # noise without a colour of its own
    assert right[..., 0].mean() > right[..., 2].mean() + 40  # yellow


def test_the_strip_shows_the_frames_in_order(model, tmp_path):
    path = write_numbered_film(tmp_path / "film.mp4", 8, rate=10, level=lambda number: 30 * number)
    explanation = zoo.explain(model, path)
    picture = np.asarray(Image.open(explanation.write_strip(tmp_path / "why.png")).convert("L")).astype(int)
    levels = explanation.frames_thwc.mean((1, 2, 3)).round()
    assert levels.tolist() == sorted(levels)
    column = np.linspace(0, picture.shape[1], 9).astype(int)[1::2]  # the middles of four frames
    row = next(row for row in range(100, picture.shape[0]) if abs(picture[row, column] - levels).max() < 3)
    assert row < picture.shape[0] / 2


def test_importance_over_time_is_the_mean_of_the_map(model, film):
    explanation = zoo.explain(model, film)
    given = replace(explanation, map_thw=np.full((4, 32, 32), 0.5) * np.array([0.2, 1, 0.6, 0]).reshape(-1, 1, 1))
    assert given.importance_t.tolist() == pytest.approx([0.2, 1, 0.6, 0])


def test_nothing_is_left_of_a_film_that_could_not_be_written(model, film, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"why\.mp4: the film cannot be written"):
        zoo.explain(model, film).write_video(tmp_path / "file" / "why.mp4")
    with pytest.raises(DataError, match=r"why\.png: the strip cannot be written"):
        zoo.explain(model, film).write_strip(tmp_path / "file" / "why.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_names_that_promise_another_kind_of_file_are_refused(model, film, tmp_path):
    explanation = zoo.explain(model, film)
    with pytest.raises(DataError, match=r"why\.txt is no name of a film.*\n.*end it in \.mp4"):
        explanation.write_video(tmp_path / "why.txt")
    with pytest.raises(DataError, match=r"why\.jpg is no name of a picture.*\n.*end it in \.png or \.svg"):
        explanation.write_strip(tmp_path / "why.jpg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", [attention, occlusion, overlay], ids=lambda module: module.__name__)
def test_examples_in_docstrings_are_true(module):
    assert doctest.testmod(module).failed == 0


def test_repr_shows_no_pixels(model, film):
    assert len(repr(zoo.explain(model, film))) < 200


# ---------------------------------------------------------------------------------------------------- what cannot be


def test_a_misspelt_label_gets_the_nearest_one(model, film):
    with pytest.raises(ParameterError, match=r"knows no label 'rigth'\n.*did you mean 'right'"):
        zoo.explain(model, film, label="rigth")


@pytest.mark.parametrize("label", [3, -1, "17"])
def test_a_number_that_no_label_has_is_refused(model, film, label):
    with pytest.raises(ParameterError, match=rf"no label {label}.*has 3, counted from 0|knows no label"):
        zoo.explain(model, film, label=label)


@pytest.mark.parametrize("label", [1.5, ["up"]])
def test_what_is_no_label_is_refused(label, model, film):
    with pytest.raises(ParameterError, match=r"the label is .*\n.*its name, or its number"):
        zoo.explain(model, film, label=label)


def test_labels_are_listed_to_the_last(model, film):
    with pytest.raises(ParameterError, match="it knows left, right, up") as refused:
        zoo.explain(model, film, label="nope")
    assert "..." not in str(refused.value)


def test_a_start_that_is_no_number_is_refused(model, film):
    with pytest.raises(ParameterError, match="start is 'a', not a number of seconds"):
        zoo.explain(model, film, start="a")


def test_a_film_that_cannot_be_decoded_is_named(model, tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(UndecodableMedia, match=r"film\.mp4"):
        zoo.explain(model, tmp_path / "film.mp4")


def test_a_start_behind_the_end_is_refused(model, film):
    with pytest.raises(UndecodableMedia, match=r"nothing from 9 s to its end, it lasts 4\.00 s"):
        zoo.explain(model, film, start=9)


@pytest.mark.parametrize("task", ["regression", "contrastive"])
def test_a_task_that_tells_no_labels_is_what_is_refused(task, film, tmp_path):
    with pytest.raises(ArtefactError, match=f"another task than telling labels: tasks/{task}") as refused:
        zoo.explain(zoo.load(save(tmp_path / "model", task)), film)
    assert "no recognition model" not in str(refused.value)


def test_a_model_that_answers_something_else_than_labels_is_refused(model, film):
    other = zoo.ZooModel(torch.nn.Flatten(), name="acme/net", clip=SPEC, labels=LABELS, task=model.task)
    with pytest.raises(ArtefactError, match="no recognition model: it does not answer with a number for each label"):
        zoo.explain(other, film)


def test_a_model_of_other_inputs_is_refused(model, film):
    other = zoo.ZooModel(model.network, name="acme/net", inputs=("flow_bcthw",), clip=SPEC, labels=LABELS)
    with pytest.raises(ArtefactError, match=r"acme/net is no recognition model of films: it takes flow_bcthw"):
        zoo.explain(other, film)


def test_a_model_of_other_channels_than_a_films_is_refused(film):
    clip = replace(SPEC, mean=(0.5, 0.5), std=(0.5, 0.5))
    model = zoo.ZooModel(torch.nn.Flatten(), name="acme/net", clip=clip, labels=LABELS)
    with pytest.raises(ArtefactError, match="sees 2 channels, and films have three"):
        zoo.explain(model, film)


def test_a_method_that_the_network_does_not_allow_names_those_that_it_does(model, film):
    with pytest.raises(
        ParameterError, match=r"gradient_rollout does not work here.*\n.*these do: grad_cam, grad_cam_plus_plus, "
    ):
        zoo.explain(model, film, method="gradient_rollout")


def test_explanations_are_of_one_kind(model, film):
    assert isinstance(zoo.explain(model, film, method="occlusion"), Explanation)
