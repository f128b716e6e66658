#!/bin/sh
# Clone a voice and hear it: examples/clone_voice.sh NAME voice.wav "I consent that this anchor speaks with my voice."
# The third argument is the person's statement, or a file with its recording. Set SHARED_SECRET if the server needs one.
set -eu
url=${ANCHOR_URL:-http://127.0.0.1:8080}
auth="Authorization: Bearer ${SHARED_SECRET:-none}"
ask() { curl --fail-with-body --silent --show-error -H "$auth" "$@"; }
# The id of a voice or a consent, which comes second in its JSON.
id_of() { sed 's/^{"object":"[^"]*","id":"\([^"]*\)".*/\1/'; }

consent=$3
if [ -f "$3" ]; then
    consent=$(ask -F "name=$1" -F "language=en" -F "recording=@$3" "$url/v1/audio/voice_consents" | id_of)
fi
voice=$(ask --form-string "name=$1" --form-string "consent=$consent" -F "audio_sample=@$2" "$url/v1/audio/voices")
echo "$voice"
id=$(echo "$voice" | id_of)
ask -H "Content-Type: application/json" -d "{\"input\":\"Good evening.\",\"voice\":\"$id\"}" -o reply.wav "$url/v1/audio/speech"
echo "To delete the voice and its consent: anchor voice remove $id"
