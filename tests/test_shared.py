"""What tests share: the same as made directly, made once for equal arguments, whichever process asks."""

import multiprocessing

import pytest
import torch

from tutorial_lib.exact import GaussianOptimum, SoftValues, TiltedDensity

from .oracles import RING_EXTENT, RING_REWARD, ring, seeded, wave
from .shared import shared

OPTIONS = dict(alpha=0.5, extent=7.0, grid=81)


class Made:
    """Tells a file that it was made."""

    def __init__(self, pretrained, reward, *, log, alpha=0.5):
        self.pretrained, self.reward, self.alpha = pretrained, reward, alpha
        with log.open("a") as told:
            told.write("made\n")
        if alpha < 0:
            raise ValueError("no such α")


def ask(log):
    shared(Made, ring(5), RING_REWARD, log=log)


@pytest.mark.parametrize("make", [SoftValues, GaussianOptimum])
def test_an_optimum_is_the_one_made_directly(make):
    pretrained, x = ring(5), torch.randn(50, 2, generator=seeded(0))
    direct = make(pretrained, wave, **OPTIONS)
    for again in (shared(make, pretrained, wave, **OPTIONS) for _ in range(2)):
        assert again.optimum == direct.optimum and again.pretrained is pretrained
        values, same = (found if make is SoftValues else found.soft for found in (direct, again))
        assert same.reward is wave and torch.equal(same(x, 3), values(x, 3)) and torch.equal(same(x, 0), wave(x))
        if make is GaussianOptimum:
            assert torch.equal(again.shift(x, 3), direct.shift(x, 3))


def test_a_density_is_the_one_made_directly():
    direct = TiltedDensity(ring(5), wave, extent=RING_EXTENT, grid=41)
    again = shared(TiltedDensity, ring(5), wave, extent=RING_EXTENT, grid=41)
    assert torch.equal(direct.at(0.5).mass, again.at(0.5).mass)


def test_equal_arguments_are_made_once_and_others_again(tmp_path):
    log = tmp_path / "log"
    first = shared(Made, ring(5), RING_REWARD, log=log)
    for same in (dict(), dict(alpha=0.5)):
        assert shared(Made, ring(5), lambda x: RING_REWARD(x), log=log, **same) is not first
    assert log.read_text().count("made") == 1
    for count, (T, reward, alpha) in enumerate([(6, RING_REWARD, 0.5), (5, wave, 0.5), (5, RING_REWARD, 0.6)], 2):
        assert shared(Made, ring(T), reward, alpha=alpha, log=log).alpha == alpha
        assert log.read_text().count("made") == count


def test_an_error_is_not_kept(tmp_path):
    for count in (1, 2):
        with pytest.raises(ValueError, match="no such α"):
            shared(Made, ring(5), RING_REWARD, log=tmp_path / "log", alpha=-1.0)
        assert (tmp_path / "log").read_text().count("made") == count


def test_two_processes_at_once_make_one(tmp_path):
    fresh = multiprocessing.get_context("spawn")
    processes = [fresh.Process(target=ask, args=(tmp_path / "log",)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "log").read_text().count("made") == 1
