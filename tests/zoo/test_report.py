"""The report: pictures of what a run found, and one page that holds them all."""

from __future__ import annotations

import base64
import math
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import nn
from torchvision.models.video import mvit_v2_s, r3d_18

from zoo.report import Table, curves, diagram, draw, write_report
from zoo.report.blocks import find_blocks
from zoo.report.wording import number, plain, quantity
from zoo_registry.protocols import BeforeAfter, FilmStrip, Matrix, Series, Strip

HISTORY = [
    {"step": 1, "epoch": 1, "split": "train", "loss": 1.8, "lr": 0.1, "time": 1.7e9, "samples_per_s": 300.0},
    {"step": 2, "epoch": 1, "split": "train", "loss": 1.2, "lr": 0.05, "time": 1.7e9, "samples_per_s": 301.0},
    {"step": 2, "epoch": 1, "split": "val", "loss": 1.3, "accuracy": 0.5, "time": 1.7e9},
]
HOSTILE = '</pre><script>alert(1)</script><img src=x onerror="alert(2)">'


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(folder: Path, **changes: object) -> Page:
    settings: dict = {
        "title": "quickstart",
        "summary": {"val/accuracy": 0.98333, "seconds": 72.3},
        "history": HISTORY,
        "figures": [],
        "clips": None,
        "recipe_yaml": "zoo: 1\n",
    }
    return Page(write_report(folder, **settings | changes).read_text(encoding="utf-8"))


def colours_in(path: Path, row: int | None = None) -> list[tuple[int, int, int]]:
    """Saturated colours of a picture from left to right, each once."""
    pixels = (imread(path)[..., :3] * 255).round().astype(int)
    line = pixels.reshape(-1, 3) if row is None else pixels[row]
    seen: list[tuple[int, int, int]] = []
    for red, green, blue in line[np.ptp(line, axis=1) > 100]:
        if (red, green, blue) not in seen:
            seen.append((int(red), int(green), int(blue)))
    return seen


def film(*colours: tuple[int, int, int], size: int = 32) -> np.ndarray:
    """A film whose frames have one colour each, (T, H, W, 3)."""
    return np.stack([np.full((size, size, 3), colour, np.uint8) for colour in colours])


# ------------------------------------------------------------------------------------------------ the page


def test_a_report_needs_no_other_file_no_network_and_no_script(tmp_path: Path) -> None:
    labels = ("left", "right")
    page = report(tmp_path, figures=[Matrix("Confusion", labels, labels, np.eye(2))])
    assert page.named("img")
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.named("img"))
    assert all(link["href"].startswith("#") for link in page.named("a"))
    assert not page.named("script")
    assert not page.named("link")


def test_the_pictures_of_a_page_are_the_files_beside_it(tmp_path: Path) -> None:
    page = report(tmp_path)
    embedded = {base64.b64decode(image["src"].partition(",")[2]) for image in page.named("img")}
    beside = {path.read_bytes() for path in (tmp_path / "figures").glob("*.png")}
    assert embedded == beside
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"loss.png", "accuracy.png", "learning-rate.png"}


def test_text_of_strangers_is_shown_and_never_run(tmp_path: Path) -> None:
    strips = FilmStrip(HOSTILE, (Strip(0, 0, HOSTILE, 1.0),))
    page = report(
        tmp_path,
        title=HOSTILE,
        summary={HOSTILE: 1, "note": HOSTILE},
        figures=[strips],
        recipe_yaml=HOSTILE,
        tables=[Table(HOSTILE, (HOSTILE,), [(HOSTILE,)], HOSTILE)],
        provenance={HOSTILE: HOSTILE},
    )
    assert not page.named("script")
    assert all("onerror" not in image for image in page.named("img"))
    assert page.text.count(HOSTILE) >= 8


def test_a_file_name_that_is_not_utf8_can_be_written(tmp_path: Path) -> None:
    name = b"caf\xe9 $x_2$.avi".decode("utf-8", "surrogateescape")
    strips = FilmStrip("Wrong", (Strip(0, 0, name, 1.0),))
    page = report(tmp_path, figures=[strips], tables=[Table("Quarantine", ("file",), [(name,)])])
    assert "caf� $x_2$.avi" in page.text


def test_the_recipe_is_on_the_page_line_by_line(tmp_path: Path) -> None:
    recipe = "zoo: 1\nmodel:\n  name: basic/cnn3d\n"
    assert recipe in report(tmp_path, recipe_yaml=recipe).text


