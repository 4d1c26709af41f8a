#!/usr/bin/env bash
# Predict what a deployment of infra/environments/ENVIRONMENT.bicepparam would change, and show it in the job's summary.
# ProviderNoRbac: the identity may read, and no more; the default asks for the rights to write as well.
set -euo pipefail
environment=$1
predicted="$RUNNER_TEMP/what-if.txt"
az deployment sub what-if \
  --name "nightshift-$environment" \
  --location "$AZURE_LOCATION" \
  --parameters "infra/environments/$environment.bicepparam" \
  --validation-level ProviderNoRbac \
  --exclude-change-types Ignore NoChange \
  --no-prompt true \
  --only-show-errors | tee "$predicted"
{
  echo "### What a deployment would change in $environment"
  echo '```'
  cat "$predicted"
  echo '```'
} >> "$GITHUB_STEP_SUMMARY"
