/** Tools of the 2025 era, whose server asks its client in the middle of a call. */
import type { CallToolResult, ElicitRequestFormParams, ServerContext } from '@modelcontextprotocol/server'
import { type FixtureTool, text } from './fixture-tools.ts'

export function legacyTools(): readonly FixtureTool[] {
  return [
    {
      name: 'test_sampling',
      description: 'Asks the model of the client',
      inputSchema: { type: 'object', properties: { prompt: { type: 'string' } }, required: ['prompt'] },
      call: async (context, { prompt }) => {
        const answered = await context.mcpReq.requestSampling({
          messages: [{ role: 'user', content: { type: 'text', text: String(prompt) } }],
          maxTokens: 100,
        })
        return text(`LLM response: ${JSON.stringify(answered.content)}`)
      },
    },
    {
      name: 'test_elicitation',
      description: 'Asks the user',
      inputSchema: { type: 'object', properties: { message: { type: 'string' } }, required: ['message'] },
      call: (context, { message }) => elicit(context, String(message), { properties: USER, required: ['username', 'email'] }),
    },
    {
      name: 'test_elicitation_sep1034_defaults',
      description: 'Asks with defaults',
      call: (context) => elicit(context, 'Please check these', { properties: DEFAULTS }),
    },
    {
      name: 'test_elicitation_sep1330_enums',
      description: 'Asks to choose',
      call: (context) => elicit(context, 'Please choose', { properties: CHOICES }),
    },
  ]
}

type FormSchema = ElicitRequestFormParams['requestedSchema']
type Form = Pick<FormSchema, 'properties' | 'required'>

async function elicit(context: ServerContext, message: string, form: Form): Promise<CallToolResult> {
  const { action, content } = await context.mcpReq.elicitInput({ message, requestedSchema: { type: 'object', ...form } })
  return text(`Elicitation completed: action=${action}, content=${JSON.stringify(content)}`)
}

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