def test_headline_numbers_are_tiles_in_the_order_given(tmp_path: Path) -> None:
    text = report(tmp_path, summary={"val/accuracy": 0.98333, "seconds": 72.3, "model": "basic/cnn3d"}).text
    assert text.index("Accuracy") < text.index("0.9833") < text.index("Time") < text.index("1 min 12 s")
    assert "basic/cnn3d" in text


def test_a_number_of_one_class_is_in_the_table_and_no_tile(tmp_path: Path) -> None:
    page = report(tmp_path, summary={"val/f1/left": 0.123, "val/f1": 0.456})
    tiles = [tag for tag in page.named("div") if tag.get("class") == "tile"]
    assert len(tiles) == 1
    assert "0.123" in page.text


def test_without_history_there_is_no_training_section(tmp_path: Path) -> None:
    assert "Training" in report(tmp_path / "with").text
    assert "Training" not in report(tmp_path / "without", history=[]).text


def test_a_table_without_rows_says_its_note(tmp_path: Path) -> None:
    page = report(tmp_path, tables=[Table("Quarantine", ("file", "reason"), [], "Every file could be decoded.")])
    assert "Every file could be decoded." in page.text


def test_a_figure_that_cannot_be_drawn_costs_only_itself(tmp_path: Path) -> None:
    ragged = Matrix("Ragged", ("a", "b"), ("a", "b"), np.zeros((2, 2, 2)))
    page = report(tmp_path, figures=[ragged, Series("Fine", {"": [(0, 1), (1, 2)]})])
    assert "Ragged could not be drawn" in page.text
    assert "Fine" in [image["alt"] for image in page.named("img")]


def test_figures_of_one_title_get_files_of_their_own(tmp_path: Path) -> None:
    report(tmp_path, history=[], figures=[Series("../../A b!", {"": [(0, n)]}) for n in range(2)])
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["a-b-2.png", "a-b.png"]


# ------------------------------------------------------------------------------------------------ curves


def test_curves_gather_splits_and_put_the_loss_first_and_the_rate_last() -> None:
    found = curves(HISTORY)
    assert [figure.title for figure in found] == ["Loss", "Accuracy", "Learning rate"]
    assert found[0].curves == {"train": [(1, 1.8), (2, 1.2)], "val": [(2, 1.3)]}
    assert found[2].curves == {"": [(1, 0.1), (2, 0.05)]}


def test_losses_of_several_objectives_share_a_figure() -> None:
    rows = [{"step": 1, "split": "train", "loss/critic": 1.0, "loss/generator": 2.0, "lr/critic": 0.1}]
    assert {figure.title: list(figure.curves) for figure in curves(rows)} == {
        "Loss": ["critic · train", "generator · train"],
        "Learning rate": ["critic"],
    }


def test_of_a_quantity_and_its_parts_the_whole_is_drawn() -> None:
    (f1,) = curves([{"step": 1, "split": "val", "f1": 0.5, "f1/left": 0.4, "f1/right": 0.6}])
    assert f1.curves == {"val": [(1, 0.5)]}


def test_a_null_in_the_history_is_a_gap() -> None:
    (loss,) = curves([{"step": 1, "split": "val", "loss": None}, {"step": 2, "split": "val", "loss": 1.0}])
    (first, second) = loss.curves["val"]
    assert math.isnan(first[1])
    assert second == (2, 1.0)


def test_points_that_are_not_joined_have_no_line(tmp_path: Path) -> None:
    """Two points in opposite corners: what is dark between them is their line."""
    points = {"": [(0.0, 0.0), (1.0, 1.0)]}
    joined, apart = (
        imread(draw(Series("Any", points, joined=each), tmp_path / f"{each}.png"))[..., :3] for each in (True, False)
    )
    middle = tuple(slice(round(0.4 * size), round(0.6 * size)) for size in joined.shape[:2])
    coloured = [int((np.ptp(picture[middle], axis=-1) > 0.2).sum()) for picture in (joined, apart)]
    assert coloured[0] > 0
    assert coloured[1] == 0


@pytest.mark.parametrize("points", [[], [(0, math.nan)], [(0, math.inf), (1, 1.0), (math.nan, 2.0)]])
def test_a_series_of_any_numbers_can_be_drawn(tmp_path: Path, points: list[tuple[float, float]]) -> None:
    assert imread(draw(Series("Loss", {"val": points}), tmp_path / "a.png")).ndim == 3


# ------------------------------------------------------------------------------------------------ pictures


def figures() -> list[object]:
    labels = ("left", "right", "up")
    pair = tuple(np.full((16, 16, 3), value, np.uint8) for value in (10, 200))
    return [
        Matrix("Confusion", labels, labels, np.diag([3, 1, 2]), "true", "predicted"),
        Series("Loss", {"train": [(0, 2.0), (1, 1.0)]}, "step"),
        FilmStrip("Wrong", (Strip(0, 0, "a.mp4", 1.0),)),
        BeforeAfter("Restored", ("before", "after"), (pair,)),
    ]


