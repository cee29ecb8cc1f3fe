# Sourced by the other scripts: a virtual environment with mtil and the extras named in $1, at the versions of constraints.txt.
# It uses the environment that is active, or makes .venv. It installs only when something has changed.

extras=$1
recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; }

if [ -z "${VIRTUAL_ENV:-}" ]; then
    python=${PYTHON:-python3}
    if [ ! -e .venv/bin/activate ]; then
        recent "$python" || { echo "mtil needs Python 3.11 or newer; found $("$python" --version). Name one: PYTHON=python3.12 $0" >&2; exit 1; }
        "$python" -m venv .venv || { rm -rf .venv; exit 1; }
    fi
    . .venv/bin/activate
fi
recent python || { echo "mtil needs Python 3.11 or newer; found $(python --version) in $VIRTUAL_ENV" >&2; exit 1; }
stamp="$VIRTUAL_ENV/.mtil-$(printf '%s' "$PWD $extras" | cat - pyproject.toml constraints.txt | sha256sum | cut -c1-16)"
if [ ! -e "$stamp" ]; then
    echo "Installing mtil[$extras] into $VIRTUAL_ENV (about 5 GB with torch; a few minutes the first time)"
    python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable ".[$extras]"
    touch "$stamp"
fi
