"""Draw the README's picture: the films of an evaluation side by side, each with its instruction and successes.

Usage: python scripts/picture.py runs/mt10-state/evaluation docs/mt10.gif
"""

import sys
import textwrap
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mtil.evaluation.results import read_json
from mtil.sim.base import load

COLUMNS, TILE, CAPTION, EVERY, HOLD = 5, 168, 48, 4, 8
INK, PAPER = (30, 30, 30), (255, 255, 255)


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    result = read_json(next(iter(sorted(folder.glob("*.json")))))
    films = [_film(folder / "videos" / f"{task.task}.mp4") for task in result.tasks]
    told = {task.name: task.instructions[0] for task in load(result.protocol.suite).tasks()}
    captions = [_caption(told[task.task], f"{task.successes}/{task.episodes}") for task in result.tasks]
    length = max(map(len, films)) + HOLD
    pictures = [_picture([film[min(t, len(film) - 1)] for film in films], captions) for t in range(length)]
    palette = _beside(pictures[0], pictures[length // 2], pictures[-1]).quantize(128)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    frames[0].save(out, save_all=True, append_images=frames[1:], duration=90, loop=0, optimize=True)
    print(f"{out}: {len(frames)} frames, {out.stat().st_size / 1e6:.1f} MB")


def _film(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    kept = [*frames[::EVERY], frames[-1]]
    return [Image.fromarray(np.ascontiguousarray(frame)).resize((TILE, TILE)) for frame in kept]


def _caption(sentence: str, count: str) -> str:
    return textwrap.fill(f"{sentence}: {count}", 28)


def _beside(*pictures: Image.Image) -> Image.Image:
    return Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures], axis=1))


def _picture(tiles: list[Image.Image], captions: list[str]) -> Image.Image:
    rows = -(-len(tiles) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * TILE, rows * (TILE + CAPTION)), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for i, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        x, y = i % COLUMNS * TILE, i // COLUMNS * (TILE + CAPTION)
        canvas.paste(tile, (x, y))
        draw.multiline_text((x + 4, y + TILE + 1), caption, fill=INK, font=font, spacing=1)
    return canvas


if __name__ == "__main__":
    main()
