"""Draw the documentation's pictures of a report: on a laptop, and on a phone.

Usage: python scripts/screenshot.py runs/mt10-state/report.html docs
"""

import io
import sys
from pathlib import Path

from chromium import Chromium
from PIL import Image

PICTURES = {  # name: width, height, whether dark
    "report": (1280, 1440, False),
    "report-phone": (390, 844, True),
}


def main() -> None:
    page, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with Chromium() as browser:
        for name, (width, height, dark) in PICTURES.items():
            browser.open(page, width=width, height=height, dark=dark, scale=2 if width < 600 else 1)
            _save(browser.screenshot(), folder / f"{name}.png")


def _save(png: bytes, path: Path) -> None:
    """With 256 colours, which text and bars need no more than."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
