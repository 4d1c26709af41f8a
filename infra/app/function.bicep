// The Function App on Flex Consumption, with its settings.

import { appSecrets, appSettings, target } from 'types.bicep'

@description('The name of the app.')
param name string

@description('The name of its plan.')
param planName string

@description('Where they are created.')
param location string

@description('The tags of all resources.')
param tags object

@description('The resource id of the app\'s identity.')
param identityId string

@description('The client id of the app\'s identity.')
param clientId string

@description('The addresses of the storage account.')
param storage {
  blob: string
  queue: string
  table: string
}

@description('The blob container of the package.')
param packageContainer string

@description('The blob container of the records.')
param recordContainer string

@description('The blob container of the audit trail.')
param auditContainer string

@description('Days after which the app deletes entries of the audit trail.')
param auditDays int

@description('The connection string of Application Insights.')
param insights string

@description('The workspace that gets the logs of the host.')
param workspaceId string

@description('The address of the Key Vault; empty if no target has secrets.')
param vaultUri string

@description('The subnet of outbound calls; empty: they leave from Azure\'s own addresses.')
param subnetId string

@description('The settings of the app.')
param settings appSettings

@description('The secrets of the app: names of secrets in the Key Vault.')
param settingReferences appSecrets

@description('The targets.')
param targets target[]

@description('How the app scales.')
param scaling {
  @description('Memory of an instance in MB.')
  memory: 512 | 2048 | 4096

  @description('The most instances; fewer of them protect the systems.')
  @minValue(1)
  @maxValue(1000)
  mostInstances: int

  @description('Calls that an instance takes at once.')
  @minValue(1)
  @maxValue(1000)
  httpConcurrency: int

  @description('Instances for calls that are always on, each at a price.')
  @minValue(0)
  alwaysReadyHttp: int

  @description('Instances for runs and timers that are always on, each at a price.')
  @minValue(0)
  alwaysReadyDurable: int
}

@description('Sign-in with Entra instead of keys alone: the registration that `infra/entra.sh` makes. Null: function keys only.')
param signIn {
  @description('The client id of the registration.')
  clientId: string

  @description('The client ids of the apps that may call; empty: all that can get a token.')
  callers: string[]
}?

var off = ['name', 'secrets']
var ready = [
  { name: 'http', instanceCount: scaling.alwaysReadyHttp }
  { name: 'durable', instanceCount: scaling.alwaysReadyDurable }
]

// The setting of a member: sweep_mode is SWEEP_MODE.
func texts(prefix string, members object) object =>
  toObject(
    filter(items(members), one => one.value != null),
    one => '${prefix}${toUpper(one.key)}',
    one => string(one.value)
  )

func references(prefix string, members object, vault string) object =>
  toObject(
    filter(items(members), one => one.value != null),
    one => '${prefix}${toUpper(one.key)}',
    one => '@Microsoft.KeyVault(SecretUri=${vault}secrets/${one.value})'
  )

var plain = [
  for one in targets: texts(
    'TARGETS__${toUpper(one.name)}__',
    toObject(
      filter(items(one), member => !contains(off, member.key)),
      member => string(member.key),
      member => member.value
    )
  )
]
var secret = [for one in targets: references('TARGETS__${toUpper(one.name)}__', one.?secrets ?? {}, vaultUri)]
// A target that signs in with an identity and names none means the app's.
var named = [
  for one in targets: one.auth == 'managed-identity'
    ? { 'TARGETS__${toUpper(one.name)}__CLIENT_ID': clientId }
    : one.auth == 'federated' ? { 'TARGETS__${toUpper(one.name)}__IDENTITY_CLIENT_ID': clientId } : {}
]
var ofPlatform = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: clientId
  AzureWebJobsStorage__blobServiceUri: storage.blob
  AzureWebJobsStorage__queueServiceUri: storage.queue
  AzureWebJobsStorage__tableServiceUri: storage.table
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${clientId};Authorization=AAD'
  // All is kept: alerts and the audit read the log, and a line would go with its trace.
  OTEL_TRACES_SAMPLER: 'microsoft.fixed_percentage'
  OTEL_TRACES_SAMPLER_ARG: '1'
  // The most that the Python worker takes. host.json leaves four of them to everything else.
  PYTHON_THREADPOOL_THREAD_COUNT: '32'
  STORE: 'blob'
  STORE_CONTAINER: recordContainer
  AUDIT_CONTAINER: auditContainer
  AUDIT_RETENTION_DAYS: string(auditDays)
}
// The app believes the headers of the platform only if the platform writes them, and starts with both or neither.
var ofSignIn = signIn == null
  ? { AUTH_ROLES: 'off' }
  : { AUTH_ROLES: 'on', OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID: clientId }

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
    functionAppConfig: {
      runtime: { name: 'python', version: '3.13' }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.blob}${packageContainer}'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: scaling.memory
        maximumInstanceCount: scaling.mostInstances
        alwaysReady: filter(ready, one => one.instanceCount > 0)
        // Python's own value is 1: each waiting call would hold a machine.
        triggers: { http: { perInstanceConcurrency: scaling.httpConcurrency } }
      }
    }
  }

  resource appsettings 'config' = {
    name: 'appsettings'
    // The app may believe the headers of the platform only once the platform writes them.
    dependsOn: [authentication]
    properties: shallowMerge([
      texts('', settings)
      ...named
      ...plain
      ...secret
      references('', settingReferences, vaultUri)
      ofPlatform
      ofSignIn
    ])
  }

  // Nobody signs in to deployment with a password.
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  // Deployed without sign-in as well: a resource that is left out would stay as it was.
  resource authentication 'config' = {
    name: 'authsettingsV2'
    properties: signIn == null
      ? { platform: { enabled: false } }
      : {
          platform: { enabled: true }
          globalValidation: {
            requireAuthentication: true
            unauthenticatedClientAction: 'Return401'
            // Events come with a key only, and name no caller.
            excludedPaths: ['/api/health', '/api/openapi.json', '/api/finance-operations/events']
          }
          identityProviders: {
            azureActiveDirectory: {
              enabled: true
              registration: {
                clientId: signIn!.clientId
                // A federated credential of the app's identity in place of a client secret.
                clientSecretSettingName: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
                openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
              }
              validation: {
                allowedAudiences: ['api://${signIn!.clientId}', signIn!.clientId]
                defaultAuthorizationPolicy: empty(signIn!.callers) ? {} : { allowedApplications: signIn!.callers }
              }
            }
          }
          login: { tokenStore: { enabled: false } }
        }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: app
  properties: {
    workspaceId: workspaceId
    // What the app itself logs goes to Application Insights.
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('The name of the app.')
output name string = app.name

@description('Its host name.')
output host string = app.properties.defaultHostName
