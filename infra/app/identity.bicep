// The identity of the app. It signs in everywhere: to the storage, the monitoring, the vault, and (federated or
// managed-identity) to the systems. It outlives the app, so that what trusts it need not be set up again.

@description('The name of the identity.')
param name string

@description('Where it is created.')
param location string

@description('The tags of all resources.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('The resource id of the identity.')
output id string = identity.id

@description('Its client id: CLIENT_ID or IDENTITY_CLIENT_ID of a target, and what Business Central and F&O register.')
output clientId string = identity.properties.clientId

@description('The object id of its service principal, which roles are assigned to.')
output principalId string = identity.properties.principalId
