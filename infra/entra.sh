#!/usr/bin/env bash
# Register Nightshift in Entra, so that callers can sign in (docs/deploy.md, "Sign-in with Entra").
#
# Run it as often as you like: it adds what is missing and leaves alone what is there. Where it finds something else
# than it would have made, it stops and changes nothing of it. It makes no secret: the registration trusts the identity
# of the app. It is for Azure's public cloud.
set -euo pipefail

usage() {
  cat <<'END'
infra/entra.sh ENVIRONMENT [RESOURCE_GROUP [IDENTITY [NAME]]]

  ENVIRONMENT     environmentName of the deployment, such as prod
  RESOURCE_GROUP  where the app is deployed     (rg-nightshift-ENVIRONMENT)
  IDENTITY        the user-assigned identity    (id-nightshift-ENVIRONMENT)
  NAME            of the registration in Entra  (nightshift-ENVIRONMENT)

Deploy first: the identity must exist. Sign in (az login) to its subscription, as an Application Administrator or a
Cloud Application Administrator of its tenant.
END
}

fail() {
  printf 'entra.sh: %s\n' "$1" >&2
  exit 1
}

did() { printf '%s\n' "$1" >&2; }

# Print the answer of az: a value, or a line for each row with tabs between its values.
ask() { az "$@" --only-show-errors --output tsv | tr -d '\r'; }

# The same for a call after a creation: Entra needs some seconds until all of it knows what was made.
ask_again() {
  if [[ -n $made ]]; then
    for _ in 1 2 3 4 5; do
      if ask "$@" 2> /dev/null; then return; fi
      sleep "${PAUSE:-6}"
    done
  fi
  ask "$@"
}

case ${1:-} in
  -h | --help) usage && exit ;;
esac
if [[ $# -lt 1 || $# -gt 4 || ! $1 =~ ^[A-Za-z0-9-]{1,20}$ ]]; then
  usage >&2
  exit 2
fi
environment=$1
group=${2:-rg-nightshift-$environment}
identity=${3:-id-nightshift-$environment}
name=${4:-nightshift-$environment}
[[ $name =~ ^[A-Za-z0-9._\ -]+$ ]] || fail "NAME may have letters, digits, spaces and . _ - only."
command -v az > /dev/null || fail "The Azure CLI (az) is not installed."

graph=https://graph.microsoft.com/v1.0
audience=api://AzureADTokenExchange
# Fixed ids, so that an assignment means the same role in each registration.
reader=3dccf694-7ee8-4971-959f-3162320bf2d4
operator=6329dc08-89ba-4604-aec1-00b58af68f3e
admin=0e8041c8-b31a-425e-a6ba-4de4ff6c4ed7
scope=418d44db-7fa4-4e57-8849-05c8431c5be6
azure_cli=04b07795-8ddb-461a-bbee-02f9e1bf7b46 # Microsoft's own id of the Azure CLI, in each tenant

role() {
  printf '{"id": "%s", "value": "%s", "displayName": "%s", "description": "%s", "isEnabled": true, ' "$@"
  printf '"allowedMemberTypes": ["User", "Application"]}'
}
roles="[
  $(role $reader reader 'Nightshift reader' 'Look at systems, failures, runs and the policy.'),
  $(role $operator operator 'Nightshift operator' 'Start, repeat, check, cancel and stop work.'),
  $(role $admin admin 'Nightshift admin' 'Change the policy as well.')
]"
expected_roles=$(printf '%s\t%s\n' admin $admin operator $operator reader $reader)
scopes='"requestedAccessTokenVersion": 2, "oauth2PermissionScopes": [{"id": "'$scope'", "value": "user_impersonation",
  "type": "User", "isEnabled": true, "adminConsentDisplayName": "Call Nightshift",
  "adminConsentDescription": "Call Nightshift as the person who is signed in.",
  "userConsentDisplayName": "Call Nightshift", "userConsentDescription": "Call Nightshift as you."}]'
preauthorized='"preAuthorizedApplications": [{"appId": "'$azure_cli'", "delegatedPermissionIds": ["'$scope'"]}]'

# 1. The identity of the app, and its tenant: the registration must be in the same one.
tenant=$(ask account show --query tenantId)
home=$(ask identity show --resource-group "$group" --name "$identity" --query tenantId)
[[ $home == "$tenant" ]] || fail "The identity $identity is in the tenant $home, and you are signed in to $tenant."
principal=$(ask identity show --resource-group "$group" --name "$identity" --query principalId)
trusted=$(printf '%s\t%s\t%s' "https://login.microsoftonline.com/$tenant/v2.0" "$principal" "$audience")

