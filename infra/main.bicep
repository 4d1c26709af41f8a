// Everything that Nightshift needs on Azure, in one resource group. No secret is written anywhere: identities sign in,
// and what a system wants as a secret is kept in the Key Vault and set by a person.
//
// docs/deploy.md tells it step by step.

targetScope = 'subscription'

import { appSecrets, appSettings, target } from 'app/types.bicep'

@description('The name of the environment, such as dev or prod. It stands in the names of all resources.')
@minLength(1)
@maxLength(20)
param environmentName string

@description('The region. It must offer Flex Consumption.')
param location string

@description('More tags for all resources.')
param tags object = {}

@description('The settings of the app; what is left out has its default (docs/settings.md).')
param settings appSettings = {}

@description('The secrets of the app: names of secrets in the Key Vault.')
param settingReferences appSecrets = {}

@description('The targets: named connections to systems.')
param targets target[] = []

@description('Memory of an instance in MB.')
param memory 512 | 2048 | 4096 = 2048

@description('The most instances. Few are enough: a run is shared by them, and the systems must bear it.')
@minValue(1)
@maxValue(1000)
param mostInstances int = 40

@description('Calls that an instance takes at once. Python\'s own value is 1, and each waiting call would hold a machine.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 32

@description('Instances for calls that are always on: no cold start, at a price (docs/deploy.md).')
@minValue(0)
param alwaysReadyHttp int = 0

@description('Instances for runs and timers that are always on, at a price (docs/deploy.md).')
@minValue(0)
param alwaysReadyDurable int = 0

@description('The addresses of a network for outbound calls, such as 10.80.0.0/24, which is created; empty: none.')
param networkAddresses string = ''

@description('A subnet that exists already, delegated to Microsoft.App/environments; it counts more than networkAddresses.')
param subnetId string = ''

@description('Sign-in with Entra: the client id of the registration that infra/entra.sh makes; empty: function keys only.')
param signInClientId string = ''

@description('The client ids of the apps that may call, if sign-in is on; empty: all that can get a token.')
param signInCallers string[] = []

@description('The replication of the storage account.')
param storageSku 'Standard_LRS' | 'Standard_ZRS' | 'Standard_GRS' | 'Standard_GZRS' = 'Standard_ZRS'

@description('Days after which the audit trail is deleted.')
@minValue(30)
@maxValue(3650)
param auditDays int = 730

@description('Days in which nothing in the audit container can be changed or deleted; 0: it can.')
@minValue(0)
param auditImmutableDays int = 0

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logDays int = 90

@description('Gigabytes of logs a day after which no more are taken; -1: no limit.')
param logGigabytes int = 1

@description('The object id of the person or group that sets the secrets in the Key Vault; empty: somebody gets the role by hand.')
param vaultOfficerId string = ''

@description('Whether that is a person or a group.')
param vaultOfficerType 'User' | 'Group' = 'Group'

@description('Who gets the alerts by e-mail; empty: nobody, and there are no alerts.')
param alertEmails string[] = []

@description('A monthly budget of the resource group; null: none. It needs alertEmails.')
param budget {
  @description('The amount, in the currency of the subscription.')
  @minValue(1)
  amount: int

  @description('The first day of the month in which it begins, such as 2026-12-01. It can\'t be changed later.')
  from: string
}?

var names = loadJsonContent('abbreviations.json')
var token = toLower(uniqueString(subscription().id, environmentName, location))
var base = 'nightshift-${environmentName}'
var allTags = union(tags, { 'azd-env-name': environmentName, application: 'nightshift' })
var container = { package: 'package', records: 'nightshift', audit: 'audit' }
var hasSecrets = !empty(settingReferences) || !empty(filter(targets, one => !empty(one.?secrets ?? {})))
var makesNetwork = !empty(networkAddresses) && empty(subnetId)
// Only targets of systems with failures of their own have a night; Business Central's is another setting.
var nightTargets = (settings.?sweep_mode ?? 'plan') == 'off'
  ? []
  : map(filter(targets, one => one.system != 'business-central'), one => toLower(one.name))

resource resourceGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: '${names.resourceGroup}${base}'
  location: location
  tags: allTags
}

