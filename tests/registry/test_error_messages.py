"""An error says what is wrong, where, and what to do; it holds all problems and survives a process border."""

import inspect
import pickle

import pytest

from zoo_registry import errors
from zoo_registry.errors import Interrupted, Location, Problem, RecipeError, ZooError

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, ZooError)]


def test_a_problem_reads_place_message_hint():
    problem = Problem("unknown key 'epoch'", Location("r.yaml", 3, 5), "did you mean 'epochs'?")
    assert str(problem) == "r.yaml:3:5: unknown key 'epoch'\n  did you mean 'epochs'?"


def test_place_and_hint_may_be_absent():
    assert str(Problem("no models")) == "no models"
    assert str(Problem("no models", hint="install a plugin")) == "no models\n  install a plugin"


def test_a_place_without_lines_is_its_name():
    assert str(Location("--set")) == "--set"


def test_an_error_holds_every_problem():
    error = RecipeError([Problem("one", Location("r.yaml", 1, 1)), Problem("two", Location("r.yaml", 2, 1))])
    assert str(error) == "r.yaml:1:1: one\nr.yaml:2:1: two"
    assert len(error.problems) == 2


def test_an_error_is_made_from_a_message_alone():
    assert ZooError("broken", hint="mend it").problems == (Problem("broken", None, "mend it"),)


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_survives_a_process_border(error):
    made = error("broken", where=Location("r.yaml", 1, 2), hint="mend it")
    copy = pickle.loads(pickle.dumps(made))
    assert type(copy) is error
    assert copy.problems == made.problems
    assert str(copy) == "r.yaml:1:2: broken\n  mend it"


@pytest.mark.parametrize("error", CLASSES)
def test_a_users_error_exits_with_2_and_an_interruption_as_shells_expect(error):
    assert error.exit_code == (130 if error is Interrupted else 2)


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_is_drawn_in_the_tree_of_the_module(error):
    assert f" {error.__name__} " in f" {errors.__doc__} ".replace("\n", " ")
