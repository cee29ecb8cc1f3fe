#!/usr/bin/env bash
# All checks: lint, format, types, import layers, tests. Options are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh metaworld,minilm,dev

ruff check .
ruff format --check .
lint-imports
pyright --pythonpath "$(command -v python)"
pytest "$@"
