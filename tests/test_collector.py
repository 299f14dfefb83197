"""The collector of cycles rests while asked to, and no longer."""

import gc
import threading

import pytest

from smcdsl.collector import collector_eased, collector_paused


@pytest.fixture(autouse=True)
def as_it_was():
    was, thresholds = gc.isenabled(), gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    (gc.enable if was else gc.disable)()


def test_it_rests_inside_only():
    gc.enable()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_ends_the_pause():
    gc.enable()
    with pytest.raises(KeyError), collector_paused():
        raise KeyError
    assert gc.isenabled()


def test_who_switched_it_off_keeps_it_off():
    gc.disable()
    with collector_paused():
        pass
    assert not gc.isenabled()


def test_full_collections_are_fewer_inside_and_younger_ones_as_they_were():
    gc.set_threshold(700, 10, 10)
    with collector_eased():
        assert gc.get_threshold() == (700, 10, 100)
        with collector_eased():
            assert gc.get_threshold() == (700, 10, 100)
        assert gc.get_threshold() == (700, 10, 100)
    assert gc.get_threshold() == (700, 10, 10)


def test_the_last_of_several_threads_ends_it():
    gc.set_threshold(700, 10, 10)
    inside, leave = threading.Event(), threading.Event()

    def other():
        with collector_eased():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    with collector_eased():
        thread.start()
        assert inside.wait(60)
    assert gc.get_threshold() == (700, 10, 100)
    leave.set()
    thread.join(60)
    assert gc.get_threshold() == (700, 10, 10)


def test_what_somebody_sets_inside_stays():
    with collector_eased():
        gc.set_threshold(500, 5, 5)
    assert gc.get_threshold() == (500, 5, 5)
