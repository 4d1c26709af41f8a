using '../main.bicep'

// A small environment for trying out, against sandboxes. Nights make plans; nothing is sent by itself.

param environmentName = 'dev'
param location = 'westeurope'
param storageSku = 'Standard_LRS'
param logDays = 30
param targets = [
  {
    name: 'fo'
    system: 'finance-operations'
    url: 'https://contoso.sandbox.operations.dynamics.com'
    auth: 'managed-identity'
  }
]
