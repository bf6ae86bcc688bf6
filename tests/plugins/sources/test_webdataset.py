"""Tar shards are grouped, ordered and read as the webdataset library does it; bad ones are told by name."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import json
import re
import tarfile
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo_plugins.sources.shard_names import expand, grouped, split_name
from zoo_plugins.sources.tar_index import FilePart
from zoo_plugins.sources.tar_stream import TarStream
from zoo_plugins.sources.webdataset import webdataset
from zoo_registry.errors import DataError
from zoo_registry.protocols import SampleStream

Members = list[tuple[str, bytes]]

TWO_FILMS: Members = [
    ("000.mp4", b"first film"), ("000.cls", b"1\n"), ("000.json", b'{"score": 0.5, "names": ["run"]}'),
    ("001.cls", b"0"), ("001.mp4", b"the second film"), ("001.json", b'{"score": 2, "names": ["run", "jump"]}'),
]  # fmt: skip

ODD: Members = [
    ("__about__.json", b"{}"), ("a/b.c/000.Seg.PNG", b"mask"), ("a/b.c/000.mp4", b"zero"), ("README", b"no dot"),
    ("a/b.c/000.cls", b"3"), ("x.mp4", b"x"), (".hidden", b"no name"), ("x.cls", b"0"), ("a/b.c/000.mkv", b"again"),
    ("a/b.c/000.cls", b"1"), ("./y.mp4", b"y"), ("./y.cls", b"2"),
]  # fmt: skip
"""What the library's grouping has rules for: folders with dots, capitals, notes, names that come again later."""


