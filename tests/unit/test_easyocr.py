"""EasyOCR as an engine: its real detector and recogniser, with small weights that this file trains (a minute)."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from moderation.errors import ConfigError, InputError
from moderation.ocr.easy import EasyOcr, EasyOcrConfig
from moderation.ocr.engines import PpOcr, build
from moderation.ocr.read import Line

WORDS = ("KILL", "SALE", "LOVE")
LETTERS = "".join(sorted(set("".join(WORDS))))
NAME = "small"
"""Of the custom recogniser."""


def test_engines_are_chosen_by_the_configuration() -> None:
    """Promise: PP-OCR unless another is asked for; a wrong name says which there are."""
    assert isinstance(build({}, lambda: ["", "a"]), PpOcr)
    with pytest.raises(ConfigError, match="parameter engine is `tesseract`; allowed: pp-ocr, easyocr"):
        build({"engine": "tesseract"}, list)


def test_all_faults_of_the_settings_are_said_at_once() -> None:
    """Promise: each parameter that is wrong, its value and what is expected."""
    with pytest.raises(ConfigError) as error:
        build({"engine": "easyocr", "device": "tpu", "batch": "0", "text_score": "high", "languages": " "}, list)
    for part in ("weights is ``", "device is `tpu`", "batch is `0`; 1 to 256", "text_score is `high`", "languages is"):
        assert part in str(error.value)


def picture(random: Any, words: tuple[str, ...], width: int = 192, height: int = 64) -> tuple[Any, list[Any]]:
    """White capitals on a dark ground, one word below the other, and the boxes of the words."""
    image = np.full((height, width, 3), random.integers(0, 60), np.uint8)
    boxes = []
    for row, word in enumerate(words):
        (w, h), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 3)
        x, y = int(random.integers(8, width - w - 8)), row * height // len(words) + h + 12
        cv2.putText(image, word, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 3, cv2.LINE_AA)
        boxes.append((x, y - h, x + w, y))
    return image, boxes


def train_detector(path: Path, torch: Any) -> None:
    """A few steps of EasyOCR's CRAFT towards maps that are high where words are."""
    from easyocr.craft import CRAFT
    from easyocr.imgproc import normalizeMeanVariance

    torch.manual_seed(0)
    random = np.random.default_rng(0)
    net = CRAFT(pretrained=False, freeze=False).train()
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(40):
        pixels, maps = [], []
        for _ in range(1):
            image, boxes = picture(random, (str(random.choice(WORDS)),))
            target = np.zeros((32, 96, 2), np.float32)
            for x1, y1, x2, y2 in boxes:
                target[y1 // 2 : y2 // 2, x1 // 2 : x2 // 2] = 1
            pixels.append(normalizeMeanVariance(image).transpose(2, 0, 1))
            maps.append(target)
        found, _ = net(torch.from_numpy(np.array(pixels)))
        loss = ((found - torch.from_numpy(np.array(maps))) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.save(net.state_dict(), path)


def train_recogniser(folder: Path, torch: Any) -> None:
    """EasyOCR's second-generation recogniser, small, on three words; installed as a custom network."""
    from easyocr.model.vgg_model import Model
    from easyocr.recognition import AlignCollate
    from PIL import Image

    torch.manual_seed(0)
    random = np.random.default_rng(0)
    sizes = {"input_channel": 1, "output_channel": 32, "hidden_size": 32}
    net = Model(**sizes, num_class=len(LETTERS) + 1).train()
    optimiser = torch.optim.Adam(net.parameters(), 5e-3)
    collate = AlignCollate(imgH=32, imgW=96, keep_ratio_with_pad=True)
    for _ in range(350):
        words = [str(random.choice(WORDS)) for _ in range(6)]
        strips = []
        for word in words:
            image, ((x1, y1, x2, y2),) = picture(random, (word,))
            low, left = max(0, y1 - int(random.integers(3, 10))), max(0, x1 - int(random.integers(3, 10)))
            strip = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[low : y2 + 6, left : x2 + 6]
            strips.append(Image.fromarray(strip))
        scores = net(collate(strips), None).log_softmax(2).permute(1, 0, 2)
        target = torch.tensor([LETTERS.index(c) + 1 for word in words for c in word])
        sizes_in = torch.full((len(words),), scores.shape[0])
        loss = torch.nn.functional.ctc_loss(scores, target, sizes_in, torch.tensor([len(w) for w in words]))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
        optimiser.step()
    state = {f"module.{key}": value for key, value in net.state_dict().items()}  # as EasyOCR's own files are saved
    torch.save(state, folder / f"{NAME}.pth")
    (folder / f"{NAME}.py").write_text("from easyocr.model.vgg_model import Model\n")
    parameters = "\n".join(f"  {key}: {value}" for key, value in sizes.items())
    (folder / f"{NAME}.yaml").write_text(
        f"imgH: 32\nlang_list: [en]\ncharacter_list: {LETTERS}\nnetwork_params:\n{parameters}\n"
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained detector under the official name and a custom recogniser."""
    torch = pytest.importorskip("torch", reason="EasyOCR needs PyTorch: make test-torch")
    pytest.importorskip("easyocr", reason="EasyOCR is not installed: make test-torch")
    torch.set_num_threads(2)
    folder = tmp_path_factory.mktemp("weights")
    train_detector(folder / "craft_mlt_25k.pth", torch)
    train_recogniser(folder, torch)
    return folder


@pytest.fixture
def engine(weights: Path, monkeypatch: pytest.MonkeyPatch) -> EasyOcr:
    """EasyOCR takes only its release's detector; here the pin is that of the weights that were just trained."""
    from easyocr.config import detection_models

    digest = hashlib.md5((weights / "craft_mlt_25k.pth").read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(detection_models["craft"], "md5sum", digest)
    return EasyOcr(EasyOcrConfig(weights, network=NAME, device="cpu", text_score=0.2, check_side=320))


def read(engine: EasyOcr, pixels: Any, **options: bool) -> list[Line]:
    async def never(_batch: Any) -> Any:
        raise AssertionError("the repository's own text networks are not asked")

    return asyncio.run(engine.read(pixels, never, never, list, **options))


def test_it_reads_what_it_was_trained_on(engine: EasyOcr) -> None:
    """Promise: detector, recogniser, text, score and quad: the same contract as the other engine's."""
    random = np.random.default_rng(7)
    right = 0
    for word in WORDS * 3:
        pixels, ((x1, y1, x2, y2),) = picture(random, (word,))
        for line in read(engine, pixels):
            assert line.quad.shape == (4, 2)
            assert line.quad.dtype == np.float32
            assert 0.2 <= line.score <= 1
            centre = line.quad.mean(axis=0)
            if line.text == word and x1 <= centre[0] <= x2 and y1 - 8 <= centre[1] <= y2 + 8:
                right += 1
    assert right >= 7, f"{right} of 9 words"


def test_lines_come_in_reading_order(engine: EasyOcr) -> None:
    """Promise: top to bottom, corners clockwise from the top left."""
    pixels, _ = picture(np.random.default_rng(3), ("SALE", "KILL"), height=128)
    lines = read(engine, pixels)
    tops = [float(line.quad[0, 1]) for line in lines]
    assert len(lines) >= 2
    assert tops == sorted(tops)
    for line in lines:
        assert line.quad[0, 0] < line.quad[1, 0]
        assert line.quad[0, 1] < line.quad[3, 1]


def test_an_empty_picture_has_no_text_and_is_looked_at_small_first(engine: EasyOcr) -> None:
    """Promise: no text where none is, and with check_first only the small picture is looked at."""
    pixels = np.full((400, 640, 3), 30, np.uint8)
    assert read(engine, pixels, check_first=True) == []
    assert read(engine, pixels) == []
    with pytest.raises(InputError, match=r"PIXELS is \[4, 4\]"):
        read(engine, np.zeros((4, 4), np.uint8))


def test_weights_that_are_missing_or_strange_are_named(weights: Path, tmp_path: Path) -> None:
    """Promise: nothing is downloaded; what is missing or is not of this release is said with its path."""
    with pytest.raises(ConfigError, match=r"weights in .*: .*Missing .*craft_mlt_25k\.pth"):
        EasyOcr(EasyOcrConfig(tmp_path))
    with pytest.raises(ConfigError, match=r"MD5 mismatch for .*craft_mlt_25k\.pth"):
        EasyOcr(EasyOcrConfig(weights, network=NAME, device="cpu"))


def test_an_unknown_language_is_named(engine: EasyOcr, weights: Path) -> None:
    """Promise: EasyOCR's own word for what it does not have, with the setting's value."""
    with pytest.raises(ConfigError, match=r"languages xx.*not supported"):
        EasyOcr(EasyOcrConfig(weights, languages=("xx",), device="cpu"))


def test_a_gpu_that_is_asked_for_must_be_there(weights: Path) -> None:
    """Promise: `device: cuda` never means the CPU."""
    torch = pytest.importorskip("torch", reason="EasyOCR needs PyTorch: make test-torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="device is `cuda` and there is no GPU"):
        EasyOcr(EasyOcrConfig(weights, device="cuda"))
