#!/bin/sh
# A conversation over REST: start, ask, read the history, end: examples/conversation.sh
set -eu
url=${ANCHOR_URL:-http://127.0.0.1:8080}
auth="Authorization: Bearer ${SHARED_SECRET:-none}"
ask() { curl --fail-with-body --silent --show-error -H "$auth" -H "Content-Type: application/json" "$@"; }

ticket=$(ask -d '{}' "$url/conversation/start" | sed 's/.*"ticket":"\([^"]*\)".*/\1/')
ask -d "{\"text\":\"Good evening\",\"ticket\":\"$ticket\"}" -o reply.wav "$url/interact"
ask "$url/conversation/$ticket"
echo
ask -X DELETE "$url/conversation/$ticket"
