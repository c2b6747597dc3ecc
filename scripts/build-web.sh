#!/usr/bin/env bash
# Builds the console: types from the API's own description, then the bundle into the Python package.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python -m eastwest.api.openapi >web/src/api/openapi.json.tmp && mv web/src/api/openapi.json.tmp web/src/api/openapi.json
cd web
npm run --silent build
