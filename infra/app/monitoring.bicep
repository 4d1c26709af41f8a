// Where the app's logs go: a workspace, and Application Insights on it. Only identities may write.

@description('The name of the workspace.')
param workspaceName string

@description('The name of Application Insights.')
param name string

@description('Where they are created.')
param location string

@description('The tags of all resources.')
param tags object

@description('The object id of the app\'s identity.')
param principalId string

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param days int

@description('Gigabytes a day after which no more logs are taken, so that a loop can\'t cost a fortune; -1: no limit.')
param dailyGigabytes int

var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    retentionInDays: days
    sku: { name: 'PerGB2018' }
    features: { disableLocalAuth: true, enableLogAccessUsingOnlyResourcePermissions: true }
    workspaceCapping: { dailyQuotaGb: dailyGigabytes }
  }
}

resource component 'Microsoft.Insights/components@2020-02-02' = {
  name: name
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
    IngestionMode: 'LogAnalytics'
  }
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(component.id, principalId, metricsPublisher)
  scope: component
  properties: {
    description: 'Monitoring Metrics Publisher for Nightshift'
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

@description('The resource id of the workspace.')
output workspaceId string = workspace.id

@description('The resource id of Application Insights.')
output componentId string = component.id

@description('Its connection string. It has no secret: without a token of an identity with the role nothing is taken.')
output connectionString string = component.properties.ConnectionString
