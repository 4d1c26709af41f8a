// The Key Vault with the secrets of targets. It is created only if a target has some. Bicep never sees a secret: a
// person sets it (`az keyvault secret set`), and the app reads it by its identity.

@description('The name of the vault, 3 to 24 characters.')
@minLength(3)
@maxLength(24)
param name string

@description('Where it is created.')
param location string

@description('The tags of all resources.')
param tags object

@description('The object id of the app\'s identity.')
param principalId string

@description('The object id of the person or group that sets the secrets; empty: somebody gets the role by hand.')
param officerId string

@description('Whether the officer is a person or a group.')
param officerType 'User' | 'Group'

@description('The workspace that gets the log of who read which secret.')
param workspaceId string

var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var secretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enablePurgeProtection: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    networkAcls: { defaultAction: 'Allow', bypass: 'AzureServices' }
  }
}

resource reading 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, principalId, secretsUser)
  scope: vault
  properties: {
    description: 'Key Vault Secrets User for Nightshift'
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
  }
}

resource setting 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(officerId)) {
  name: guid(vault.id, officerId, secretsOfficer)
  scope: vault
  properties: {
    description: 'Key Vault Secrets Officer for who sets the secrets of Nightshift'
    principalId: officerId
    principalType: officerType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsOfficer)
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'AuditEvent', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('The address of the vault.')
output uri string = vault.properties.vaultUri

@description('The name of the vault.')
output name string = vault.name