@pytest.mark.parametrize("figure", figures(), ids=lambda figure: type(figure).__name__)
def test_a_picture_is_the_same_bit_for_bit_each_time(tmp_path: Path, figure: object) -> None:
    def clips(index: int, view: int) -> np.ndarray:
        return film((255, 0, 0), (0, 255, 0))

    first, second = (draw(figure, tmp_path / f"{n}.png", clips).read_bytes() for n in range(2))
    assert first == second
    assert not list(tmp_path.glob(".*"))


def test_a_film_strip_shows_the_frames_in_order(tmp_path: Path) -> None:
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    path = draw(
        FilmStrip("Wrong", (Strip(7, 1, "a.mp4", 1.0),)), tmp_path / "a.png", lambda i, v: film(red, green, blue)
    )
    middle = imread(path).shape[0] * 2 // 3
    pure = [colour for colour in colours_in(path, middle) if colour in (red, green, blue)]
    assert pure == [red, green, blue]


def test_a_film_strip_asks_for_the_sample_and_view_it_names(tmp_path: Path) -> None:
    asked = []
    strips = FilmStrip("Wrong", (Strip(7, 1, "a", 1.0), Strip(3, 0, "b", 0.5)))
    draw(strips, tmp_path / "a.png", lambda index, view: (asked.append((index, view)), film((255, 0, 0)))[1])
    assert asked == [(7, 1), (3, 0)]


def test_a_film_that_cannot_be_decoded_leaves_the_others_standing(tmp_path: Path) -> None:
    def clips(index: int, view: int) -> np.ndarray:
        if index == 0:
            raise OSError("truncated")
        return film((255, 0, 0))

    strips = FilmStrip("Wrong", (Strip(0, 0, "broken.mp4", 1.0), Strip(1, 0, "fine.mp4", 0.5)))
    assert (255, 0, 0) in colours_in(draw(strips, tmp_path / "a.png", clips))