module identity 'app/identity.bicep' = {
  scope: resourceGroup
  params: { name: '${names.userAssignedIdentity}${base}', location: location, tags: allTags }
}

module monitoring 'app/monitoring.bicep' = {
  scope: resourceGroup
  params: {
    workspaceName: '${names.logAnalyticsWorkspace}${base}'
    name: '${names.applicationInsights}${base}'
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    days: logDays
    dailyGigabytes: logGigabytes
  }
}

module storage 'app/storage.bicep' = {
  scope: resourceGroup
  params: {
    name: '${names.storageAccount}nightshift${take(token, 12)}'
    location: location
    tags: allTags
    sku: storageSku
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    packageContainer: container.package
    recordContainer: container.records
    auditContainer: container.audit
    auditDays: auditDays
    auditImmutableDays: auditImmutableDays
  }
}

module vault 'app/vault.bicep' = if (hasSecrets) {
  scope: resourceGroup
  params: {
    name: '${names.keyVault}nightshift-${take(token, 10)}'
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    officerId: vaultOfficerId
    officerType: vaultOfficerType
    workspaceId: monitoring.outputs.workspaceId
  }
}

module network 'app/network.bicep' = if (makesNetwork) {
  scope: resourceGroup
  params: {
    name: '${names.virtualNetwork}${base}'
    subnetName: '${names.subnet}functions'
    location: location
    tags: allTags
    addressPrefix: networkAddresses
  }
}

module function 'app/function.bicep' = {
  scope: resourceGroup
  params: {
    name: '${names.functionApp}${base}-${take(token, 6)}'
    planName: '${names.appServicePlan}${base}'
    location: location
    tags: allTags
    identityId: identity.outputs.id
    clientId: identity.outputs.clientId
    storage: storage.outputs.endpoints
    packageContainer: container.package
    recordContainer: container.records
    auditContainer: container.audit
    auditDays: auditDays
    insights: monitoring.outputs.connectionString
    workspaceId: monitoring.outputs.workspaceId
    vaultUri: hasSecrets ? vault!.outputs.uri : ''
    subnetId: makesNetwork ? network!.outputs.subnetId : subnetId
    settings: settings
    settingReferences: settingReferences
    targets: targets
    scaling: {
      memory: memory
      mostInstances: mostInstances
      httpConcurrency: httpConcurrency
      alwaysReadyHttp: alwaysReadyHttp
      alwaysReadyDurable: alwaysReadyDurable
    }
    signIn: empty(signInClientId) ? null : { clientId: signInClientId, callers: signInCallers }
  }
}

module alerts 'app/alerts.bicep' = if (!empty(alertEmails)) {
  scope: resourceGroup
  params: {
    groupName: '${names.actionGroup}${base}'
    prefix: '${names.scheduledQueryRule}${base}-'
    location: location
    tags: allTags
    componentId: monitoring.outputs.componentId
    emails: alertEmails
    nightTargets: nightTargets
    budget: budget
    budgetName: '${names.budget}${base}'
  }
}

module workbook 'app/workbook.bicep' = {
  scope: resourceGroup
  params: {
    location: location
    tags: allTags
    componentId: monitoring.outputs.componentId
    title: 'Nightshift ${environmentName}'
  }
}

@description('The name of the resource group.')
output resourceGroupName string = resourceGroup.name

@description('The name of the Function App.')
output functionAppName string = function.outputs.name

@description('The host name of the Function App: calls go to https://{host}/api.')
output functionAppHost string = function.outputs.host

@description('The client id of the app\'s identity: the systems register it.')
output identityClientId string = identity.outputs.clientId

@description('The object id of the app\'s identity: the subject of a federated credential.')
output identityPrincipalId string = identity.outputs.principalId

@description('The name of the Key Vault; empty if no target has secrets.')
output keyVaultName string = hasSecrets ? vault!.outputs.name : ''
