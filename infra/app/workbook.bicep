// A page in the portal: the last nights, what needed a person, and calls that failed. It needs no more than reading logs.

@description('Where it is kept.')
param location string

@description('The tags of all resources.')
param tags object

@description('The resource id of Application Insights.')
param componentId string

@description('The name that people see.')
param title string

type part = {
  title: string
  query: string
  visualization: 'table' | 'timechart'
}

var parts part[] = [
  {
    title: 'The last nights: what was sent, and what recovered'
    query: loadTextContent('../queries/nights.kql')
    visualization: 'table'
  }
  {
    title: 'What needed a person'
    query: loadTextContent('../queries/needs.kql')
    visualization: 'table'
  }
  {
    title: 'Runs with outcomes that are not known'
    query: loadTextContent('../queries/unknown.kql')
    visualization: 'table'
  }
  {
    title: 'Calls of systems that failed'
    query: loadTextContent('../queries/calls.kql')
    visualization: 'timechart'
  }
]

var period = {
  type: 9
  content: {
    version: 'KqlParameterItem/1.0'
    style: 'pills'
    parameters: [
      {
        id: guid(componentId, 'period')
        version: 'KqlParameterItem/1.0'
        name: 'Period'
        label: 'Period'
        type: 4
        isRequired: true
        value: { durationMs: 604800000 }
        typeSettings: {
          selectableValues: [{ durationMs: 86400000 }, { durationMs: 604800000 }, { durationMs: 2592000000 }]
          allowCustom: true
        }
      }
    ]
  }
  name: 'period'
}

var items = [
  for (one, place) in parts: {
    type: 3
    content: {
      version: 'KqlItem/1.0'
      title: one.title
      query: one.query
      size: 0
      queryType: 0
      resourceType: 'microsoft.insights/components'
      timeContextFromParameter: 'Period'
      visualization: one.visualization
      showExportToExcel: true
    }
    name: 'part-${place}'
  }
]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(componentId, 'nightshift')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: title
    category: 'workbook'
    sourceId: componentId
    version: 'Notebook/1.0'
    serializedData: string({
      version: 'Notebook/1.0'
      items: concat([period], items)
      fallbackResourceIds: [componentId]
    })
  }
}
