// Written by `python -m local docs` from settings.py, targets.py and credential_settings.py in shared/core/.
// A name is that of the app setting, in lower case. Bicep knows no fractions, so all times are whole numbers.

@export()
@sealed()
@description('The settings of the app; what is left out has its default.')
type appSettings = {
  @description('The app\'s public URL for `Location` and links, such as `https://nightshift.example.com`. Empty: that of the request.')
  public_url: string?

  @description('Maximum size of a request body, in bytes.')
  @minValue(1)
  @maxValue(220200960)
  max_body: int?

  @description('Seconds that a call waits for its run before it returns 202; `Prefer: wait=N` overrides it.')
  @minValue(0)
  @maxValue(100)
  wait_seconds: int?

  @description('Hours that a response is stored, and repeated under its Idempotency-Key; after that, it is 410.')
  @minValue(1)
  @maxValue(8760)
  result_retention_hours: int?

  @description('Days that a run is kept after it has ended: its report, and its place in the list of runs.')
  @minValue(1)
  @maxValue(3650)
  run_retention_days: int?

  @description('Minutes that the run of a call retries while a system can\'t be reached or is throttling; a night retries until its window ends.')
  @minValue(0)
  @maxValue(1440)
  give_up_minutes: int?

  @description('Failed attempts in a row after which nights, sweeps and events skip an item; the `cap` of a rule overrides it.')
  @minValue(1)
  @maxValue(100)
  attempts_cap: int?

  @description('Hours that a run watches whether its items recover.')
  @minValue(1)
  @maxValue(24)
  follow_up_hours: int?

  @description('Minutes before the first, second, ... attempt that an event makes at an item that keeps failing; after the last one, the item is left to the sweep.')
  event_waits: string?

  @description('Maximum number of events per target that start a run within 10 minutes; the rest is left to the sweep.')
  @minValue(1)
  @maxValue(1000)
  storm_limit: int?

  @description('Hours after which a plan expires.')
  @minValue(1)
  @maxValue(168)
  plan_ttl: int?

  @description('What the nightly sweep does: nothing, make a plan to approve, or apply what the policy allows.')
  sweep_mode: ('off' | 'plan' | 'apply')?

  @description('Start of the night: one or more times of day, such as `02:00,04:30`.')
  sweep_at: string?

  @description('End of the night; the sweep then gives up what is left.')
  sweep_until: string?

  @description('Time zone of these times, such as `Europe/Berlin`.')
  sweep_time_zone: string?

  @description('How many items a night sends at once: `careful` starts with 5 and grows as they recover; `all` sends all of them.')
  sweep_waves: ('careful' | 'all')?

  @description('`on`: the night retries those operations of the day\'s batches (business-central) that failed or were not attempted, as far as the policy allows it.')
  batch_retry: ('off' | 'on')?

  @description('Maximum number of items per target that a night processes.')
  @minValue(1)
  @maxValue(10000)
  sweep_cap: int?

  @description('Maximum number of jobs that a call of `set_retries` may select without its own `cap`; a larger selection is refused as a whole.')
  @minValue(1)
  @maxValue(10000)
  selection_cap: int?

  @description('When the card of a night is posted, such as `06:30` (in SWEEP_TIME_ZONE): the first such time after its last window has ended. Empty: as soon as the night is over.')
  report_at: string?
}

@export()
@sealed()
@description('The secrets of the app: for each, the name of a secret in the Key Vault.')
type appSecrets = {
  @description('The webhook of a flow that gets Adaptive Cards, such as that of a Teams workflow: after each night, and when something needs a person. Best a Key Vault reference, because it has a signature. Empty: nothing is posted.')
  notify_url: string?
}

@export()
@sealed()
@description('The secrets of a target: for each, the name of a secret in the Key Vault.')
type targetSecrets = {
  @description('The client secret; preferably a Key Vault reference (client-secret, refresh-token).')
  client_secret: string?

  @description('The certificate with its RSA private key: both in PEM, with line breaks that may be written as `\\n`, or a PFX in base64; preferably a Key Vault reference (certificate).')
  certificate: string?

  @description('The password of the PFX, or of the key in PEM, if it has one (certificate).')
  certificate_password: string?

  @description('The password; preferably a Key Vault reference (basic).')
  password: string?

  @description('The token, sent unchanged; preferably a Key Vault reference (bearer, ticket).')
  token: string?

  @description('The API key; preferably a Key Vault reference (api-key).')
  api_key: string?

  @description('The application token (client secret), sent as `SO-AppToken` (ticket, system-user).')
  app_token: string?

  @description('The refresh token of a person who has signed in (refresh-token).')
  refresh_token: string?

  @description('The system user token of app and tenant (system-user).')
  system_token: string?

  @description('The app\'s RSA key in PEM; line breaks may be written as `\\n` (system-user).')
  private_key: string?
}