def test_before_and_after_stand_side_by_side(tmp_path: Path) -> None:
    red, blue = (np.full((8, 8, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    path = draw(BeforeAfter("Restored", ("before", "after"), ((red, blue),)), tmp_path / "a.png")
    assert colours_in(path, imread(path).shape[0] // 2) == [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize("classes", [0, 1, 3, 26, 400])
def test_a_confusion_matrix_of_any_size_is_a_picture_of_bounded_size(tmp_path: Path, classes: int) -> None:
    labels = tuple(f"a class with a rather long name {n}" for n in range(classes))
    path = draw(Matrix("Confusion", labels, labels, np.eye(classes), "true", "predicted"), tmp_path / "a.png")
    height, width, _ = imread(path).shape
    assert max(4 * classes, 300) <= max(height, width) <= 2600


def test_one_confusion_in_fifty_shows_among_400_classes(tmp_path: Path) -> None:
    labels = tuple(str(n) for n in range(400))
    counts = np.eye(400) * 49
    counts[200, 300] = 1
    path = draw(Matrix("Confusion", labels, labels, counts), tmp_path / "a.png")
    without = counts.copy()
    without[200, 300] = 0
    without[200, 200] = 50
    other = draw(Matrix("Confusion", labels, labels, without), tmp_path / "b.png")
    height = min(imread(path).shape[0], imread(other).shape[0])
    changed = np.abs(imread(path)[height // 8 :] - imread(other)[height // 8 :]).max(axis=-1) > 0.05
    assert changed.sum() >= 9  # at least 3x3 pixels


def test_what_is_no_figure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not dict"):
        draw({}, tmp_path / "a.png")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ the model


def test_blocks_of_r3d_18_are_those_of_the_paper() -> None:
    """Tran et al., A Closer Look at Spatiotemporal Convolutions, 2018, table 1; the count is torchvision's."""
    with torch.device("meta"):
        blocks = find_blocks(r3d_18(), (torch.empty(2, 3, 16, 112, 112),))
    shapes = {block.name: block.shape for block in blocks}
    assert shapes == {
        "stem": (64, 16, 56, 56),
        "layer1": (64, 16, 56, 56),
        "layer2": (128, 8, 28, 28),
        "layer3": (256, 4, 14, 14),
        "layer4": (512, 2, 7, 7),
        "avgpool": (512, 1, 1, 1),
        "fc": (400,),
    }
    assert [block.kind for block in blocks if block.name.startswith("layer")] == ["2 × BasicBlock"] * 4
    assert sum(block.parameters for block in blocks) == 33_371_472


def test_a_long_transformer_is_folded_into_its_stages() -> None:
    """MViTv2-S: 1, 2, 11 and 2 blocks with 96 to 768 channels; Li et al., 2022, table 2."""
    with torch.device("meta"):
        blocks = find_blocks(mvit_v2_s(), (torch.empty(1, 3, 16, 224, 224),))
    stages = [(block.kind, block.shape[-1]) for block in blocks if "MultiscaleBlock" in block.kind]
    assert stages == [
        ("MultiscaleBlock", 96),
        ("2 × MultiscaleBlock", 192),
        ("11 × MultiscaleBlock", 384),
        ("2 × MultiscaleBlock", 768),
    ]


def test_parts_that_lie_side_by_side_are_one_row() -> None:
    """Drawn one below the other, the second would seem to get what the first gave."""

    class Pathways(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slow, self.fast = nn.Conv3d(3, 32, 1), nn.Conv3d(3, 4, 1)

        def forward(self, clip: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.slow(clip), self.fast(clip)], 1)

    blocks = find_blocks(nn.Sequential(Pathways(), nn.Conv3d(36, 2, 1)), (torch.zeros(1, 3, 2, 8, 8),))
    assert [block.name for block in blocks] == ["0", "1"]


def test_drawing_a_model_leaves_it_as_it_was(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(2, 3, 4, 8, 8))
    network[1].eval()  # a frozen batch norm inside a model that trains
    before = {name: value.clone() for name, value in network.state_dict().items()}
    diagram(network, (torch.ones(1, 3, 4, 8, 8),), tmp_path / "model.png")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [part.training for part in network] == [True, False, True, True]
    assert not any(part._forward_hooks for part in network.modules())


def test_inputs_and_outputs_of_any_structure_are_drawn(tmp_path: Path) -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.clip, self.audio = nn.Conv3d(3, 4, 1), nn.Conv1d(1, 4, 3)

        def forward(self, clip: torch.Tensor, audio: torch.Tensor) -> dict[str, list[torch.Tensor]]:
            return {"features": [self.clip(clip), self.audio(audio)]}

    example = (torch.zeros(1, 3, 2, 8, 8), torch.zeros(1, 1, 100))
    assert imread(diagram(Pair(), example, tmp_path / "model.png")).ndim == 3
    assert [block.shape for block in find_blocks(Pair(), example)] == [(4, 2, 8, 8), (4, 98)]


def test_pathways_that_go_on_side_by_side_show_both_shapes(tmp_path: Path) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slow, self.fast = nn.Conv3d(3, 8, 1, stride=(4, 1, 1)), nn.Conv3d(3, 2, 1)

        def forward(self, clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.slow(clip), self.fast(clip)

    class Sum(nn.Module):
        def forward(self, pathways: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            return pathways[0].mean((1, 2, 3, 4)) + pathways[1].mean((1, 2, 3, 4))

    network, example = nn.Sequential(Both(), Sum()), (torch.zeros(1, 3, 8, 4, 4),)
    first = find_blocks(network, example)[0]
    assert (first.shape, first.beside) == ((8, 2, 4, 4), ((2, 8, 4, 4),))
    assert "2 × 8 × 4 × 4" in diagram(network, example, tmp_path / "model.svg").read_text()


# ------------------------------------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("val/accuracy", 0.98333, "0.9833"),
        ("val/accuracy", float("nan"), "–"),
        ("loss", float("inf"), "∞"),
        ("seconds", 0.0042, "4.2 ms"),
        ("seconds", 59.96, "60 s"),
        ("seconds", 119.7, "2 min 0 s"),
        ("val/seconds", 7322.0, "2 h 2 min"),
        ("bytes", 999, "999 B"),
        ("model_bytes", 133_700_000, "133.7 MB"),
        ("latency_ms", 4.2, "4.2 ms"),
        ("parameters", 33_371_472, "33.4 M"),
        ("quarantined", 12_000, "12,000"),
        ("deterministic", False, "no"),
        ("model", "basic/cnn3d", "basic/cnn3d"),
        ("seconds", None, "–"),
    ],
)
def test_a_value_is_written_in_the_unit_of_its_name(key: str, value: object, words: str) -> None:
    assert quantity(key, value) == words


def test_plain_text_is_one_line_without_control_characters() -> None:
    assert plain("a\x1b[31mred\x00\n\udce9") == "a�[31mred���"
    assert len(plain("x" * 500, limit=40)) == 40
    assert number(1) == "1"


def test_importing_the_report_imports_neither_matplotlib_nor_torch() -> None:
    program = "import sys, zoo.report; print(sorted({'matplotlib', 'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
