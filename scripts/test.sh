#!/usr/bin/env bash
# All checks: lint, format, types, import layers, tests. Options are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh metaworld,fetch,minilm,dev

# The report is tested in a real browser.
if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "the tests need Chromium; on Debian: sudo apt-get install chromium" >&2; exit 1; }
    apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium
fi

ruff check .
ruff format --check .
lint-imports
pyright --pythonpath "$(command -v python)"
pytest --numprocesses auto --dist loadfile "$@"  # what a file sets up is set up once
