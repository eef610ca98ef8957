// A harness of one's own: a model, two tools that are functions of this file, and no directive. It is signed like any tool, found by its name,
// and runs in the host. What it must get right is small: everything that touches the world is a step that `runThreadTurn` journals, and
// between turns there is nothing but the conversation, which the thread keeps.
import { createModelCaller, type ToolCall, type ToolResult, type ToolSpec } from 'kiwi-mcp/base-harness'
import {
  receiveMessages,
  runThreadTurn,
  type HarnessHost,
  type Next,
  type Runner,
  type ThreadTurn,
  type TurnContext,
} from 'kiwi-mcp'

export const __tool_type__ = 'harness'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __description__ = 'Work out a sum with two tools of its own.'

const SYSTEM = 'You work out sums. You never calculate yourself: you call a tool for every operation, and answer with the result.'

const TWO_NUMBERS = { type: 'object', required: ['a', 'b'], properties: { a: { type: 'number' }, b: { type: 'number' } } }
const TOOLS: readonly ToolSpec[] = [
  { name: 'add', description: 'a + b', input_schema: TWO_NUMBERS },
  { name: 'multiply', description: 'a * b', input_schema: TWO_NUMBERS },
]

/** A tool that fails says so to the model; one that throws would end the thread. */
async function callTool({ name, arguments: given }: ToolCall): Promise<ToolResult> {
  const { a, b } = given
  if (typeof a !== 'number' || typeof b !== 'number') return { content: 'a and b must be numbers.', is_error: true }
  if (name === 'add') return { content: String(a + b), is_error: false }
  if (name === 'multiply') return { content: String(a * b), is_error: false }
  return { content: `There is no tool ${name}.`, is_error: true }
}

/** What a host asks for by this tool's name. */
export default (host: HarnessHost): Runner => ({
  name: 'calculator',
  version: __version__,
  // Nothing to remember but the conversation. A harness that counts or plans keeps it in `data`.
  init: () => ({ v: 1, turn: 0, paused: false, data: {} }),
  // What people say to the thread becomes a message. Pause, resume and cancel need nothing from a harness.
  receive: receiveMessages,
  async runTurn(ctx, state) {
    // Model, endpoint and key are those of the shell that spawned this thread, not of the one that started the host.
    const target = host.resolveModel(null, ctx.threadId)
    const caller = createModelCaller({
      wire: 'anthropic_messages',
      baseUrl: host.env('ANTHROPIC_BASE_URL', ctx.threadId) ?? 'https://api.anthropic.com',
      apiKey: host.env('ANTHROPIC_API_KEY', ctx.threadId) ?? '',
    })
    try {
      const turn = await runThreadTurn(ctx, {
        target: { ...target, maxOutputTokens: 500 },
        system: SYSTEM,
        tools: TOOLS,
        callModel: caller.callModel,
        callTool,
        // Adding twice does no harm, so a call that a crash has cut off is simply made again.
        effectOf: () => 'pure',
      })
      return [state, nextOf(ctx, turn)]
    } finally {
      caller.close()
    }
  },
})

/** Another turn, or the end. Turns, tokens and time need no look here: the host keeps those limits of `cost` itself. */
function nextOf(ctx: TurnContext, turn: ThreadTurn): Next {
  switch (turn.kind) {
    case 'answer':
      // Somebody may have said something while the model gave its last answer.
      if (turn.calls.length > 0 || ctx.hasUnreadMessage()) return { do: 'turn' }
      return { do: 'done', status: 'completed', endReason: 'done', result: { text: turn.text } }
    case 'unaffordable':
      return {
        do: 'done',
        status: 'error',
        endReason: 'cost_exceeded',
        result: { message: `The next model call does not fit into $${turn.availableNano / 1e9}.` },
      }
    case 'failed':
      return { do: 'done', status: 'error', endReason: 'stream_failed', result: { message: turn.error.message } }
  }
}
