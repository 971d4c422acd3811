"""IDX files written here byte by byte, read back, and refused when they are not whole; the world made of one."""

import gzip
import struct

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import reward_backprop, run
from tutorial_lib.denoisers import pretrain
from tutorial_lib.policies import rollout, tunable
from tutorial_lib.rewards import query
from tutorial_lib.worlds import idx

from ..oracles import seeded


def encoded(array):
    """The bytes of an IDX file of unsigned bytes."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + bytes(array.flatten().tolist())


@pytest.fixture
def squares(tmp_path):
    """Twelve 28 × 28 images of a square, larger with the label: (images file, labels file, labels)."""
    labels = torch.arange(12) % 3
    images = torch.zeros(12, 28, 28, dtype=torch.uint8)
    for i, label in enumerate(labels.tolist()):
        images[i, 4 + i : 10 + i + label, 6 : 12 + 2 * label] = 255
    (tmp_path / "images").write_bytes(encoded(images))
    (tmp_path / "labels.gz").write_bytes(gzip.compress(encoded(labels.to(torch.uint8))))
    return tmp_path / "images", tmp_path / "labels.gz", labels


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_what_was_written_is_read(tmp_path, shape, compress):
    array = torch.randint(256, shape, generator=seeded(0), dtype=torch.uint8)
    (tmp_path / "file").write_bytes(compress(encoded(array)))
    found = idx.read(str(tmp_path / "file"))
    assert found.dtype == torch.uint8 and torch.equal(found, array)


def test_images_reach_from_black_to_white(squares):
    found, labels = idx.labelled(*squares[:2])
    assert found.shape == (12, 1, 28, 28) and labels.dtype == torch.int64 and torch.equal(labels, squares[2])
    assert found[0, 0, 4, 6] == 1 and found[0, 0, 0, 0] == -1 and found.unique().tolist() == [-1, 1]


GOOD = encoded(torch.zeros(2, 4, 4, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no IDX file: expected it to begin 00 00 08 and a rank, got "),
        (b"\x89PNG" + GOOD, "is no IDX file: .* got 89 50 4e 47"),
        (b"\0\0\x0d\3" + GOOD[4:], "must hold unsigned bytes .type 0x08., got type 0x0d"),
        (GOOD[:9], "cut off inside its header: expected 16 bytes, got 9"),
        (GOOD[:-1], r"must hold \[2, 4, 4\] = 32 bytes of data, got 31"),
        (GOOD + b"\0", r"must hold \[2, 4, 4\] = 32 bytes of data, got 33"),
        (gzip.compress(GOOD, mtime=0)[:-9], "begins as a gzip file and cannot be decompressed"),
        (encoded(torch.zeros(2, 4, dtype=torch.uint8)), r"expected images \[N, H, W\] in .*, got shape \[2, 4\]"),
        (encoded(torch.zeros(0, 4, 4, dtype=torch.uint8)), r"must hold data, got an array of shape \[0, 4, 4\]"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 0, 2**32 - 1, 2**32 - 1), r"must hold data, got .*\[0, 4294967295, 42949672"),
    ],
)
def test_a_file_that_is_not_whole_is_told_so(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        idx.images(tmp_path / "file")


def test_a_missing_file_and_labels_of_another_length_are_named(tmp_path, squares):
    with pytest.raises(FileNotFoundError, match=r"expected an IDX file at .*nothing, found no file"):
        idx.images(tmp_path / "nothing")
    (tmp_path / "short").write_bytes(encoded(torch.zeros(11, dtype=torch.uint8)))
    with pytest.raises(ValueError, match=r"expected 12 labels for .*images, got shape \[11\] in .*short"):
        idx.labelled(squares[0], tmp_path / "short")


def test_from_a_file_to_a_tuned_policy(squares):
    """Pretraining, a rollout and an iteration of fine-tuning at 28 × 28, a few steps of each."""
    world = worlds.images(squares[0], T=4)
    found, labels = idx.labelled(*squares[:2])
    data = world.data(30, generator=seeded(0))
    assert data.shape == (30, 1, 28, 28) and all((x == found).flatten(1).all(1).any() for x in data)
    denoiser = world.pretrained.denoiser
    before = [p.clone() for p in denoiser.parameters()]
    training = pretrain(denoiser, found, labels=labels, steps=3, batch=4, learning_rate=1e-3, generator=seeded(0))
    assert [step.iteration for step in training] == [1, 2, 3]
    assert not any(torch.equal(a, b) for a, b in zip(before[:4], denoiser.parameters(), strict=False))
    world.pretrained.requires_grad_(False)
    path = rollout(world.pretrained, 3, generator=seeded(0))
    assert path.x.shape == (5, 3, 1, 28, 28) and torch.isfinite(path.x).all()
    for name, reward in world.rewards.items():
        spread = reward(found).std().item()
        assert query(reward, path.x_0).shape == (3,) and world.alphas[name] == pytest.approx(0.6 * spread)
    policy = tunable(world.pretrained, generator=seeded(0))
    steps = reward_backprop.fine_tune(policy, world.reward, alpha=world.alpha, generator=seeded(1), iterations=1, n=2)
    assert len(run(steps)) == 1 and policy.shift(path.x[2], 2).any()


def test_no_flipped_byte_of_a_gzip_file_goes_unnoticed_or_unnamed(tmp_path):
    whole = gzip.compress(encoded(torch.randint(256, (6, 4, 4), generator=seeded(0), dtype=torch.uint8)), mtime=0)
    for place in range(10, len(whole)):  # behind the header, whose time and system mean nothing
        (tmp_path / "file").write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="cannot be decompressed"):
            idx.read(tmp_path / "file")


def test_the_first_weights_are_the_generators_and_the_labels_as_many_as_asked(squares):
    state = torch.get_rng_state()
    a, b, c, d = (worlds.images(squares[0], T=4, generator=g).pretrained for g in (None, None, seeded(1), seeded(1)))
    assert torch.equal(state, torch.get_rng_state())
    x = [rollout(policy, 2, generator=seeded(0)).x_0 for policy in (a, b, c, d)]
    assert torch.equal(x[0], x[1]) and torch.equal(x[2], x[3]) and not torch.equal(x[0], x[2])
    assert worlds.images(squares[0], T=4, classes=27).pretrained.denoiser.classes == 27


def test_one_image_is_too_few(tmp_path):
    (tmp_path / "one").write_bytes(encoded(torch.zeros(1, 4, 4, dtype=torch.uint8)))
    with pytest.raises(ValueError, match=r"expected at least 2 images in .*one, got 1"):
        worlds.images(tmp_path / "one")


def test_images_that_are_all_alike_have_no_reward_to_offer(tmp_path):
    (tmp_path / "blank").write_bytes(GOOD)
    with pytest.raises(ValueError, match=r"expected images that differ in ink, symmetry and size, got .*blank"):
        worlds.images(tmp_path / "blank")
