/** Tools that answer at once, or tell on the way how far they are. */
import { setTimeout as delay } from 'node:timers/promises'
import {
  MissingRequiredClientCapabilityError,
  type CallToolResult,
  type ServerContext,
  type Tool,
} from '@modelcontextprotocol/server'
import { type FixtureTool, text } from './fixture-tools.ts'
import { capabilitiesOf } from './client-capabilities.ts'
import { PIXEL_PNG, QUIET_WAV } from './everything-media.ts'

/** Long enough that what is told between two of them comes as messages of their own. */
const STEP_MS = 50

export const CONTENT_TOOLS: readonly FixtureTool[] = [
  ...Object.entries(contents()).map(([name, content]) => ({
    name,
    description: `Answers with ${name.slice('test_'.length)}`,
    call: () => ({ content: [...content] }),
  })),
  {
    name: 'test_error_handling',
    description: 'Always fails',
    call: () => {
      throw new Error('This tool intentionally returns an error for testing')
    },
  },
  { name: 'test_tool_with_progress', description: 'Tells its progress three times', call: withProgress },
  { name: 'test_tool_with_logging', description: 'Logs three times', call: withLogging },
  { name: 'test_logging_tool', description: 'Logs three times', call: withLogging },
  { name: 'test_missing_capability', description: 'Needs a client that can sample', call: needsSampling },
  {
    name: 'json_schema_2020_12_tool',
    description: 'Has a rich schema',
    inputSchema: richSchema(),
    call: () => text('The parameters were valid.'),
  },
]

function contents(): Readonly<Record<string, CallToolResult['content']>> {
  const image = { type: 'image', data: PIXEL_PNG, mimeType: 'image/png' } as const
  return {
    test_simple_text: [{ type: 'text', text: 'This is a simple text response for testing.' }],
    test_image_content: [image],
    test_audio_content: [{ type: 'audio', data: QUIET_WAV, mimeType: 'audio/wav' }],
    test_embedded_resource: [
      {
        type: 'resource',
        resource: { uri: 'test://embedded-resource', mimeType: 'text/plain', text: 'This is an embedded resource content.' },
      },
    ],
    test_multiple_content_types: [
      { type: 'text', text: 'Multiple content types test:' },
      image,
      {
        type: 'resource',
        resource: { uri: 'test://mixed-content-resource', mimeType: 'application/json', text: '{"test":"data","value":123}' },
      },
    ],
  }
}

async function withProgress(context: ServerContext): Promise<CallToolResult> {
  const progressToken = context.mcpReq._meta?.progressToken
  for (const progress of [0, 50, 100]) {
    if (progressToken !== undefined)
      await context.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } })
    await delay(STEP_MS)
  }
  return text('All steps are done.')
}

/** A client of 2026-07-28 sees these only if its request asked for them. */
async function withLogging(context: ServerContext): Promise<CallToolResult> {
  for (const message of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
    await context.mcpReq.log('info', message)
    await delay(STEP_MS)
  }
  return text('Everything is logged.')
}

function needsSampling(context: ServerContext): CallToolResult {
  if (capabilitiesOf(context).sampling === undefined)
    throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: {} } })
  return text('The client can sample.')
}

/** The keywords that a list of tools must not lose. */
function richSchema(): Tool['inputSchema'] {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: {
      address: {
        $anchor: 'addressDef',
        type: 'object',
        properties: { street: { type: 'string' }, city: { type: 'string' } },
      },
    },
    properties: {
      name: { type: 'string' },
      address: { $ref: '#/$defs/address' },
      contactMethod: { type: 'string', enum: ['phone', 'email'] },
      phone: { type: 'string' },
      email: { type: 'string' },
    },
    allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
    if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
    // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
    then: { required: ['phone'] },
    else: { required: ['email'] },
    additionalProperties: false,
  }
}
