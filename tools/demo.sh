#!/bin/sh
# The story of the README on this very machine: start acceld, see what it found, give it a model, ask
# which device should run it and why, run it on a photograph. Each step prints the command a reader
# can repeat. State lives in a folder that is deleted at the end; KEEP=1 leaves the daemon running.
set -eu
cd "$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)"
build=${BUILD:-build}
models=tests/fixtures
dir=$(mktemp -d "${TMPDIR:-/tmp}/acceld-demo.XXXXXX")
daemon=

finish() {
    status=$?
    if [ -n "$daemon" ] && { [ "${KEEP:-0}" != 1 ] || [ $status != 0 ]; }; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    if [ $status != 0 ]; then
        echo "demo: failed; the daemon's log:" >&2
        tail -n 40 "$dir/log" >&2 || true
    fi
    [ "${KEEP:-0}" = 1 ] && [ $status = 0 ] || rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

step() {
    printf '\n\033[1m%s\033[0m\n' "$1"
    shift
    printf '$ %s\n' "$*"
    "$@"
}

# As root, the daemon's processes become an ordinary user; that user must reach the demo's folder.
config="$dir/acceld.yaml"
chmod 755 "$dir"
cat >"$config" <<YAML
node:
  state_dir: $dir/state
  runtime_dir: $dir/run
  user: nobody
api:
  listen: none
drivers:
  enabled: [cpu, pci, fake]
YAML

"$build/acceld" --config "$config" >"$dir/out" 2>"$dir/log" &
daemon=$!
export ACCELCTL_SOCKET="$dir/run/acceld.sock"
PATH="$PWD/$build:$PATH"

# Ready is what the daemon says it is; the loop only bounds how long we listen for it.
tries=0
until accelctl health >/dev/null 2>&1; do
    tries=$((tries + 1))
    kill -0 "$daemon" 2>/dev/null || { echo "demo: acceld ended" >&2; exit 1; }
    [ $tries -lt 300 ] || { echo "demo: acceld is not ready after 30 s" >&2; exit 1; }
    sleep 0.1
done

step "1. The node's devices, found by the modules cpu, pci and fake" accelctl devices
step "   The same over REST, as a Cyborg client asks for it" \
    curl -sS --unix-socket "$ACCELCTL_SOCKET" http://localhost/v2/deployables
echo
step "2. A trained model: SqueezeNet in half precision" \
    accelctl models put squeezenet "$models/squeezenet1.0-fp16/model.onnx"
step "3. What this CPU can do, measured" accelctl calibrate
step "4. Which device should run it, and why not the others" accelctl place squeezenet
step "5. Run it on a photograph" accelctl infer squeezenet --image "$models/photos/chelsea.png" \
    --labels "$models/photos/Labels.txt" --bgr --mean 104,117,123
if [ "${KEEP:-0}" = 1 ]; then
    printf '\nacceld keeps running (process %s): export ACCELCTL_SOCKET=%s\n' "$daemon" "$ACCELCTL_SOCKET"
fi
