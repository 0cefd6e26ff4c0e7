#!/usr/bin/env bash
# Gradescope runs this once, when the image is built: an environment of Python with what is graded.
set -euo pipefail
root=${AUTOGRADER_ROOT:-/autograder}
if ! python3 -m venv --help >/dev/null 2>&1 || ! python3 -c "import ensurepip" 2>/dev/null; then
    apt-get update
    apt-get install -y python3 python3-venv
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed")'
python3 -m venv "$root/venv"
"$root/venv/bin/pip" install --quiet --requirement "$root/source/requirements.txt"