# 2. The registration with its roles.
made=''
client=$(ask ad app list --filter "displayName eq '$name'" --query '[].appId')
[[ $client != *$'\n'* ]] || fail "Several registrations are called $name:"$'\n'"$client"
if [[ -z $client ]]; then
  client=$(ask ad app create --display-name "$name" --sign-in-audience AzureADMyOrg \
    --requested-access-token-version 2 --app-roles "$roles" --query appId)
  made=yes
  did "Made the registration $name with its roles."
fi
found=$(ask_again ad app show --id "$client" --query 'appRoles[].[value, id]' | LC_ALL=C sort)
# Roles for one system or target are made by hand, and stay.
one_of=$'^(reader|operator|admin)\\.[A-Za-z0-9_-]+\t'
limited=$(grep -E "$one_of" <<< "$found" || true)
[[ $(grep -vE "$one_of" <<< "$found" || true) == "$expected_roles" ]] ||
  fail "The registration $name ($client) has other roles than reader, operator and admin of this script:
$found
Delete it if nobody uses it (az ad app delete --id $client), or give another NAME."
uris=$(ask_again ad app show --id "$client" --query identifierUris)
if [[ $'\n'$uris$'\n' != *$'\n'api://$client$'\n'* ]]; then
  ask_again ad app update --id "$client" --identifier-uris "api://$client"
  did "Set its identifier URI."
fi

# 3. What a person needs: a scope, and the Azure CLI as a client that may ask for it.
found=$(ask_again ad app show --id "$client" --query 'api.oauth2PermissionScopes[].id')
version=$(ask_again ad app show --id "$client" --query api.requestedAccessTokenVersion)
if [[ $found != *$scope* || $version != 2 ]]; then
  ask_again rest --method PATCH --url "$graph/applications(appId='$client')" --body "{\"api\": {$scopes}}"
  made=yes
  did "Set its scope."
fi
found=$(ask_again ad app show --id "$client" --query 'api.preAuthorizedApplications[].appId')
if [[ $found != *$azure_cli* ]]; then
  ask_again rest --method PATCH --url "$graph/applications(appId='$client')" \
    --body "{\"api\": {$scopes, $preauthorized}}"
  did "Admitted the Azure CLI."
fi

# 4. Whom it trusts in place of a secret.
found=$(ask_again ad app federated-credential list --id "$client" --query '[].[issuer, subject, audiences[0]]')
if [[ -z $found ]]; then
  ask_again ad app federated-credential create --id "$client" --parameters "{
    \"name\": \"nightshift\", \"description\": \"The identity of the Function App\",
    \"issuer\": \"https://login.microsoftonline.com/$tenant/v2.0\", \"subject\": \"$principal\",
    \"audiences\": [\"$audience\"]}" > /dev/null
  did "Made it trust the identity $identity."
elif [[ $found != "$trusted" ]]; then
  fail "The registration $name ($client) trusts something else than the identity $identity ($principal):
$found
If the identity was made anew, delete the credential (az ad app federated-credential list and delete, with
--id $client) and run this again. If another deployment uses the registration, give another NAME."
fi

# 5. Its service principal: only who has a role gets a token.
service=$(ask_again ad sp list --filter "appId eq '$client'" --query '[].id')
if [[ -z $service ]]; then
  service=$(ask_again ad sp create --id "$client" --query id)
  made=yes
  did "Made its service principal."
fi
required=$(ask_again ad sp show --id "$service" --query appRoleAssignmentRequired)
if [[ $required != true ]]; then
  ask_again ad sp update --id "$service" --set appRoleAssignmentRequired=true
  did "Made an assignment required."
fi

cat <<END
signInClientId: $client

Put it into infra/environments/$environment.bicepparam, and deploy:

  param signInClientId = '$client'

Give a caller a role. CALLER is an object id:
  of an app, a flow's for example:  az ad sp show --id CLIENT_ID --query id --output tsv
  of a person:                      az ad user show --id NAME@COMPANY --query id --output tsv

  az rest --method POST --url $graph/servicePrincipals/$service/appRoleAssignedTo \\
    --body '{"principalId": "CALLER", "resourceId": "$service", "appRoleId": "ROLE"}'

  ROLE  reader    $reader
        operator  $operator
        admin     $admin${limited:+
$(sed 's/^/        /' <<< "$limited")}

A caller asks for a token for   api://$client/.default
END