@export()
@sealed()
@description('A target: a named connection to one system. What is left out has its default.')
type target = {
  @description('The target\'s name: letters, digits and _. Requests and reports show it in lower case.')
  @minLength(1)
  @maxLength(64)
  name: string

  @description('The id of the Entra tenant (client-secret, certificate, federated).')
  tenant: string?

  @description('The client id (client-secret, certificate, federated, refresh-token), or that of a user-assigned identity (managed-identity).')
  client_id: string?

  @description('`on`: the certificate is sent along, for an app that trusts a subject name and issuer instead of one certificate (certificate).')
  send_x5c: ('on' | 'off')?

  @description('The client id of the user-assigned identity whose token is the assertion; empty: the identity that the system assigned to the app (federated).')
  identity_client_id: string?

  @description('The audience of that token; national clouds have their own, such as `api://AzureADTokenExchangeUSGov` (federated).')
  assertion_audience: string?

  @description('The token issuer; national clouds have their own.')
  authority: string?

  @description('The token\'s scope. Empty: `{URL}/.default`, in lower case; for Business Central online `https://api.businesscentral.dynamics.com/.default`; for opendatadsl `api://opendatadsl/.default`. A camunda engine behind Entra needs one.')
  scope: string?

  @description('The user name, without a colon (basic).')
  username: string?

  @description('The e-mail address of the person whose key it is (api-key).')
  email: string?

  @description('How the API key is sent: as `basic` authentication, or in the `headers` `x-odsl-email` and `x-odsl-key` (api-key).')
  api_key_as: ('basic' | 'headers')?

  @description('The tenant of SuperOffice Online, such as `Cust12345`. The API\'s URL is then asked of the login host, which is the URL of the target (superoffice).')
  context: string?

  @description('The system: `finance-operations`, `business-central`, `camunda`, `superoffice` or `opendatadsl`.')
  system: 'finance-operations' | 'business-central' | 'camunda' | 'superoffice' | 'opendatadsl'

  @description('The system\'s base URL, such as `https://contoso.operations.dynamics.com`, `https://api.businesscentral.dynamics.com/v2.0/{tenant}/{environment}`, or `https://camunda.example.com/engine-rest`; a named engine is `.../engine-rest/engine/{name}`. For superoffice up to `/api`, such as `https://crm.example.com/SuperOffice/api`; with a CONTEXT the login host of SuperOffice Online, such as `https://online.superoffice.com`. For opendatadsl up to `/api`, such as `https://api.opendatadsl.com/api`.')
  url: string

  @description('The kind of credential: `client-secret`, `certificate`, `federated`, or this app\'s `managed-identity`; for camunda also `none`, `basic` or `bearer`; for superoffice `basic`, `ticket`, `refresh-token` or `system-user`; for opendatadsl also `api-key`.')
  auth:
    | 'none'
    | 'basic'
    | 'bearer'
    | 'client-secret'
    | 'certificate'
    | 'federated'
    | 'managed-identity'
    | 'api-key'
    | 'ticket'
    | 'refresh-token'
    | 'system-user'

  @description('A file of CA certificates to trust instead of the public ones.')
  ca_file: string?

  @description('Quiet hours, in which nights send nothing, such as `22:00-23:30`; in SWEEP_TIME_ZONE, or with an offset such as `22:00-23:30 UTC+1`. For superoffice `01:00-03:00 UTC+1` unless set, when SuperOffice Online restarts its servers; `none` switches them off.')
  quiet: string?

  @description('Connect timeout in seconds.')
  @minValue(1)
  @maxValue(30)
  connect_timeout: int?

  @description('Read timeout: seconds after which a response that has not come as a whole counts as lost.')
  @minValue(1)
  @maxValue(660)
  read_timeout: int?

  @description('Maximum size of a response in bytes, after decompression; a larger one counts as lost.')
  @minValue(1000000)
  @maxValue(350000000)
  answer_bytes: int?

  @description('Minutes after a call during which the system may still start to process it. A call without a response is repeated only if the system shows no effect after that time.')
  @minValue(1)
  @maxValue(60)
  late_effect_minutes: int?

  @description('The company for operations that name none (business-central).')
  company: string?

  @description('Maximum number of operations per `$batch` (business-central).')
  @minValue(1)
  @maxValue(1000)
  batch_operations: int?

  @description('Maximum size of a `$batch` in bytes (business-central).')
  @minValue(1024)
  @maxValue(350000000)
  batch_bytes: int?

  @description('Read timeout of a `$batch` (business-central), in seconds. When a host dies, its chunks in flight are waited for that long and one minute more.')
  @minValue(1)
  @maxValue(660)
  batch_timeout: int?

  @description('Maximum number of `$batch` calls, or parts, in flight (business-central, opendatadsl).')
  @minValue(1)
  @maxValue(50)
  in_flight: int?

  @description('The engine\'s version, such as `7.24.0`, if `GET /version` can\'t be called (camunda).')
  engine_version: string?

  @description('The URL of Cockpit, such as `https://camunda.example.com/camunda/app/cockpit/default`; links of failures lead there (camunda).')
  cockpit_url: string?

  @description('Page size of queries; at most the engine\'s `queryMaxResultsLimit` (camunda).')
  @minValue(1)
  @maxValue(10000)
  page_size: int?

  @description('What happens to fields of a task that SuperOffice sets itself: `drop`, named in the header `Nightshift-Ignored`, or `refuse` (superoffice).')
  owned_fields: ('drop' | 'refuse')?

  @description('The field of a task to which its mark is added (superoffice).')
  mark_field: ('Request' | 'Description')?

  @description('Retries that a night sets for a failed job (camunda).')
  @minValue(1)
  @maxValue(100)
  retries: int?

  @description('The data environment, sent with every call (opendatadsl).')
  environment: string?

  @description('The member in which a process gets its input; the documents have both (opendatadsl).')
  input_key: ('body' | 'input')?

  @description('Maximum number of elements that are sent at once (opendatadsl).')
  @minValue(1)
  @maxValue(10000)
  part_elements: int?

  @description('Their maximum size in bytes (opendatadsl).')
  @minValue(1024)
  @maxValue(100000000)
  part_bytes: int?

  @description('Its secrets. The Key Vault is created as soon as a target has some.')
  secrets: targetSecrets?
}
