using '../main.bicep'

// All five systems, as a company may have them: identities where the system takes them, secrets in the Key Vault where
// it does not. Replace the addresses and ids; the rest may stay.

param environmentName = 'prod'
param location = 'westeurope'
param tags = { owner: 'integration' }
param storageSku = 'Standard_ZRS'
param alwaysReadyHttp = 1
param auditImmutableDays = 365
// The group that sets the secrets in the Key Vault; the object id of yours.
param vaultOfficerId = '00000000-0000-0000-0000-000000000004'
param networkAddresses = '10.80.0.0/24'
param alertEmails = ['integration@example.com']
param budget = { amount: 100, from: '2026-12-01' }
// Nights make plans until sweep_mode is 'apply'.
param settings = {
  sweep_at: '02:00,04:30'
  sweep_time_zone: 'Europe/Berlin'
}
param targets = [
  {
    name: 'fo'
    system: 'finance-operations'
    url: 'https://contoso.operations.dynamics.com'
    auth: 'managed-identity'
  }
  {
    name: 'bc'
    system: 'business-central'
    url: 'https://api.businesscentral.dynamics.com/v2.0/00000000-0000-0000-0000-000000000001/production'
    auth: 'federated'
    tenant: '00000000-0000-0000-0000-000000000001'
    client_id: '00000000-0000-0000-0000-000000000002'
  }
  {
    name: 'camunda'
    system: 'camunda'
    url: 'https://camunda.contoso.internal/engine-rest'
    auth: 'basic'
    username: 'nightshift'
    secrets: { password: 'camunda-password' }
  }
  {
    name: 'superoffice'
    system: 'superoffice'
    url: 'https://online.superoffice.com'
    auth: 'system-user'
    context: 'Cust12345'
    secrets: {
      app_token: 'superoffice-app-token'
      system_token: 'superoffice-system-token'
      private_key: 'superoffice-private-key'
    }
  }
  {
    name: 'odsl'
    system: 'opendatadsl'
    url: 'https://api.opendatadsl.com/api'
    auth: 'certificate'
    tenant: '00000000-0000-0000-0000-000000000001'
    client_id: '00000000-0000-0000-0000-000000000003'
    secrets: { certificate: 'odsl-certificate' }
  }
]
