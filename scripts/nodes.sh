# scripts/nodes.sh: what quickstart and stop know about nodes in a folder. To be sourced.
#
# A node's pid stands in the LOCK of its data directory, and the LOCK is held (flock) as long as
# that very process lives: a pid that is read from a LOCK which is held is ours.

# The pid of the node whose data directory is $1, if it runs; fails otherwise.
node_pid() {
  local lock=$1/LOCK pid
  [ -e "$lock" ] || return 1
  flock -n "$lock" true 2>/dev/null && return 1
  pid=$(cat "$lock")
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = skiff ] || return 1
  echo "$pid"
}

# Pids of the running nodes in the folder $1, one a line.
running_pids() {
  local data
  for data in "$1"/n*/data; do
    node_pid "$data" || true
  done
}

# Ends the nodes with the pids $2... in the folder $1; fails if one is still there after 10 s.
stop_pids() {
  local folder=$1 pid turn
  shift
  for pid in "$@"; do
    kill -TERM "$pid" 2>/dev/null || true
  done
  for turn in $(seq 100); do
    [ -n "$(running_pids "$folder")" ] || return 0
    sleep 0.1
  done
  return 1
}
