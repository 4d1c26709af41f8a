// A network for outbound calls, for systems that are not on the internet. Peer it with the network of the system, and
// give the names of the system to its DNS. Inbound calls still come from the internet.

@description('The name of the network.')
param name string

@description('The name of the subnet.')
param subnetName string

@description('Where it is created.')
param location string

@description('The tags of all resources.')
param tags object

@description('The addresses of the network, such as 10.80.0.0/24; the subnet takes all of them.')
param addressPrefix string

resource rules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-nsg'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'nothing-comes-in'
        properties: {
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: subnetName
        properties: {
          addressPrefix: addressPrefix
          networkSecurityGroup: { id: rules.id }
          // Flex Consumption runs on what the name says; the subnet can't be shared with App Service plans.
          delegations: [{ name: 'functions', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
    ]
  }
}

@description('The resource id of the subnet.')
output subnetId string = network.properties.subnets[0].id
