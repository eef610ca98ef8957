import type { Json } from '../../json.ts'
import type { Definition, DirectiveDefinition, Item, ToolDefinition } from '../items/item.ts'
import { nameText } from './search-words.ts'

/** Enough to find a long document by, and a bound for the index. */
const MAX_BODY_CHARACTERS = 20_000

/** What is searched of an item, the strongest part first. */
export interface ItemText {
  readonly name: string
  readonly description: string
  readonly body: string
}

export function itemText(item: Item): ItemText {
  const definition = item.state.kind === 'available' ? item.state.definition : null
  const title = definition?.kind === 'knowledge' ? definition.title : ''
  return {
    name: nameText(`${item.id} ${title}`),
    description: `${item.description} ${nameText(item.category)}`,
    body: definition === null ? '' : bodyText(definition).slice(0, MAX_BODY_CHARACTERS),
  }
}

function bodyText(definition: Definition): string {
  switch (definition.kind) {
    case 'tool':
      return toolText(definition)
    case 'directive':
      return directiveText(definition)
    case 'knowledge':
      return `${definition.tags.join(' ')}\n${definition.content}`
  }
}

function toolText(tool: ToolDefinition): string {
  const properties = tool.inputSchema?.['properties']
  const parameters: string[] = []
  if (isMap(properties)) {
    for (const [name, schema] of Object.entries(properties)) {
      const description = isMap(schema) ? schema['description'] : ''
      parameters.push(nameText(name), typeof description === 'string' ? description : '')
    }
  }
  const requires = tool.requires.map((requirement) => (typeof requirement === 'string' ? requirement : requirement.cap))
  return [tool.toolType, ...requires, ...parameters].join('\n')
}

function directiveText(directive: DirectiveDefinition): string {
  const inputs = directive.inputs.map(({ name, description }) => `${nameText(name)} ${description}`)
  const steps = directive.steps.map(({ name, text }) => `${nameText(name)} ${text}`)
  return [directive.context, ...inputs, ...steps, ...directive.successCriteria].join('\n')
}

function isMap(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
