"""The frames of a training that are kept, and the moving picture of them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nnlab.errors import InputError
from nnlab.live.wire import arrays_of, header_of

MOST = 96
"""The most frames; where there are more, every other one is dropped, and from then on not taken."""
SIZE = 480
"""Pixels a side of the picture."""
MARGIN = 44
SECONDS = 8.0
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#5e3c99", "#4d4d4d", "#8c510a", "#e69f00")
"""The colours of classes, as on the page."""

Array = NDArray[Any]


class Recording:
    """Keeps frames of one training, the first and the last among them, evenly in between."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begins with another training."""
        self._loaded: bytes | None = None
        self._frames: list[bytes] = []
        self._last: bytes | None = None
        self._every, self._seen = 1, 0

    def add(self, kind: str, content: bytes) -> None:
        """Takes a packet of the worker."""
        if kind == "loaded":
            self._loaded = content
        elif kind == "frame":
            step = header_of(content)["step"]
            if self._last is not None and header_of(self._last)["step"] == step:
                return
            self._last = content
            if self._seen % self._every == 0:
                self._frames.append(content)
            self._seen += 1
            if len(self._frames) > MOST:
                self._frames, self._every = self._frames[::2], 2 * self._every

    def gif(self) -> bytes:
        """The training as a GIF: decision regions, or the function, with points and steps.

        Raises:
            InputError: there is nothing to show: no frame, or more than two inputs.
        """
        frames = list(self._frames)
        if self._last is not None and (not frames or frames[-1] is not self._last):
            frames.append(self._last)
        if self._loaded is None or not frames:
            raise InputError("there is no training yet")
        scene = _Scene(self._loaded, frames)
        pictures = [scene.picture(frame) for frame in frames]
        out = io.BytesIO()
        each = int(min(200, max(40, 1000 * SECONDS / len(pictures))))
        times = [each] * (len(pictures) - 1) + [1500]
        pictures[0].save(
            out, "GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0, optimize=False
        )
        return out.getvalue()


class _Scene:
    """What is the same in all pictures of a training."""

    def __init__(self, loaded: bytes, frames: list[bytes]) -> None:
        self.header, self.given = header_of(loaded), arrays_of(loaded)
        axes = [self.given[name] for name in ("axis0", "axis1") if name in self.given]
        if not axes:
            raise InputError("a training on more than two inputs cannot be drawn")
        self.x = float(axes[0][0]), float(axes[0][-1])
        self.font = ImageFont.load_default(16)
        if len(axes) == 2:
            self.y = float(axes[1][0]), float(axes[1][-1])
            values = [a["function"] for a in map(arrays_of, frames) if "function" in a]
            self.scale = max((float(np.abs(v).max()) for v in values), default=1.0) or 1.0
        else:
            points = self.given["train_y"] if self.header["task"] == "regression" else np.array([0.0, 1.0])
            truth = self.given.get("truth_y", points)
            low, high = (float(f([f(points), f(truth)])) for f in (np.min, np.max))
            margin = 0.2 * (high - low) or 1.0
            self.y = low - margin, high + margin

    def picture(self, frame: bytes) -> Image.Image:
        header, arrays = header_of(frame), arrays_of(frame)
        picture = Image.new("RGB", (SIZE, SIZE + MARGIN), "white")
        if "regions" in arrays:
            picture.paste(_of_regions(arrays["regions"]), (0, MARGIN))
        elif "axis1" in self.given:
            picture.paste(_of_values(arrays["function"][..., 0], self.scale), (0, MARGIN))
        draw = ImageDraw.Draw(picture)
        if "axis1" not in self.given:
            self._lines(draw, arrays["function"])
        self._points(draw)
        draw.rectangle((0, 0, SIZE, MARGIN - 1), fill="white")
        draw.text((8, 12), f"step {header['step']:,}", fill="#222222", font=self.font)
        return picture.quantize(64, dither=Image.Dither.NONE)

    def _at(self, x: Array, y: Array) -> list[tuple[float, float]]:
        a = (x - self.x[0]) / (self.x[1] - self.x[0]) * (SIZE - 1)
        b = (1 - (y - self.y[0]) / (self.y[1] - self.y[0])) * (SIZE - 1) + MARGIN
        return list(zip(a.tolist(), np.clip(b, 0, 2 * SIZE).tolist(), strict=True))

    def _lines(self, draw: ImageDraw.ImageDraw, function: Array) -> None:
        if "truth_x" in self.given:
            draw.line(self._at(self.given["truth_x"], self.given["truth_y"]), fill="#999999", width=2)
        for column, values in enumerate(np.nan_to_num(function, nan=0.0).T):
            draw.line(self._at(self.given["axis0"], values), fill=COLOURS[column % len(COLOURS)], width=3)

    def _points(self, draw: ImageDraw.ImageDraw) -> None:
        if "train_x" not in self.given:
            return
        x, y = self.given["train_x"], self.given["train_y"][:, 0]
        plane = "axis1" in self.given
        classes = self.header["task"] == "classification"
        places = self._at(x[:, 0], x[:, 1] if plane else (0 * y if classes else y))
        for (a, b), value in zip(places, y, strict=True):
            colour = COLOURS[int(value) % len(COLOURS)] if classes else "#222222"
            draw.ellipse((a - 4, b - 4, a + 4, b + 4), fill=colour, outline="white")


def _of_regions(regions: Array) -> Image.Image:
    """(G, G, 2) classes and probabilities, first coordinate first, as a picture."""
    table = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS], float)
    best, sure = regions[..., 0] % len(COLOURS), regions[..., 1, None] / 255
    classes = 1 / max(2, int(best.max()) + 1)
    share = 0.15 + 0.45 * np.clip((sure - classes) / (1 - classes), 0, 1)
    return _picture(255 + share * (table[best] - 255))


def _of_values(values: Array, scale: float) -> Image.Image:
    """(G, G) numbers, blue where positive and vermillion where negative."""
    share = np.clip(np.nan_to_num(values) / scale, -1, 1)[..., None]
    ends = np.where(share < 0, [213.0, 94.0, 0.0], [0.0, 114.0, 178.0])
    return _picture(255 + 0.75 * np.abs(share) * (ends - 255))


def _picture(pixels: Array) -> Image.Image:
    upright = np.flipud(pixels.transpose(1, 0, 2)).round().astype(np.uint8)
    return Image.fromarray(upright).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
