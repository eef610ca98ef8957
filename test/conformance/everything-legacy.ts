/** Tools of the 2025 era, whose server asks its client in the middle of a call. */
import { fromJsonSchema, type ElicitRequestFormParams, type McpServer, type ServerContext } from '@modelcontextprotocol/server'
import { text } from './everything-content.ts'

export function addLegacyTools(mcp: McpServer): void {
  mcp.registerTool(
    'test_sampling',
    { description: 'Asks the model of the client', inputSchema: PROMPT },
    async ({ prompt }, context) => {
      const answered = await context.mcpReq.requestSampling({
        messages: [{ role: 'user', content: { type: 'text', text: prompt } }],
        maxTokens: 100,
      })
      return text(`LLM response: ${JSON.stringify(answered.content)}`)
    },
  )
  mcp.registerTool('test_elicitation', { description: 'Asks the user', inputSchema: MESSAGE }, async ({ message }, context) =>
    text(`User response: ${await elicit(context, message, { properties: USER, required: ['username', 'email'] })}`),
  )
  mcp.registerTool('test_elicitation_sep1034_defaults', { description: 'Asks with defaults' }, async (context) =>
    text(`Elicitation completed: ${await elicit(context, 'Please check these', { properties: DEFAULTS })}`),
  )
  mcp.registerTool('test_elicitation_sep1330_enums', { description: 'Asks to choose' }, async (context) =>
    text(`Elicitation completed: ${await elicit(context, 'Please choose', { properties: CHOICES })}`),
  )
}

type FormSchema = ElicitRequestFormParams['requestedSchema']

async function elicit(
  context: ServerContext,
  message: string,
  form: Pick<FormSchema, 'properties' | 'required'>,
): Promise<string> {
  const { action, content } = await context.mcpReq.elicitInput({ message, requestedSchema: { type: 'object', ...form } })
  return `action=${action}, content=${JSON.stringify(content)}`
}

const PROMPT = fromJsonSchema<{ prompt: string }>({
  type: 'object',
  properties: { prompt: { type: 'string', description: 'What to ask' } },
  required: ['prompt'],
})
const MESSAGE = fromJsonSchema<{ message: string }>({
  type: 'object',
  properties: { message: { type: 'string', description: 'What to show' } },
  required: ['message'],
})

const USER: FormSchema['properties'] = {
  username: { type: 'string', description: "User's response" },
  email: { type: 'string', description: "User's email address" },
}
const DEFAULTS: FormSchema['properties'] = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
}
const TITLED = [
  { const: 'value1', title: 'First Option' },
  { const: 'value2', title: 'Second Option' },
  { const: 'value3', title: 'Third Option' },
]
const CHOICES: FormSchema['properties'] = {
  untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
  titledSingle: { type: 'string', oneOf: TITLED },
  legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
  untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
  titledMulti: { type: 'array', items: { anyOf: TITLED } },
}
