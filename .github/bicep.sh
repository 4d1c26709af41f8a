#!/usr/bin/env bash
# Install the Bicep CLI in one version, whose bytes are known: `az bicep install` checks nothing. The sum is that of the
# program in the package Azure.Bicep.CommandLine.linux-x64 0.49.2, which Bicep's own build packs from the same file.
set -euo pipefail
version=v0.49.2
sum=0ab9de90c2493f206f8281bae74f9ee2d5ed3605548dab1adf41fef185e1f7c5
folder="$RUNNER_TEMP/bicep"
mkdir -p "$folder"
curl --fail --silent --show-error --location --retry 3 --output "$folder/bicep" \
  "https://github.com/Azure/bicep/releases/download/$version/bicep-linux-x64"
echo "$sum  $folder/bicep" | sha256sum --check --strict
chmod 755 "$folder/bicep"
"$folder/bicep" --version
echo "$folder" >> "$GITHUB_PATH"
{
  echo "BICEP=$folder/bicep"
  # The Azure CLI takes this one as well, and asks nobody for a newer one.
  echo "AZURE_BICEP_USE_BINARY_FROM_PATH=true"
  echo "AZURE_BICEP_CHECK_VERSION=false"
} >> "$GITHUB_ENV"
