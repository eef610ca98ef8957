/** Tools of 2026-07-28 that answer with what they need of the client, and are called again with it. */
import {
  acceptedContent,
  fromJsonSchema,
  inputRequired,
  inputResponse,
  type CallToolResult,
  type InputRequest,
  type InputRequiredResult,
  type RequestStateCodec,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { capabilitiesOf } from './client-capabilities.ts'
import { type FixtureTool, text } from './fixture-tools.ts'

/** What travels through the client and back, signed. */
export interface InputState {
  readonly step: number
}

type Answer = CallToolResult | InputRequiredResult

export function inputTools(codec: RequestStateCodec<InputState>): readonly FixtureTool[] {
  const tool = (name: string, call: FixtureTool['call']): FixtureTool => ({ name, description: 'Asks the client first', call })
  return [
    tool('test_input_required_result_elicitation', askForName),
    tool('test_streaming_elicitation', askForName),
    tool('test_input_required_result_sampling', askForCapital),
    tool('test_input_required_result_list_roots', askForRoots),
    tool('test_input_required_result_request_state', (context) => confirmWithState(context, codec)),
    tool('test_input_required_result_tampered_state', (context) => confirmWithState(context, codec)),
    tool('test_input_required_result_multiple_inputs', (context) => askForEverything(context, codec)),
    tool('test_input_required_result_multi_round', (context) => askTwice(context, codec)),
    tool('test_input_required_result_capabilities', askForWhatIsOffered),
  ]
}

export const NAME_SCHEMA = fromJsonSchema<{ name: string }>({
  type: 'object',
  properties: { name: { type: 'string' } },
  required: ['name'],
})

function askForName(context: ServerContext): Answer {
  const given = acceptedContent(context.mcpReq.inputResponses, 'user_name', NAME_SCHEMA)
  return given === undefined ? inputRequired({ inputRequests: { user_name: nameRequest() } }) : text(`Hello, ${given.name}!`)
}

export function nameRequest(message = 'What is your name?'): InputRequest {
  return inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
  })
}

function askForCapital(context: ServerContext): Answer {
  const given = inputResponse(context.mcpReq.inputResponses, 'capital_question')
  if (given.kind === 'sampling') return text(`The model said: ${JSON.stringify(given.result.content)}`)
  return inputRequired({ inputRequests: { capital_question: questionRequest('What is the capital of France?') } })
}

function questionRequest(question: string): InputRequest {
  return inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: question } }],
    maxTokens: 100,
  })
}

function askForRoots(context: ServerContext): Answer {
  const given = inputResponse(context.mcpReq.inputResponses, 'client_roots')
  if (given.kind === 'roots') return text(`The roots are ${given.roots.map(({ uri }) => uri).join(', ')}.`)
  return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } })
}

/** The library has checked the signature before this runs; what is left is whether there was a state at all. */
async function confirmWithState(context: ServerContext, codec: RequestStateCodec<InputState>): Promise<Answer> {
  const given = acceptedContent<{ ok?: unknown }>(context.mcpReq.inputResponses, 'confirm')
  if (given?.ok === true && context.mcpReq.requestState<InputState>()?.step === 1) return text('state-ok')
  return inputRequired({
    inputRequests: {
      confirm: inputRequired.elicit({
        message: 'Please confirm',
        requestedSchema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
      }),
    },
    requestState: await codec.mint({ step: 1 }),
  })
}

async function askForEverything(context: ServerContext, codec: RequestStateCodec<InputState>): Promise<Answer> {
  const { inputResponses } = context.mcpReq
  const name = acceptedContent(inputResponses, 'user_name', NAME_SCHEMA)
  const greeting = inputResponse(inputResponses, 'greeting')
  const roots = inputResponse(inputResponses, 'client_roots')
  const isComplete = name !== undefined && greeting.kind === 'sampling' && roots.kind === 'roots'
  if (isComplete && context.mcpReq.requestState<InputState>()?.step === 1)
    return text(`${name.name} has ${roots.roots.length} roots and was greeted.`)
  return inputRequired({
    inputRequests: {
      user_name: nameRequest(),
      greeting: questionRequest('Generate a greeting'),
      client_roots: inputRequired.listRoots(),
    },
    requestState: await codec.mint({ step: 1 }),
  })
}

async function askTwice(context: ServerContext, codec: RequestStateCodec<InputState>): Promise<Answer> {
  const { inputResponses } = context.mcpReq
  const step = context.mcpReq.requestState<InputState>()?.step ?? 0
  if (step === 2 && acceptedContent(inputResponses, 'step2') !== undefined) return text('Both steps are done.')
  if (step === 1 && acceptedContent(inputResponses, 'step1') !== undefined)
    return inputRequired({
      inputRequests: {
        step2: inputRequired.elicit({
          message: 'Step 2: What is your favorite color?',
          requestedSchema: { type: 'object', properties: { color: { type: 'string' } }, required: ['color'] },
        }),
      },
      requestState: await codec.mint({ step: 2 }),
    })
  return inputRequired({
    inputRequests: { step1: nameRequest('Step 1: What is your name?') },
    requestState: await codec.mint({ step: 1 }),
  })
}

/** Asks only for what the client of this very request can do. */
function askForWhatIsOffered(context: ServerContext): Answer {
  const capabilities = capabilitiesOf(context)
  const inputRequests = {
    ...(capabilities.sampling === undefined ? {} : { question: questionRequest('Generate a greeting') }),
    ...(capabilities.elicitation === undefined ? {} : { user_name: nameRequest() }),
  }
  if (Object.keys(inputRequests).length === 0) return text('This client can do nothing that could be asked of it.')
  return inputRequired({ inputRequests })
}
