#!/usr/bin/env bash
# Publish a package to a Function App of the plan Flex Consumption, as it is: nothing is built on Azure.
#
#   publish.sh RESOURCE_GROUP APP PACKAGE.zip
#
# The calls are those of the Azure CLI and of Azure/functions-action: POST /api/publish of the app's SCM site, with a
# token of Entra, then /api/deployments/{id}. They are made here because `az functionapp deployment source config-zip`
# (2.91.0) builds each Python app anew on Azure, also with --build-remote false, and `az functionapp deploy` sends a
# content type that the plan refuses. Azure/functions-action would read all app settings first.
set -euo pipefail
group=$1 app=$2 package=$3
answer="${RUNNER_TEMP:-$(mktemp -d)}/publish.json"

site=$(az account show --query id --output tsv)
site="https://management.azure.com/subscriptions/$site/resourceGroups/$group/providers/Microsoft.Web/sites/$app"
scm=$(az rest --method get --url "$site?api-version=2024-11-01" --output tsv \
  --query "properties.hostNameSslStates[?hostType=='Repository'].name | [0]")
[[ $scm =~ ^[A-Za-z0-9.-]+$ ]] || { echo "::error::$app has no SCM site: '$scm'"; exit 1; }

# call SECONDS URL [ARGUMENT ...]: print the status; the body goes to the file. The token stands in no command line.
call() {
  local seconds=$1 url=$2
  shift 2
  curl --silent --show-error --max-time "$seconds" --output "$answer" --write-out '%{http_code}' \
    --header @<(printf 'Authorization: Bearer %s\n' "$token") "$@" "$url" || true
}

token=$(az account get-access-token --query accessToken --output tsv)
[[ -z ${GITHUB_ACTIONS:-} ]] || echo "::add-mask::$token"

# Right after the first deployment, Azure may not know yet that the app's identity may write its package (400, 403).
for try in {1..12}; do
  status=$(call 300 "https://$scm/api/publish?RemoteBuild=false&Deployer=github" --request POST \
    --header 'Content-Type: application/zip' --data-binary "@$package")
  echo "Publish, attempt $try: $status"
  [[ $status == 200 || $status == 202 ]] && break
  head -c 2000 "$answer" || true
  [[ $status == 401 || $try == 12 ]] && { echo "::error::The package was not accepted ($status)."; exit 1; }
  sleep 30
done

id=$(tr -d '"[:space:]' < "$answer")
[[ $id =~ ^[A-Za-z0-9-]+$ ]] || id=latest
# 0 pending, 1 building, 2 deploying, 3 failed, 4 done, 5 another one is under way, 6 done in part, -1 cancelled.
state='' seen=''
for _ in {1..120}; do
  sleep 5
  status=$(call 30 "https://$scm/api/deployments/$id")
  # Once it is done, the site that knows of it may be gone; the app's own answer decides then.
  [[ $status == 404 && -n $seen ]] && { echo "::warning::The state of the deployment is gone."; exit 0; }
  [[ $status == 200 || $status == 202 ]] || continue
  seen=yes
  state=$(jq --raw-output '.status // empty' "$answer" || true)
  case $state in
    4) echo "The deployment $id is done."; exit 0 ;;
    -1 | 3 | 5 | 6)
      jq '{status, status_text, message, progress}' "$answer"
      status=$(call 30 "https://$scm/api/deployments/$id/log")
      jq --raw-output '.[]?.message // empty' "$answer" || true
      echo "::error::The deployment $id ended with status $state."
      exit 1
      ;;
  esac
done
echo "::error::The deployment $id was not done within 10 minutes (status '$state')."
exit 1
