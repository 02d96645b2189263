#!/usr/bin/env bash
# Bring what the VS Code test drives: VS Code as a web page (code-server), Playwright, and a Chromium.
# usage: install.sh FOLDER        what is there already is kept
set -euo pipefail
if [ $# -ne 1 ]; then
  echo "usage: $0 FOLDER" >&2
  exit 2
fi
CODE_SERVER=4.100.3 # the newest that runs on Node 20
PLAYWRIGHT=1.65.1
NODE_GYP=12.4.0
mkdir -p "$1"
cd "$1"

if ! command -v chromium >/dev/null || ! command -v g++ >/dev/null; then
  as_root=$([ "$(id -u)" -eq 0 ] || echo sudo)
  $as_root apt-get update --quiet
  $as_root apt-get install --quiet --yes --no-install-recommends chromium fonts-dejavu-core g++ make python3
fi

wanted="code-server@$CODE_SERVER playwright-core@$PLAYWRIGHT node-gyp@$NODE_GYP"
if [ "$(cat installed 2>/dev/null)" != "$wanted" ]; then
  rm -rf node_modules package.json package-lock.json installed
  echo '{ "private": true }' >package.json
  # Without the install scripts: they would fetch a browser, and compile modules that a loopback server never calls.
  npm_quietly() { npm install --ignore-scripts --no-audit --no-fund --loglevel=error "$@"; }
  # shellcheck disable=SC2086  # three words
  npm_quietly $wanted
  (
    cd node_modules/code-server/lib/vscode
    npm_quietly --omit=dev
    ln -sfn node_modules node_modules.asar # the name under which the server looks for its modules
  )
  # argon2 checks passwords, and is loaded even where none is asked for: an empty module in place of its native one.
  echo 'module.exports = {};' >node_modules/argon2/argon2.js
  (
    # The one native module that the test needs: terminals. Node's own headers are taken where they are installed.
    node_gyp=$PWD/node_modules/node-gyp/bin/node-gyp.js
    prefix=$(dirname "$(dirname "$(command -v node)")")
    cd node_modules/code-server/lib/vscode/node_modules/node-pty
    node "$node_gyp" rebuild --silent $([ -e "$prefix/include/node/node.h" ] && echo "--nodedir=$prefix")
  )
  echo "$wanted" >installed
fi
node node_modules/code-server/out/node/entry.js --version
