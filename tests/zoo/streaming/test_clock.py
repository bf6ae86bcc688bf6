"""The time of a stream, whatever the clock of its source does."""

import pytest

from zoo.streaming.clock import FROZEN, Clock


def test_time_starts_with_the_first_frame() -> None:
    assert Clock().read(12345.0, now=77.0) == (0.0, True)


def test_time_goes_on_as_the_source_says() -> None:
    clock = Clock()
    times = [clock.read(100 + 0.04 * number, now=0.05 * number)[0] for number in range(5)]
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])


@pytest.mark.parametrize("jump", [-50.0, 3600.0, FROZEN + 1])
def test_a_clock_that_jumps_is_set_anew(jump: float) -> None:
    clock = Clock()
    clock.read(100.0, now=0.0)
    clock.read(101.0, now=1.0)
    assert clock.read(101.0 + jump, now=2.0) == (2.0, False)
    assert clock.read(101.5 + jump, now=2.5) == (pytest.approx(2.5), True)


def test_frames_that_change_places_break_nothing() -> None:
    clock = Clock()
    read = [clock.read(own, now=own) for own in (0.0, 0.08, 0.04, 0.12)]
    assert all(continuous for _, continuous in read)
    times = [time for time, _ in read]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(0.12)


def test_a_source_that_comes_back_goes_on_from_now() -> None:
    clock = Clock()
    clock.read(500.0, now=10.0)
    clock.read(501.0, now=11.0)
    clock.lose()
    assert clock.read(3.0, now=20.0) == (10.0, False)


def test_frames_without_a_time_are_displayed_when_they_come() -> None:
    clock = Clock()
    assert [clock.read(None, now=now)[0] for now in (5.0, 5.1, 5.3)] == pytest.approx([0.0, 0.1, 0.3])