def write_tar(path: Path, members: Members, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_tar(tmp_path / "two.tar", TWO_FILMS)


def open_source(tmp_path: Path, **params):
    return webdataset(split="train", cache=tmp_path / "cache", **params)


@pytest.mark.parametrize("stream", [False, True])
def test_samples_have_their_media_and_their_class(tmp_path: Path, shard: Path, stream: bool) -> None:
    source = open_source(tmp_path, path=shard, labels=["jump", "run"], stream=stream)
    samples = list(source.read(0)) if stream else list(source.samples)
    content = [sample.media if stream else sample.media.read() for sample in samples]
    assert content == [b"first film", b"the second film"]
    assert [sample.targets for sample in samples] == [{"label_b": "run"}, {"label_b": "jump"}]
    assert [sample.key for sample in samples] == ["two.tar: 000.mp4", "two.tar: 001.mp4"]
    assert source.labels == ["jump", "run"]
    assert isinstance(source, SampleStream) == stream


@pytest.mark.parametrize("stream", [False, True])
def test_targets_are_read_from_the_members_that_the_recipe_names(tmp_path: Path, shard: Path, stream: bool) -> None:
    targets = {"label_bk": "json.names", "value_b": "json.score", "caption": "json"}
    source = open_source(tmp_path, path=shard, targets=targets, labels=["jump", "run"], stream=stream)
    first, second = list(source.read(0)) if stream else list(source.samples)
    assert first.targets == {"label_bk": ["run"], "value_b": 0.5, "caption": {"score": 0.5, "names": ["run"]}}
    assert second.targets["label_bk"] == ["run", "jump"]


def test_numbers_become_classes_without_a_list_of_names(tmp_path: Path, shard: Path) -> None:
    source = open_source(tmp_path, path=shard)
    assert source.labels == ["0", "1"]
    assert [sample.targets for sample in source.samples] == [{"label_b": "1"}, {"label_b": "0"}]
    assert source.samples.class_codes().tolist() in ([0, 1], [1, 0])


def test_names_of_classes_may_stand_in_a_file(tmp_path: Path, shard: Path) -> None:
    (tmp_path / "names.txt").write_text("jump\nrun\n\n")
    assert open_source(tmp_path, path=shard, labels=tmp_path / "names.txt").labels == ["jump", "run"]


def theirs(path: Path) -> list[tuple[str, dict[str, bytes]]]:
    """Keys and members by the library itself."""
    library = pytest.importorskip("webdataset")
    samples = library.WebDataset(str(path), shardshuffle=False, empty_check=False)
    return [
        (sample["__key__"], {key: value for key, value in sample.items() if not key.startswith("__")})
        for sample in samples
    ]


@pytest.mark.parametrize("members", [TWO_FILMS, ODD])
def test_members_are_grouped_as_the_library_groups_them(tmp_path: Path, members: Members) -> None:
    shard = write_tar(tmp_path / "shard.tar", members)
    assert list(grouped(members)) == theirs(shard)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_samples_come_in_the_order_of_the_library(tmp_path: Path, mode: str) -> None:
    members = [member for member in ODD if "about" not in member[0]]
    shard = write_tar(tmp_path / ("shard.tar" if mode == "w" else "shard.tar.gz"), members, mode)
    source = open_source(tmp_path, path=shard, labels=list("0123"))
    samples = list(source.read(0)) if isinstance(source, TarStream) else list(source.samples)
    expected = [(group.get("mp4", group.get("mkv")), group["cls"].decode()) for _, group in theirs(shard)]
    got = [sample.media if isinstance(sample.media, bytes) else sample.media.read() for sample in samples]
    assert list(zip(got, (sample.targets["label_b"] for sample in samples), strict=True)) == expected
    assert isinstance(source, TarStream) == (mode == "w:gz")


def test_a_name_twice_in_a_group_is_an_error_here_and_there(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "twice.tar", [("a.mp4", b"1"), ("a.cls", b"0"), ("a.mp4", b"2")])
    with pytest.raises(ValueError, match="duplicate file name"):
        theirs(shard)
    with pytest.raises(DataError, match=r"twice\.tar: it holds two members called a\.mp4"):
        open_source(tmp_path, path=shard)


@pytest.mark.parametrize(
    "pattern",
    ["a-{000..003}.tar", "{a,b}/{8..11}.tar", "{08..11}.tar", "plain.tar", "{9..7}.tar", "a{x}b.tar", "{000..1}{a,}"],
)
def test_braces_mean_what_they_mean_elsewhere(pattern: str) -> None:
    assert expand(pattern) == list(pytest.importorskip("braceexpand").braceexpand(pattern))


def test_braces_do_not_explode() -> None:
    with pytest.raises(DataError, match="more than 1,000,000"):
        expand("{0..9999}/{0..9999}.tar")
    with pytest.raises(DataError, match="more than 1,000,000"):
        expand("{0..99999999999}.tar")


def test_several_shards_follow_each_other(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"s-{number:02}.tar", [(f"{number}.mp4", b"film %d" % number), (f"{number}.cls", b"a")])
    source = open_source(tmp_path, path=tmp_path / "s-{00..02}.tar")
    assert [sample.media.read() for sample in source.samples] == [b"film 0", b"film 1", b"film 2"]
    assert source.samples[-1].key == "s-02.tar: 2.mp4"


def test_an_index_is_made_once_and_anew_when_the_file_changes(tmp_path: Path, shard: Path, monkeypatch) -> None:
    before = list(open_source(tmp_path, path=shard).samples)
    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "open", None)  # whoever scans again fails
        assert list(open_source(tmp_path, path=shard).samples) == before
    write_tar(shard, [("9.mp4", b"another film altogether"), ("9.cls", b"0")])
    assert [sample.key for sample in open_source(tmp_path, path=shard).samples] == ["two.tar: 9.mp4"]


def test_a_damaged_index_is_made_again(tmp_path: Path, shard: Path) -> None:
    open_source(tmp_path, path=shard)
    (kept,) = (tmp_path / "cache" / "webdataset").iterdir()
    kept.write_bytes(kept.read_bytes()[:50])
    assert len(open_source(tmp_path, path=shard).samples) == 2


