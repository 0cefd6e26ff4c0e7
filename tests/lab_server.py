"""A JupyterLab of its own on a copy of the project, for tests that open it in a browser."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

from course.sources import ARCHIVE, ROOT, files
from data_utils import SAMPLE

PATIENCE = 60  # seconds in which it starts, or ends
SETTINGS = {
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},  # all cells are drawn
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
}


@contextmanager
def jupyterlab(folder, notebook):
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
    with (folder / "log").open("w") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
        server = subprocess.Popen(command, cwd=project, env=env, **streams)
    try:
        for _ in range(PATIENCE):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(1)
        else:
            raise TimeoutError("JupyterLab does not start")
        yield project / notebook, f"http://127.0.0.1:{port}/lab/tree/{notebook}?token={token}"
    finally:
        server.terminate()  # it ends its kernels first
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            raise
