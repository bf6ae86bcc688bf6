"""What holds for every source of samples."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pytest

from zoo.data import Decoder, read_clip
from zoo.data.split import open_split
from zoo.data.stream_split import open_stream
from zoo.testing.component import ComponentConformance
from zoo_registry.entries import ClipSpec
from zoo_registry.protocols import Sample, SampleStream


class SourceConformance(ComponentConformance):
    """Checks for a source of samples. Subclass it as `Test...`.

    Attributes:
        splits: the parts of the data that it has.
        base: folder that relative paths in `params` start from; by default an empty one.
        looked_at: how many samples of a split are checked one by one.

    Example:
        >>> class TestStripes(SourceConformance):
        ...     name = "acme/stripes"
        ...     params = {"films": 4}
    """

    kind = "source"
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    base: ClassVar[Path | None] = None
    looked_at: ClassVar[int] = 100

    @pytest.fixture(autouse=True)
    def _in_a_folder(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """The cache of the source, one for all checks of the class."""
        cls = type(self)
        if "_cache" not in vars(cls):
            cls._cache = tmp_path_factory.mktemp("cache")

    _cache: ClassVar[Path]

    def source(self, split: str) -> Any:
        """What the builder returns for a split."""
        self._say_params_are_missing()
        return self.build(
            split=split, cache=self._cache, base=self.base or self._cache, seed=0, clip=ClipSpec(frames=2, size=32),
            audio=None, inputs=("clip_bcthw",),
        )  # fmt: skip

    def samples(self, split: str) -> Sequence[Sample]:
        """The first samples of a split."""
        source = self.source(split)
        if isinstance(source, SampleStream):
            return list(islice((sample for shard in range(len(source.shards)) for sample in source.read(shard)),
                               self.looked_at))  # fmt: skip
        return [source.samples[number] for number in range(min(len(source.samples), self.looked_at))]

    def test_every_split_has_samples(self) -> None:
        for split in self.splits:
            found = self.samples(split)
            assert found, f"{self.name} has no sample for {split!r}"
            strangers = {type(sample).__name__ for sample in found if not isinstance(sample, Sample)}
            assert not strangers, f"{self.name} gives {', '.join(sorted(strangers))}; samples are `Sample` records"

    def test_a_run_can_open_it(self) -> None:
        for split in self.splits:
            source = self.source(split)
            opened = open_stream if isinstance(source, SampleStream) else open_split
            opened(source, split, None)  # raises DataError: all that is wrong with labels and targets

    def test_its_samples_have_the_same_targets(self) -> None:
        kinds = {tuple(sorted(sample.targets)) for split in self.splits for sample in self.samples(split)}
        assert len(kinds) == 1, f"samples of {self.name} have different targets: {sorted(kinds)}"

    def test_its_first_film_can_be_decoded(self) -> None:
        for split in self.splits:
            sample = self.samples(split)[0]
            media = sample.media.read() if hasattr(sample.media, "read") else sample.media
            spec = ClipSpec(frames=2, size=32)
            clip_cthw = read_clip(media, spec, start=sample.start, end=sample.end, decoder=Decoder())
            assert tuple(clip_cthw.shape) == (3, 2, 32, 32), f"{sample.name} is read as {tuple(clip_cthw.shape)}"

    def test_gives_the_same_samples_each_time(self) -> None:
        for split in self.splits:
            once, again = ([(each.name, dict(each.targets)) for each in self.samples(split)] for _ in range(2))
            assert once == again, f"{self.name} gives other samples or another order the second time: draw from a seed"

    def test_a_sample_is_in_one_split_only(self) -> None:
        seen: dict[str, str] = {}
        for split in self.splits:
            for sample in self.samples(split):
                name = sample.media if isinstance(sample.media, str) else sample.name
                place = f"{name} {sample.start} {sample.end}"
                assert seen.get(place, split) == split, (
                    f"{name} is in {seen[place]} and in {split}: what is measured leaks"
                )
                seen[place] = split