def test_a_digest_follows_the_samples_and_not_the_folder(tmp_path: Path, shard: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = write_tar(tmp_path / "elsewhere" / "two.tar", TWO_FILMS)
    other = write_tar(tmp_path / "elsewhere" / "other.tar", TWO_FILMS[:3])
    digest, same, different = (
        open_source(tmp_path, path=path).samples.digest() for path in (shard, moved, other)
    )  # fmt: skip
    assert digest == same != different


def test_a_shard_that_shrank_is_a_bad_file_not_another_film(tmp_path: Path, shard: Path) -> None:
    media = open_source(tmp_path, path=shard).samples[1].media
    shard.write_bytes(shard.read_bytes()[: media.offset + 3])
    with pytest.raises(OSError, match="shorter than when it was indexed"):
        media.read()
    assert FilePart(str(shard), 0, 3).read() == shard.read_bytes()[:3]


def test_everything_wrong_with_shards_is_told_at_once(tmp_path: Path, shard: Path) -> None:
    (tmp_path / "text.tar").write_text("no tar file " * 100)
    (tmp_path / "cut.tar").write_bytes(shard.read_bytes()[:700])
    write_tar(tmp_path / "odd.tar", [
        ("0.cls", b"0"), ("1.mp4", b""), ("2.mp4", b""), ("2.cls", b"7"), ("3.mp4", b""), ("3.cls", b"\xff"),
    ])  # fmt: skip
    write_tar(tmp_path / "none.tar", [])
    shards = [tmp_path / name for name in ("text.tar", "cut.tar", "odd.tar", "none.tar")]
    with pytest.raises(DataError) as caught:
        open_source(tmp_path, path=shards, labels=["jump", "run"])
    told = [f"{problem.where}: {problem.message}".removeprefix(f"{tmp_path}/") for problem in caught.value.problems]
    assert told[0].startswith("text.tar: it is no tar file, damaged or cut off")
    assert told[1].startswith("cut.tar: it is no tar file, damaged or cut off")
    assert told[2:6] == [
        "odd.tar: 0: it has no film or picture but cls",
        "odd.tar: 1: it has no .cls, which label_b is read from",
        "odd.tar: 2: its class is number 7 of 2; the first is 0",
        "odd.tar: 3: its .cls is no UTF-8 text",
    ]
    assert told[6].startswith("none.tar: it holds no films or pictures")
    assert all(problem.hint for problem in caught.value.problems)


def test_in_a_stream_a_bad_sample_harms_no_other(tmp_path: Path) -> None:
    members = [("0.mp4", b"0"), ("1.mp4", b"1"), ("1.cls", b"9"), ("2.mp4", b"2"), ("2.cls", b"1")]
    shard = write_tar(tmp_path / "s.tar", members)
    zero, one, two = open_source(tmp_path, path=shard, labels=["jump", "run"], stream=True).read(0)
    with pytest.raises(OSError, match=r"it has no \.cls"):
        zero.media.read()
    with pytest.raises(OSError, match="its class is number 9 of 2"):
        one.media.read()
    assert (two.media, two.targets) == (b"2", {"label_b": "run"})


def test_a_stream_that_is_cut_off_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    members = [("0.mp4", b"0"), ("0.cls", b"a"), ("1.mp4", b"1"), ("1.cls", b"a"), ("2.mp4", b"2" * 2000)]
    shard = write_tar(tmp_path / "s.tar", members)
    shard.write_bytes(shard.read_bytes()[: 4 * 1024 + 1000])  # each small member takes 1024 bytes
    samples = open_source(tmp_path, path=shard, labels=["a"], stream=True).read(0)
    assert next(samples).media == b"0"
    with pytest.raises(DataError, match="no tar file, damaged or cut off"):
        next(samples)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass

    def copyfile(self, source, outputfile) -> None:
        """The file `short.tar` breaks off after 1024 bytes, between two members."""
        outputfile.write(source.read(1024) if "short" in self.path else source.read())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()


def test_shards_of_a_server_are_streamed(tmp_path: Path, server: str, shard: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.tar").write_bytes(shard.read_bytes())
    source = open_source(tmp_path, urls=f"{server}/{{a,b}}.tar?token=secret", labels=["jump", "run"], samples=4)
    assert [sample.media for number in (0, 1) for sample in source.read(number)] == [
        b"first film", b"the second film", b"first film", b"the second film",
    ]  # fmt: skip
    assert (source.count, source.shards) == (4, [f"{server}/a.tar", f"{server}/b.tar"])
    assert next(source.read(0)).key == "a.tar: 000.mp4"


@pytest.mark.parametrize("name", ["short.tar", "missing.tar"])
def test_a_server_that_breaks_off_or_has_no_such_shard_is_noticed(tmp_path: Path, server: str, name: str) -> None:
    write_tar(tmp_path / "short.tar", [("0.mp4", b"0"), ("0.cls", b"a")])
    source = open_source(tmp_path, urls=f"{server}/{name}", labels=["a"], targets={})
    with pytest.raises(DataError, match="no tar file, damaged or cut off"):
        list(source.read(0))


def test_a_command_is_not_run_without_leave(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("ZOO_ALLOW_PIPES", raising=False)
    command = f"pipe:touch {tmp_path / 'ran'}"
    with pytest.raises(DataError, match="would run a command of this recipe in a shell") as caught:
        open_source(tmp_path, urls=command, labels=["a"])
    assert "ZOO_ALLOW_PIPES=1" in str(caught.value)
    monkeypatch.setenv("ZOO_ALLOW_PIPES", "1")
    source = open_source(tmp_path, urls=command, labels=["a"])
    monkeypatch.delenv("ZOO_ALLOW_PIPES")
    with pytest.raises(DataError, match="would run a command"):
        list(source.read(0))  # nor later, in another process
    assert not (tmp_path / "ran").exists()


def test_a_command_with_leave_is_read(tmp_path: Path, shard: Path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_ALLOW_PIPES", "1")
    source = open_source(tmp_path, urls=[f"pipe:cat {shard}", "pipe:cat /nowhere"], labels=["jump", "run"])
    assert [sample.media for sample in source.read(0)] == [b"first film", b"the second film"]
    with pytest.raises(DataError, match=r"cut off|its command ended with 1"):
        list(source.read(1))


def test_a_source_without_shards_or_with_other_addresses_is_refused(tmp_path: Path) -> None:
    for params, message in [
        ({}, "no shards are named for the train split"),
        ({"path": tmp_path / "no-{0..1}.tar"}, r"no-1\.tar: there is no such shard"),
        ({"urls": "file:///etc/passwd"}, "is no address of a shard"),
        ({"urls": "ftp://a/b.tar"}, "is no address of a shard"),
        ({"urls": "https://a/b.tar"}, "nobody knows their classes beforehand"),
    ]:
        with pytest.raises(DataError, match=message):
            open_source(tmp_path, **params)


def test_names_of_members_follow_the_librarys_pattern() -> None:
    assert split_name("./a.b/c.d.e") == ("./a.b/c", "d.e")
    assert split_name(".hidden") is None


def test_members_that_claim_to_be_huge_are_not_read(tmp_path: Path) -> None:
    """A header may claim any size; the stream is not followed there."""
    member = tarfile.TarInfo("0.cls")
    member.size = 17 * 1024**2
    (tmp_path / "huge.tar").write_bytes(member.tobuf() + b"\0" * 1024)
    source = open_source(tmp_path, path=tmp_path / "huge.tar", labels=["a"], stream=True)
    with pytest.raises(DataError, match=r"0\.cls has 17,825,792 bytes, more than 16,777,216"):
        list(source.read(0))


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.USTAR_FORMAT)


def sample(key: int) -> bytes:
    return header(f"{key}.mp4", 1) + padded(b"x") + header(f"{key}.cls", 1) + padded(b"a")


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % tarfile.BLOCKSIZE)


def pax(record: str) -> bytes:
    """A header of one record, which begins with its own length."""
    length = next(size for size in range(len(record), len(record) + 9) if len(f"{size} {record}\n") == size)
    content = f"{length} {record}\n".encode()
    return header("pax", len(content), tarfile.XHDTYPE) + padded(content)


END = bytes(2 * tarfile.BLOCKSIZE)
HOSTILE = {
    "names that never end": (header("long", 1, tarfile.GNUTYPE_LONGNAME) + padded(b"z")) * 2000 + sample(1) + END,
    "a size below zero": pax("size=-100000") + sample(1) + END,
    "a map of holes with a number of 5,000 digits": pax(f"GNU.sparse.map={'9' * 5000},1") + sample(1) + END,
    "a header with a flipped bit": sample(1).replace(b"1.cls", b"1.clr") + sample(2) + END,
    "the end missing": sample(1),
    "half a header": sample(1)[:200],
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("rest", HOSTILE.values(), ids=HOSTILE)
def test_headers_that_make_no_sense_end_a_shard_in_words(tmp_path: Path, rest: bytes, stream: bool) -> None:
    (tmp_path / "s.tar").write_bytes(sample(0) + rest)
    with pytest.raises(DataError, match="no tar file, damaged or cut off") as caught:
        list(open_source(tmp_path, path=tmp_path / "s.tar", labels=["a"], stream=stream).read(0))
    assert caught.value.problems[0].hint


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_long_headers_are_not_read_into_memory(tmp_path: Path, kind: bytes) -> None:
    size = 32 * 1024**2
    with gzip.open(tmp_path / "s.tar.gz", "wb", compresslevel=1) as file:
        file.write(sample(0) + header("h", size, kind))
        for _ in range(64):
            file.write(b"a" * (size // 64))
        file.write(sample(1) + END)
    source = open_source(tmp_path, path=tmp_path / "s.tar.gz", labels=["a"])
    tracemalloc.start()
    with pytest.raises(DataError, match="headers of more than 65,536 bytes"):
        list(source.read(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 1024**2


def test_long_names_are_read_where_they_are_names(tmp_path: Path) -> None:
    folder = "/".join(["a-folder-with-a-long-name"] * 20)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "s.tar", "w", format=form) as tar:
            for name, content in [("0.mp4", b"film"), ("0.cls", b"a")]:
                member = tarfile.TarInfo(f"{folder}/{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        (read,) = open_source(tmp_path, path=tmp_path / "s.tar", labels=["a"], stream=True).read(0)
        assert read.key == f"s.tar: {folder}/0.mp4"


@pytest.mark.parametrize("stream", [False, True])
def test_members_with_holes_are_refused(tmp_path: Path, stream: bool) -> None:
    holes = header("1.mp4", 0, tarfile.GNUTYPE_SPARSE)
    (tmp_path / "s.tar").write_bytes(sample(0) + holes + sample(2) + END)
    with pytest.raises(DataError, match=r"its member 1\.mp4 is stored with holes") as caught:
        list(open_source(tmp_path, path=tmp_path / "s.tar", labels=["a"], stream=stream).read(0))
    assert caught.value.problems[0].hint == "write it without --sparse"


@pytest.mark.parametrize(
    ("targets", "member", "content", "reason"),
    [
        ({"value_b": "json.v"}, "json", b"[" * 100_000, "its .json is no JSON"),
        ({"value_b": "json.v"}, "json", b'{"v": 1' + b"0" * 400 + b"}", "its value_b should be a number, not 1000"),
        ({"value_b": "json.v"}, "json", b'{"v": NaN}', "its value_b should be a number, not nan"),
        ({"value_bk": "json.v"}, "json", b'{"v": [1, Infinity]}', "its value_bk should be a number"),
        ({"label_b": "json.v"}, "json", b'{"v": 1' + b"0" * 5000 + b"}", "its .json is no JSON"),
    ],
)
def test_what_cannot_be_understood_makes_a_bad_sample_and_no_crash(
    tmp_path: Path, targets: dict[str, str], member: str, content: bytes, reason: str
) -> None:
    good = [("1.mp4", b"1"), (f"1.{member}", b'{"v": 0}')]
    shard = write_tar(tmp_path / "s.tar", [("0.mp4", b"0"), (f"0.{member}", content), *good])
    with pytest.raises(DataError, match=re.escape(f"s.tar: 0: {reason}")):
        open_source(tmp_path, path=shard, targets=targets)
    bad, fine = open_source(tmp_path, path=shard, targets=targets, stream=True, labels=["0"]).read(0)
    with pytest.raises(OSError, match=re.escape(reason)):
        bad.media.read()
    assert fine.media == b"1"


def test_a_class_of_5000_digits_is_a_name(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "s.tar", [("0.mp4", b"0"), ("0.cls", b"9" * 5000), ("1.mp4", b"1"), ("1.cls", b"3")])
    assert open_source(tmp_path, path=shard).labels == ["3", "9" * 5000]
    first, _ = open_source(tmp_path, path=shard, stream=True, labels=list("0123")).read(0)
    assert first.targets == {"label_b": "9" * 5000}  # which is no class: the loader says so


@pytest.mark.parametrize("key", ["clip_bcthw", "mask_bthw"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_shard_names_no_files_of_this_machine(tmp_path: Path, key: str, stream: bool) -> None:
    shard = write_tar(tmp_path / "s.tar", [("0.mp4", b"0"), ("0.txt", b"/home/me/private.mp4")])
    with pytest.raises(DataError, match=f"the target {key} is a film, which is not read from shards"):
        open_source(tmp_path, path=shard, targets={key: "txt"}, stream=stream)


def test_json_targets_keep_their_form(tmp_path: Path) -> None:
    boxes = [[0.1, 0.2, 0.5, 0.6]]
    shard = write_tar(tmp_path / "s.tar", [("0.mp4", b"0"), ("0.json", json.dumps({"boxes": boxes}).encode())])
    (sample,) = open_source(tmp_path, path=shard, targets={"boxes_n4": "json.boxes"}).samples
    assert sample.targets == {"boxes_n4": boxes}
