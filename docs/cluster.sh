#!/usr/bin/env bash
# Starts NATS and two servers of one room on this machine. Ctrl-C ends all of them.
# The environment can change the ports and the directory of NATS.
set -euo pipefail
set -m # Ctrl-C does not reach the programs: NATS ends after the servers.
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin" # Debian has nats-server there.
nats=${NATS_PORT:-4222}
directory=${NATS_DIRECTORY:-${TMPDIR:-/tmp}/linechat-nats}

nats-server -a 127.0.0.1 -p "$nats" -js -sd "$directory" -l "$directory.log" &
pid=$!
servers=()
trap 'kill "${servers[@]}"; wait "${servers[@]}"; kill "$pid"' EXIT
trap 'set +e; exit 0' INT TERM
until (exec 3<>"/dev/tcp/127.0.0.1/$nats") 2>/dev/null; do
  kill -0 "$pid" # Ends the script if NATS cannot start.
  sleep 0.1
done
for port in "${PORT_1:-8001}" "${PORT_2:-8002}"; do
  deno run -N server.ts -p "$port" --nats "nats://127.0.0.1:$nats" &
  servers+=($!)
done
wait -n
