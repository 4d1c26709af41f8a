// What tells people before users notice: alerts on the logs, sent to an action group; and a budget.

@description('The name of the action group.')
param groupName string

@description('What the names of alerts begin with.')
param prefix string

@description('Where the alerts are evaluated.')
param location string

@description('The tags of all resources.')
param tags object

@description('The resource id of Application Insights.')
param componentId string

@description('Who gets an e-mail.')
param emails string[]

@description('The names of the targets that each night looks at, in lower case.')
param nightTargets string[]

@description('A monthly budget of the resource group; null: none.')
param budget {
  @description('The amount, in the currency of the subscription; mails come at 80 % and 100 % of it.')
  @minValue(1)
  amount: int

  @description('The first day of the month in which it begins, such as 2026-12-01. It can\'t be changed later.')
  from: string
}?

@description('The name of the budget.')
param budgetName string

type alert = {
  @description('What happened, and what to do; it stands in the mail.')
  text: string

  @description('1: people must act; 2: look at it today.')
  severity: 1 | 2

  @description('The query; each row of its result is a finding.')
  query: string

  @description('The columns by which findings are told apart.')
  columns: string[]

  @description('How often the query runs.')
  every: 'PT5M' | 'PT15M' | 'PT1H'

  @description('The time that it looks back.')
  window: 'PT5M' | 'PT15M' | 'PT30M' | 'PT1H' | 'P1D' | 'P2D'
}

var nights alert = {
  text: 'A night did not begin for a target in the last 26 hours. Look at `GET systems`, the settings SWEEP_MODE and SWEEP_AT, and whether the app runs.'
  severity: 1
  query: replace(loadTextContent('../queries/night-did-not-run.kql'), '{targets}', string(nightTargets))
  columns: ['target']
  every: 'PT1H'
  window: 'P2D'
}

var always = {
  'cause-stopped': {
    text: 'A night stopped, because what it tried failed again. Fix the cause, then `retry` the run.'
    severity: 1
    query: loadTextContent('../queries/cause-stopped.kql')
    columns: ['target', 'run']
    every: 'PT15M'
    window: 'PT15M'
  }
  'needs-person': {
    text: 'Something needs a person: `GET needs-person` lists it, with what to do next.'
    severity: 2
    query: loadTextContent('../queries/needs-person.kql')
    columns: ['need', 'target']
    every: 'PT15M'
    window: 'PT15M'
  }
  unknown: {
    text: 'A run could not find out whether items took effect. Look at its report, then `check` it.'
    severity: 1
    query: loadTextContent('../queries/unknown.kql')
    columns: ['target', 'run']
    every: 'PT1H'
    window: 'P1D'
  }
  'target-unreachable': {
    text: 'A target can\'t be used. `GET systems` says why, and what to do.'
    severity: 1
    query: loadTextContent('../queries/target-unreachable.kql')
    columns: ['target']
    every: 'PT15M'
    window: 'PT30M'
  }
  throttled: {
    text: 'A target has been too busy for half an hour. Lower maxParallel or IN_FLIGHT, or move the night.'
    severity: 2
    query: loadTextContent('../queries/throttled.kql')
    columns: ['target']
    every: 'PT15M'
    window: 'PT30M'
  }
  broken: {
    text: 'A record is damaged, a run was ended from outside, or the store does not answer. Look at the state of the storage account and at `GET systems`, and `check` the run.'
    severity: 2
    query: loadTextContent('../queries/broken.kql')
    columns: ['what']
    every: 'PT15M'
    window: 'PT15M'
  }
  exceptions: {
    text: 'The app had exceptions. Look at them in Application Insights; report those of Nightshift as a defect.'
    severity: 2
    query: loadTextContent('../queries/exceptions.kql')
    columns: ['what']
    every: 'PT15M'
    window: 'PT15M'
  }
}

var alerts object = empty(nightTargets) ? always : union(always, { 'night-did-not-run': nights })

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: groupName
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'nightshift'
    enabled: true
    emailReceivers: [
      for (email, place) in emails: {
        name: 'mail-${place}'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for one in items(alerts): {
    name: '${prefix}${one.key}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Nightshift: ${one.key}'
      description: one.value.text
      severity: one.value.severity
      enabled: true
      scopes: [componentId]
      evaluationFrequency: one.value.every
      windowSize: one.value.window
      criteria: {
        allOf: [
          {
            query: one.value.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            dimensions: map(one.value.columns, column => { name: column, operator: 'Include', values: ['*'] })
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      autoMitigate: true
      actions: { actionGroups: [group.id] }
    }
  }
]

resource costs 'Microsoft.Consumption/budgets@2024-08-01' = if (budget != null) {
  name: budgetName
  properties: {
    category: 'Cost'
    amount: budget!.amount
    timeGrain: 'Monthly'
    timePeriod: { startDate: budget!.from }
    notifications: toObject([80, 100], percent => 'at-${percent}', percent => {
      enabled: true
      operator: 'GreaterThanOrEqualTo'
      threshold: percent
      thresholdType: 'Actual'
      contactEmails: emails
      contactGroups: [group.id]
    })
  }
}
