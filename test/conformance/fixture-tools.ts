import {
  fromJsonSchema,
  ProtocolError,
  ProtocolErrorCode,
  type CallToolResult,
  type InputRequiredResult,
  type Server,
  type ServerContext,
  type Tool,
} from '@modelcontextprotocol/server'

type Arguments = Readonly<Record<string, unknown>>
type Answer = CallToolResult | InputRequiredResult

export interface FixtureTool {
  readonly name: string
  readonly description: string
  /** Default: no parameters. */
  readonly inputSchema?: Tool['inputSchema']
  /** `given` fits the schema. What it throws is told to the model, unless it is an error of the protocol. */
  readonly call: (context: ServerContext, given: Arguments) => Answer | Promise<Answer>
}

/**
 * Lists the tools and calls them. By hand, as Kiwi's own service does it: the higher class of the library turns errors of the protocol into results.
 */
export function serveTools(server: Server, tools: readonly FixtureTool[]): void {
  const shown = tools.map(({ name, description, inputSchema = NO_PARAMETERS }) => ({ name, description, inputSchema }))
  server.setRequestHandler('tools/list', () => ({ tools: shown }))
  server.setRequestHandler('tools/call', async ({ params }, context) => {
    const tool = tools.find(({ name }) => name === params.name)
    if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `There is no tool ${params.name}.`)
    try {
      return await tool.call(context, await checked(tool, params.arguments ?? {}))
    } catch (error) {
      if (error instanceof ProtocolError) throw error
      return { ...text(error instanceof Error ? error.message : String(error)), isError: true }
    }
  })
}

export function text(value: string): CallToolResult {
  return { content: [{ type: 'text', text: value }] }
}

const NO_PARAMETERS: Tool['inputSchema'] = { type: 'object' }

async function checked({ inputSchema = NO_PARAMETERS }: FixtureTool, given: Arguments): Promise<Arguments> {
  // The same JSON Schema, which the library types in two ways.
  const schema = inputSchema as Parameters<typeof fromJsonSchema>[0]
  const outcome = await fromJsonSchema<Arguments>(schema)['~standard'].validate(given)
  if (outcome.issues !== undefined)
    throw new TypeError(`The arguments do not fit: ${outcome.issues.map(({ message }) => message).join('; ')}`)
  return outcome.value
}
