/** Resources and prompts. */
import {
  acceptedContent,
  fromJsonSchema,
  inputRequired,
  ResourceTemplate,
  type GetPromptResult,
  type McpRequestContext,
  type McpServer,
} from '@modelcontextprotocol/server'
import { PIXEL_PNG } from './everything-media.ts'

export function addResources(mcp: McpServer, era: McpRequestContext['era']): void {
  mcp.registerResource('static-text', 'test://static-text', { description: 'Text', mimeType: 'text/plain' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'This is the content of the static text resource.' }],
  }))
  mcp.registerResource('static-binary', 'test://static-binary', { description: 'A pixel', mimeType: 'image/png' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'image/png', blob: PIXEL_PNG }],
  }))
  mcp.registerResource('watched', 'test://watched-resource', { description: 'Watched', mimeType: 'text/plain' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'Nobody changes this.' }],
  }))
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined })
  mcp.registerResource('template', template, { description: 'By id', mimeType: 'application/json' }, (uri, { id }) => ({
    contents: [
      {
        uri: uri.href,
        mimeType: 'application/json',
        text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${String(id)}` }),
      },
    ],
  }))
  if (era === 'modern') return
  // Nothing here changes, so there is nobody to remember.
  mcp.server.setRequestHandler('resources/subscribe', () => ({}))
  mcp.server.setRequestHandler('resources/unsubscribe', () => ({}))
}

export function addPrompts(mcp: McpServer): void {
  mcp.registerPrompt('test_simple_prompt', { description: 'A sentence' }, () => says('This is a simple prompt for testing.'))
  mcp.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'A sentence of two arguments', argsSchema: TWO_ARGUMENTS },
    ({ arg1, arg2 }) => says(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`),
  )
  mcp.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'A sentence and a resource', argsSchema: RESOURCE_ARGUMENT },
    ({ resourceUri }) => ({
      messages: [
        {
          role: 'user',
          content: {
            type: 'resource',
            resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' },
          },
        },
        { role: 'user', content: { type: 'text', text: 'Please process the embedded resource above.' } },
      ],
    }),
  )
  mcp.registerPrompt('test_prompt_with_image', { description: 'A sentence and a pixel' }, () => ({
    messages: [
      { role: 'user', content: { type: 'image', data: PIXEL_PNG, mimeType: 'image/png' } },
      { role: 'user', content: { type: 'text', text: 'Please analyze the image above.' } },
    ],
  }))
  mcp.server.setRequestHandler('completion/complete', ({ params }) => ({
    completion: { values: WORDS.filter((word) => word.startsWith(params.argument.value)) },
  }))
  mcp.registerPrompt('test_input_required_result_prompt', { description: 'Asks before it says anything' }, (context) => {
    const given = acceptedContent(context.mcpReq.inputResponses, 'user_context', CONTEXT_SCHEMA)
    if (given !== undefined) return says(`The context is ${given.context}.`)
    return inputRequired({
      inputRequests: {
        user_context: inputRequired.elicit({
          message: 'What context should the prompt use?',
          requestedSchema: { type: 'object', properties: { context: { type: 'string' } }, required: ['context'] },
        }),
      },
    })
  })
}

function says(text: string): GetPromptResult {
  return { messages: [{ role: 'user', content: { type: 'text', text } }] }
}

const WORDS = ['test', 'testing', 'other']

const TWO_ARGUMENTS = fromJsonSchema<{ arg1: string; arg2: string }>({
  type: 'object',
  properties: {
    arg1: { type: 'string', description: 'First test argument' },
    arg2: { type: 'string', description: 'Second test argument' },
  },
  required: ['arg1', 'arg2'],
})
const RESOURCE_ARGUMENT = fromJsonSchema<{ resourceUri: string }>({
  type: 'object',
  properties: { resourceUri: { type: 'string', description: 'URI of the resource to embed' } },
  required: ['resourceUri'],
})
const CONTEXT_SCHEMA = fromJsonSchema<{ context: string }>({
  type: 'object',
  properties: { context: { type: 'string' } },
  required: ['context'],
})
