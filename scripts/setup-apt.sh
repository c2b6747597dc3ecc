#!/usr/bin/env bash
# Installs the Debian packages that building and running the lab need; only what is missing, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
while read -r package; do
  case "$package" in
    "" | "#"*) continue ;;
  esac
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done <scripts/apt-packages.txt
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
if [ "$(id -u)" != 0 ]; then
  echo "== Debian packages missing: ${missing[*]}" >&2
  echo "   Not root, so they are not installed here: real packets and the console's browser tests will be skipped." >&2
  exit 0
fi
echo "== Debian packages: ${missing[*]}"
if [ ! -e /usr/sbin/policy-rc.d ]; then # a package that brings a service (prometheus) must not start it
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
if [[ " ${missing[*]} " == *" prometheus "* ]]; then systemctl disable prometheus >/dev/null 2>&1 || true; fi
