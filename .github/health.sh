#!/usr/bin/env bash
# Wait until an app answers that it can work: health.sh HOST. It needs no key.
set -euo pipefail
url="https://$1/api/health"
end=$((SECONDS + 300))
while ((SECONDS < end)); do
  status=$(curl --silent --max-time 20 --output "$RUNNER_TEMP/health.json" --write-out '%{http_code}' "$url" || true)
  if [[ $status == 200 ]]; then
    echo "$url: 200 $(cat "$RUNNER_TEMP/health.json")"
    exit 0
  fi
  echo "$url: $status"
  sleep 10
done
echo "::error::$url did not answer 200 within 5 minutes; the last answer was $status."
exit 1
