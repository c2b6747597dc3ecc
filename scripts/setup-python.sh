#!/usr/bin/env bash
# Makes .venv exactly as uv.lock says, with uv from PATH or from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v uv >/dev/null; then
  echo "== uv is not installed: fetching it into .uv"
  python3 -m venv .uv
  .uv/bin/pip install --quiet --disable-pip-version-check "uv>=0.9"
  export PATH="$PWD/.uv/bin:$PATH"
fi
echo "== Python packages"
uv sync --frozen --all-extras --quiet
