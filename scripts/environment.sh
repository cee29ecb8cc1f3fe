# Sourced by the other scripts: a virtual environment with mtil and the extras named in $1, at the versions of constraints.txt.
# It uses the environment that is active, or makes .venv. It installs only when something has changed.

extras=$1
if [ -z "${VIRTUAL_ENV:-}" ]; then
    [ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
    . .venv/bin/activate
fi
python - <<'PY' || { echo "mtil needs Python 3.11 or newer; found $(python --version 2>&1). Name one: PYTHON=python3.11 $0" >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
PY
stamp="$VIRTUAL_ENV/.mtil-$(printf '%s' "$PWD $extras" | cat - pyproject.toml constraints.txt | sha256sum | cut -c1-16)"
if [ ! -e "$stamp" ]; then
    echo "Installing mtil[$extras] into $VIRTUAL_ENV (about 5 GB with torch; a few minutes the first time)"
    python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$extras]"
    touch "$stamp"
fi
