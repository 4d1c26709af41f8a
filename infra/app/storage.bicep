// The storage account of the app: the package, the Durable Functions hub (blobs, queues, tables), and the records of
// Nightshift. Shared keys are off; only identities come in.

@description('The name of the account, 3 to 24 letters and digits.')
@minLength(3)
@maxLength(24)
param name string

@description('Where it is created.')
param location string

@description('The tags of all resources.')
param tags object

@description('The replication of the account: in one datacenter, over zones, or to another region.')
param sku 'Standard_LRS' | 'Standard_ZRS' | 'Standard_GRS' | 'Standard_GZRS'

@description('The object id of the app\'s identity.')
param principalId string

@description('The workspace that gets the logs of reads, writes and deletes.')
param workspaceId string

@description('The blob container of the package.')
param packageContainer string

@description('The blob container of the records: runs, keys, claims, the policy.')
param recordContainer string

@description('The blob container of the audit trail.')
param auditContainer string

@description('Days after which the audit trail is deleted.')
@minValue(30)
param auditDays int

@description('Days in which nothing in the audit container can be changed or deleted; 0: it can. It can only be made longer once it is locked in the portal.')
@minValue(0)
param auditImmutableDays int

// Roles, by their ids (Azure built-in roles). The host needs the owner's role on blobs for its leases; Durable
// Functions needs queues and tables as well.
var roles = {
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'Storage Queue Data Contributor': '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    // The platform reads the package from here; the app reaches it from the subnet or from the internet.
    networkAcls: { defaultAction: 'Allow', bypass: 'AzureServices' }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: { enabled: true, days: 7 }
      containerDeleteRetentionPolicy: { enabled: true, days: 7 }
    }

    resource package 'containers' = {
      name: packageContainer
      properties: { publicAccess: 'None' }
    }

    resource records 'containers' = {
      name: recordContainer
      properties: { publicAccess: 'None' }
    }

    resource audit 'containers' = {
      name: auditContainer
      properties: { publicAccess: 'None' }

      resource immutable 'immutabilityPolicies' = if (auditImmutableDays > 0) {
        name: 'default'
        properties: {
          allowProtectedAppendWrites: true
          immutabilityPeriodSinceCreationInDays: auditImmutableDays
        }
      }
    }
  }

  resource queues 'queueServices' = {
    name: 'default'
  }

  resource tables 'tableServices' = {
    name: 'default'
  }

  resource lifecycle 'managementPolicies' = {
    name: 'default'
    properties: {
      policy: {
        rules: [
          // Not the records: the app removes what belongs together, in an order that leaves no half a run.
          {
            name: 'old-audit'
            enabled: true
            type: 'Lifecycle'
            definition: {
              filters: { blobTypes: ['blockBlob', 'appendBlob'], prefixMatch: ['${auditContainer}/'] }
              actions: {
                baseBlob: { delete: { daysAfterModificationGreaterThan: max(auditDays, auditImmutableDays) } }
              }
            }
          }
        ]
      }
    }
    dependsOn: [blobs]
  }
}

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(roles): {
    name: guid(account.id, principalId, role.value)
    scope: account
    properties: {
      description: '${role.key} for Nightshift'
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
    }
  }
]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: account::blobs
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'StorageDelete', enabled: true }]
    metrics: [{ category: 'Transaction', enabled: true }]
  }
}

@description('The name of the account.')
output name string = account.name

@description('The addresses of its services.')
output endpoints {
  blob: string
  queue: string
  table: string
} = {
  blob: account.properties.primaryEndpoints.blob
  queue: account.properties.primaryEndpoints.queue
  table: account.properties.primaryEndpoints.table
}
