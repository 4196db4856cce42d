#!/usr/bin/env bash
# Sends what the OpenAPI document allows, and what it does not, to a running server: openapi.sh DREAM SCHEMATHESIS
# The number of cases for each route is bounded; CASES says how many. One worker only: Python's parser, which hypothesis
# uses to describe what it draws, is not safe among threads (https://github.com/python/cpython/issues/106905).
set -euo pipefail
dream=$1 schemathesis=$2
folder=$(mktemp -d)
trap 'kill -TERM "${server-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
key=$(printf '%048d' 1)
PORT=0 HOST=127.0.0.1 THROTTLE_LIMIT=0 ADMIN_API_KEY=fuzz:$key LOG_LEVEL=warn "$dream" serve >serve.log 2>&1 &
server=$!
url=
for _ in $(seq 300); do
    url=$(grep -o 'http://[a-z0-9.]*:[0-9]*/api/docs' serve.log | head -n 1 | sed 's,/api/docs$,,' || true)
    if [ -n "$url" ] && curl -fsS --max-time 2 "$url/health/ready" >/dev/null 2>&1; then break; fi
    kill -0 "$server"
    sleep 0.2
done
token=$(curl -fsS "$url/v1/auth/wechat-login" -H 'Content-Type: application/json' -d '{"code":"sandbox-fuzz"}' |
    sed 's/.*"token":"\([^"]*\)".*/\1/')
if ! "$schemathesis" run "$url/api/docs-json" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection \
    --header "Authorization: Bearer $token" --header "X-Admin-Key: $key" \
    --exclude-path /v1/auth/logout --exclude-path-regex '^/v1/users/me$' --exclude-path-regex '^/v1/admin/users' \
    --max-examples "${CASES:-15}" --seed 1 --workers 1 --request-timeout 60 --no-color; then
    tail -n 40 serve.log
    exit 1
fi
