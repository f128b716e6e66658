#!/bin/sh
# Ask with a file or with text: examples/interact.sh question.wav | examples/interact.sh "what is on tonight"
# Set SHARED_SECRET if the server requires one.
set -eu
url=${ANCHOR_URL:-http://127.0.0.1:8080}
auth="Authorization: Bearer ${SHARED_SECRET:-none}"
if [ -f "$1" ]; then
    curl --fail-with-body --silent --show-error -H "$auth" -F "file=@$1" -D reply.headers -o reply.wav "$url/interact"
else
    curl --fail-with-body --silent --show-error -H "$auth" -F "text=$1" -D reply.headers -o reply.wav "$url/interact"
fi
grep -i '^x-anchor-' reply.headers
rm reply.headers
