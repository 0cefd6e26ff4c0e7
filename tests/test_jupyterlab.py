"""The notebook in JupyterLab, run cell by cell in a browser without a window, on the sample.

    pip install playwright
    pytest -m slow tests/test_jupyterlab.py

The browser is the system's Chromium or that of ``playwright install chromium``.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from course.sources import ARCHIVE, NOTEBOOK, ROOT, files
from data_utils import SAMPLE

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.sample]
LIMIT = 20 * 60  # seconds for a cell; all together compute for two or three minutes
PATIENCE = 60_000  # milliseconds for what computes nothing
SETTINGS = {
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},  # all cells are drawn
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What is looked for on the page, and in the types of outputs that should give it.
KINDS = {"images": "png", "tables": "html", "listings": "markdown", "bars": "widget-view+json"}
# What the page shows of a cell: outputs by kind, formulas, and what should not be there.
SHOWN = r"""cell => {
    const all = selector => [...cell.querySelectorAll(selector)];
    const outputs = selector => all(".jp-OutputArea-output" + selector);
    const found = (where, pattern) => where.flatMap(e => e.textContent.match(pattern) ?? []);
    const prose = all(".jp-RenderedMarkdown").map(e => e.cloneNode(true));
    prose.forEach(text => text.querySelectorAll("code, mjx-container").forEach(e => e.remove()));
    return {
        prompt: cell.querySelector(".jp-InputPrompt").textContent,
        images: outputs(" img").filter(e => e.naturalWidth && e.clientWidth).length,
        tables: outputs(" table").filter(e => e.rows.length && e.clientWidth).length,
        listings: outputs(".jp-RenderedMarkdown").filter(e => e.querySelector("pre")).length,
        bars: outputs(" .jupyter-widgets .progress-bar").length,
        formulas: all("mjx-container").length,
        raw: found(prose, /\$.*|\\[a-z]+.*/g),
        errors: outputs("[data-mime-type$=error], [data-mime-type$=stderr]").concat(
            all("merror, mtext[mathcolor=red]")).map(e => e.textContent),
        stale: found(outputs(""), /\d%\|.*|Error displaying widget/g),
    };
}"""


@contextmanager
def jupyterlab(folder):
    """Start it on a copy of the project in folder; the notebook's path there, and its address.

    It has none of the user's settings, and the sample as data, so that nothing is downloaded.
    """
    project, data, settings = (folder / name for name in ("project", "data", "labconfig"))
    for name in files(ROOT, ARCHIVE):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    data.mkdir()
    shutil.copy(SAMPLE, data / "mnist.npz")
    settings.mkdir()
    (settings / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    env = {**os.environ, **dict.fromkeys(own, str(folder)), "MNIST_DIR": str(data)}

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token = secrets.token_hex()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", f"--IdentityProvider.token={token}"]
    with subprocess.Popen(command, cwd=project, env=env, stdin=subprocess.DEVNULL) as server:
        for _ in range(60):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(1)
        try:
            yield project / NOTEBOOK, f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK}?token={token}"
        finally:
            server.terminate()  # it ends its kernels first


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The open notebook, its kernel ready. ``errors`` are its console's, ``notebook`` its file."""
    with sync_api.sync_playwright() as playwright:
        installed = *map(shutil.which, BROWSERS), playwright.chromium.executable_path
        chromium = next(filter(None, installed))
        if not Path(chromium).exists():
            pytest.skip("Chromium is not installed")
        lab = jupyterlab(tmp_path_factory.mktemp("lab"))
        browser = playwright.chromium.launch(executable_path=chromium)
        with browser, lab as (notebook, url):
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.notebook, page.errors = notebook, []
            page.set_default_timeout(PATIENCE)
            sync_api.expect.set_options(timeout=PATIENCE)
            page.on("pageerror", lambda error: page.errors.append(str(error)))
            page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
            page.goto(url)
            page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
            yield page


@pytest.fixture(scope="module")
def cells(page):
    """Run all cells; each as it is saved then, with what the page shows of it as "shown"."""
    found = page.locator(".jp-Notebook .jp-Cell")
    count = len(json.loads(page.notebook.read_text("utf-8"))["cells"])
    sync_api.expect(found).to_have_count(count)
    page.get_by_role("menuitem", name="Edit", exact=True).click()
    page.get_by_text("Clear Outputs of All Cells").click()
    sync_api.expect(page.locator(".jp-OutputArea-output")).to_have_count(0)
    found.first.click()
    bars = [run(page, number, found.nth(number)) for number in range(count)]
    page.keyboard.press("Control+s")
    page.wait_for_selector(".jp-mod-current.jp-mod-dirty", state="detached")
    cells = json.loads(page.notebook.read_text("utf-8"))["cells"][:count]  # one is added
    for number, cell in enumerate(cells):
        cell["shown"] = found.nth(number).evaluate(SHOWN) | {"bars": bars[number]}
    return cells


def run(page, number, cell):
    """Run the selected cell and wait for its end; the most progress bars that it showed."""
    page.keyboard.press("Shift+Enter")
    bars, shown, deadline = 0, cell.evaluate(SHOWN), time.monotonic() + LIMIT
    while shown["prompt"] in ("[ ]:", "[*]:") and not shown["errors"]:
        assert time.monotonic() < deadline, f"cell {number} is still running"
        bars = max(bars, shown["bars"])
        page.wait_for_timeout(200)
        shown = cell.evaluate(SHOWN)
    assert not shown["errors"], f"cell {number}"
    return bars


@pytest.mark.parametrize("name", KINDS)
def test_outputs_appear(cells, name):
    """Pictures have loaded, tables have rows, listings are set, progress bars were widgets."""
    outputs = [[" ".join(o.get("data", ())) for o in c.get("outputs", ())] for c in cells]
    made = [sum(KINDS[name] in types for types in cell) for cell in outputs]
    assert any(made)
    if name == "bars":  # one may go before the next one comes
        made = [min(n, 1) for n in made]
    assert [i for i, n in enumerate(made) if cells[i]["shown"][name] < n] == []


def test_formulas_are_set(cells):
    texts = [c for c in cells if c["cell_type"] == "markdown" and "$" in "".join(c["source"])]
    assert texts
    assert all(cell["shown"]["formulas"] for cell in texts)


def test_nothing_is_shown_that_should_not(cells, page):
    for what in "raw", "errors", "stale":
        assert {i: c["shown"][what] for i, c in enumerate(cells) if c["shown"][what]} == {}
    assert page.errors == []  # in the console
