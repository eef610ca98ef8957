/** The floor of an agent loop: an array of messages, one request a turn, one tool call a turn. Anthropic wire. */
import type { Seen, Task } from '../contender.ts'
import { FIRST_MESSAGE, readNote, SYSTEM_PROMPT, TOOL_DESCRIPTION, TOOL_NAME, TOOL_SCHEMA } from './bench-tool.ts'
import { pathOf, post, type RawTurn, readTurn } from './raw-http.ts'

const MAX_TOKENS = 4096

/** What happens around a turn besides the loop itself, such as journal writes. */
export interface TurnHooks {
  beforeModelCall(turn: number): void
  afterModelCall(turn: number, answer: RawTurn): void
  beforeToolCall(turn: number, answer: RawTurn): void
  afterToolCall(turn: number, result: string): void
  end(): void
}

export async function runRawLoop({ url, turns }: Task, hooks: TurnHooks | null): Promise<Seen> {
  const messages: unknown[] = [{ role: 'user', content: FIRST_MESSAGE }]
  const tools = [{ name: TOOL_NAME, description: TOOL_DESCRIPTION, input_schema: TOOL_SCHEMA }]
  let text = 0
  let toolCalls = 0
  for (let turn = 1; turn <= turns; turn += 1) {
    hooks?.beforeModelCall(turn)
    const body = { model: 'bench', max_tokens: MAX_TOKENS, stream: true, system: SYSTEM_PROMPT, tools, messages }
    const answer = await readTurn('anthropic', await post(url + pathOf('anthropic'), body))
    hooks?.afterModelCall(turn, answer)
    text += answer.text.length
    if (answer.tool === null) break
    hooks?.beforeToolCall(turn, answer)
    // model-server.ts sends { path }
    const input = JSON.parse(answer.tool.arguments) as { path: string }
    const content = [
      { type: 'text', text: answer.text },
      { type: 'tool_use', id: answer.tool.id, name: answer.tool.name, input },
    ]
    const result = readNote(input.path)
    messages.push(
      { role: 'assistant', content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: answer.tool.id, content: result }] },
    )
    toolCalls += 1
    hooks?.afterToolCall(turn, result)
  }
  hooks?.end()
  return { text, toolCalls }
}
