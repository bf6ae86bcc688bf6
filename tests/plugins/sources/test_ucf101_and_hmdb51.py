"""`ucf101` and `hmdb51` read the official lists of their folds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.plugins.sources.listing import lines_of, touch, write
from zoo.data import probe
from zoo_plugins.sources.hmdb51 import hmdb51
from zoo_plugins.sources.ucf101 import ucf101
from zoo_registry.errors import DataError

# The files end their lines as Windows does; films of one class bear its name in another spelling than its folder.
CLASSES = "1 ApplyEyeMakeup\r\n2 ApplyLipstick\r\n3 HandstandPushups\r\n"
TRAIN = (
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\n"
    "ApplyLipstick/v_ApplyLipstick_g08_c01.avi 2\r\n"
    "HandstandPushups/v_HandStandPushups_g08_c01.avi 3\r\n"
)
TEST = "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\nHandstandPushups/v_HandStandPushups_g01_c01.avi\r\n"


def ucf(folder: Path, **changed: str) -> dict[str, Path]:
    texts = {"classInd": CLASSES, "trainlist01": TRAIN, "testlist01": TEST, "trainlist02": TRAIN, **changed}
    for name, text in texts.items():
        write(folder / "ucfTrainTestlist" / f"{name}.txt", text)
    for line in (TRAIN + TEST).split():
        if line.endswith(".avi"):
            touch(folder / "UCF-101" / line)
    return {"annotations": folder / "ucfTrainTestlist", "films": folder / "UCF-101"}


def test_ucf101_numbers_its_classes_as_class_ind_does(tmp_path: Path) -> None:
    source = ucf101(**ucf(tmp_path), split="train")
    assert source.labels == ["ApplyEyeMakeup", "ApplyLipstick", "HandstandPushups"]
    assert [(sample.key, source.labels.index(sample.targets["label_b"])) for sample in source.samples] == [
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", 0),
        ("ApplyLipstick/v_ApplyLipstick_g08_c01.avi", 1),
        ("HandstandPushups/v_HandStandPushups_g08_c01.avi", 2),
    ]
    assert source.notes == ()


def test_test_lists_without_numbers_serve_as_validation_and_say_so(tmp_path: Path) -> None:
    test, val = (ucf101(**ucf(tmp_path), split=split) for split in ("test", "val"))
    assert [sample.targets["label_b"] for sample in test.samples] == ["ApplyEyeMakeup", "HandstandPushups"]
    assert list(val.samples) == list(test.samples)
    assert val.notes == ("UCF-101 has no validation list: val is the test list of fold 1",)


def test_a_fold_has_its_own_list(tmp_path: Path) -> None:
    where = ucf(tmp_path, trainlist02=TRAIN.splitlines()[1] + "\r\n")
    assert len(ucf101(**where, split="train", fold=2).samples) == 1
    with pytest.raises(DataError, match=r"trainlist03\.txt: cannot read this annotation file"):
        ucf101(**where, split="train", fold=3)


def test_everything_wrong_with_ucf101s_lists_is_told_with_its_line(tmp_path: Path) -> None:
    bad = "ApplyEyeMakeup/a.avi 2\nArchery/b.avi 3\nc.avi\nApplyLipstick/d.avi 2\n"
    with pytest.raises(DataError) as caught:
        ucf101(**ucf(tmp_path, trainlist01=bad), split="train")
    assert lines_of(caught) == [
        (1, "class 'ApplyEyeMakeup' has number 1 in classInd.txt, 2 here"),
        (2, "class 'Archery' is not in classInd.txt"),
        (3, "the line should be CLASS/FILM.avi, not 'c.avi'"),
    ]
    with pytest.raises(DataError) as caught:
        ucf101(**ucf(tmp_path, classInd="1 Archery\n3 Bowling\nRowing\n"), split="train")
    assert [line for line, _ in lines_of(caught)] == [2, 3]


def test_real_ucf101_films_are_found(shared: Path, tmp_path: Path) -> None:
    films = tmp_path / "UCF-101" / "SoccerJuggling"
    films.mkdir(parents=True)
    for name in ("v_SoccerJuggling_g23_c01.avi", "v_SoccerJuggling_g24_c01.avi"):
        os.symlink(shared / "clips" / name, films / name)
    write(tmp_path / "classInd.txt", "1 SoccerJuggling\n")
    write(tmp_path / "trainlist01.txt", "SoccerJuggling/v_SoccerJuggling_g23_c01.avi 1\n")
    source = ucf101(annotations=tmp_path, films=tmp_path / "UCF-101", split="train")
    assert (probe(source.samples[0].media).width, probe(source.samples[0].media).height) == (320, 240)


# Every line ends in a blank; names hold all kinds of signs.
BRUSH = "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1 \nbrush_#1_u_cm_np1_ba_goo_1.avi 2 \nunused_brush_hair_0.avi 0 \n"
WHEEL = "(Rad)Schlag_die_Bank!_cartwheel_f_cm_np1_le_med_0.avi 1 \nAcrobacias_de_un_fenomeno_cartwheel_0.avi 1 \n"


def hmdb(folder: Path, **changed: str) -> dict[str, Path]:
    lists, films = folder / "testTrainMulti_7030_splits", folder / "hmdb51"
    for name, text in {"cartwheel_test_split1": WHEEL, "brush_hair_test_split1": BRUSH, **changed}.items():
        write(lists / f"{name}.txt", text)
    for name, text in {"cartwheel": WHEEL, "brush_hair": BRUSH}.items():
        touch(*(films / name / line.rsplit(" ", 2)[0] for line in text.splitlines()))
    return {"annotations": lists, "films": films}


def test_hmdb51_takes_the_films_marked_for_the_split(tmp_path: Path) -> None:
    where = hmdb(tmp_path)
    train, test = (hmdb51(**where, split=split) for split in ("train", "test"))
    assert train.labels == test.labels == ["brush_hair", "cartwheel"]
    assert [(sample.key, sample.targets["label_b"]) for sample in train.samples] == [
        ("brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "brush_hair"),
        ("cartwheel/(Rad)Schlag_die_Bank!_cartwheel_f_cm_np1_le_med_0.avi", "cartwheel"),
        ("cartwheel/Acrobacias_de_un_fenomeno_cartwheel_0.avi", "cartwheel"),
    ]
    assert [sample.key for sample in test.samples] == ["brush_hair/brush_#1_u_cm_np1_ba_goo_1.avi"]
    assert hmdb51(**where, split="val").notes == ("HMDB-51 has no validation list: val is the test list of fold 1",)


def test_bad_marks_are_told_with_their_lines(tmp_path: Path) -> None:
    where = hmdb(tmp_path, cartwheel_test_split1="a.avi 3\nb.avi 1\nc.avi\n")
    with pytest.raises(DataError) as caught:
        hmdb51(**where, split="train")
    assert lines_of(caught) == [
        (1, "the line should be FILM.avi and 0, 1 or 2, not 'a.avi 3'"),
        (3, "the line should be FILM.avi and 0, 1 or 2, not 'c.avi'"),
    ]
    with pytest.raises(DataError, match=r"no file here ends in _test_split2\.txt"):
        hmdb51(**where, split="train", fold=2)


def test_missing_films_are_named_as_they_would_lie(tmp_path: Path) -> None:
    where = hmdb(tmp_path)
    (tmp_path / "hmdb51" / "cartwheel" / "Acrobacias_de_un_fenomeno_cartwheel_0.avi").unlink()
    with pytest.raises(DataError, match=r"such as cartwheel/Acrobacias_de_un_fenomeno_cartwheel_0\.avi"):
        hmdb51(**where, split="train")
