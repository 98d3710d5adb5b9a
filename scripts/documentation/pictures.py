"""Pictures of the app's pages, drawn by the tests' browser from runs that are trained for them.

    python -m scripts.documentation.pictures [--only PAGE ...] [--out FOLDER]

Needs what `make install-dev` installs, and Chromium (BASIN_CHROMIUM). Takes some minutes.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from backend.spec import Budget, RunSpec
from benchmarks import chromium, pages
from benchmarks.live_work import running
from benchmarks.pages_visit import Case
from jobs.arena import arenas
from jobs.grids import drawing, records
from jobs.grids.records import Axis
from jobs.races import Race

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pages" / "pictures"
SIZE = (1440, 900)
MOST_BYTES = 150_000
NAMES = (
    *("launch", "runs", "run", "images", "table", "compare", "grid", "lab", "race"),
    *("studio", "arena", "gallery", "system"),
)
_SETTLE_MS = 4000
_PRIMARY = 'button[data-testid="stBaseButton-primary"]:not(:disabled)'


def specs() -> dict[str, list[RunSpec]]:
    """Runs that the pages show, by kind."""
    ring = {"name": "ring"}
    race = Race(
        {"name": "ring"},
        ({"kind": "langevin", "step_size": 0.02}, {"kind": "mala"}, {"kind": "hmc"}),
        Budget(gradients=12_000),
    )
    trained = {"method": "contrastive_divergence", "budget": Budget(steps=2000)}
    scored = {"method": "denoising_score_matching", "budget": Budget(steps=300)}
    return {
        "ring": [
            RunSpec(data=ring, preset=preset, **trained)
            for preset in ("plain_persistent", "short_run")
        ],
        "images": [RunSpec(data={"name": "digits"}, **scored)],
        "table": [RunSpec(data={"name": "wine"}, **scored)],
        "race": race.specs(),
    }


def make(folder: Path, names: list[str]) -> list[Path]:
    """Train the runs, open the pages and write a picture of each as WebP; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with (
        tempfile.TemporaryDirectory(prefix="basin-") as work,
        sync_playwright() as playwright,
        running(Path(work) / "home") as basin,
    ):
        cases = _cases(pages.train(specs()))
        browser = chromium.launch(playwright.chromium)
        width, height = SIZE
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="light"
        )
        for case in cases:
            if case.name in names:
                page = context.new_page()
                _open(page, basin.address, case)
                made.append(_write(page.screenshot(), folder / f"{case.name}.webp"))
                page.close()
        browser.close()
    return made


def _cases(runs: dict[str, list[str]]) -> list[Case]:
    """Pages of the benchmark; a grid and an arena in place of their empty forms."""
    ring = runs["ring"]
    axes = [
        Axis(field="step_size", values=(0.005, 0.02, 0.05)),
        Axis(field="num_steps", values=(5, 50)),
    ]
    grid = records.define(ring[0], axes, {"num": 300, "own_sampler": False})
    drawing.launch(grid)
    arena = arenas.create(ring, real=True)
    pictured = {
        "grid": Case("grid", f"grid?id={grid.id}", ("text=6 of 6 cells drawn",)),
        "arena": Case("arena", f"arena?id={arena.id}", ("canvas",)),
    }
    return [pictured.get(case.name, case) for case in pages.cases(runs)]


def _open(page: Page, address: str, case: Case) -> None:
    """Open a page and wait until it shows what matters; ask what Studio has in its form."""
    page.goto(f"{address}/{case.path}", wait_until="commit")
    for selector in case.usable:
        page.locator(selector).first.wait_for(timeout=120_000)
    if case.name == "studio":
        page.locator(_PRIMARY).first.click()
        page.locator("canvas").first.wait_for(timeout=120_000)
    page.wait_for_timeout(_SETTLE_MS)


def _write(png: bytes, path: Path) -> Path:
    """Write a screenshot as small as it may be. Raises RuntimeError where it is larger."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in (82, 70, 55):
        picture.save(path, quality=quality, method=6)
        if path.stat().st_size <= MOST_BYTES:
            return path
    raise RuntimeError(f"{path.name} has {path.stat().st_size:,} bytes, more than {MOST_BYTES:,}")


def main() -> None:
    """Make the pictures and name them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="some pages")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder, docs/pages/pictures")
    arguments = parser.parse_args()
    for path in make(arguments.out, arguments.only):
        print(f"{path} {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
