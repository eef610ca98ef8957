/** Speaks the OpenAI wire, which is the one this library is made for. */
import { Agent, OpenAIChatCompletionsModel, run, setTracingDisabled, tool } from '@openai/agents'
import OpenAI from 'openai'

import type { Contender } from '../contender.ts'
import { FIRST_MESSAGE, readNote, SYSTEM_PROMPT, TOOL_DESCRIPTION, TOOL_NAME, TOOL_SCHEMA } from '../contenders/bench-tool.ts'

export async function create(): Promise<Contender> {
  setTracingDisabled(true)
  return {
    async run({ url, turns }) {
      let toolCalls = 0
      const note = tool({
        name: TOOL_NAME,
        description: TOOL_DESCRIPTION,
        parameters: { ...TOOL_SCHEMA, required: ['path'] },
        strict: true,
        execute: (input: unknown) => {
          toolCalls += 1
          // model-server.ts sends { path }
          return readNote((input as { path: string }).path)
        },
      })
      const client = new OpenAI({ apiKey: 'none', baseURL: `${url}/v1`, maxRetries: 0 })
      const agent = new Agent({
        name: 'bench',
        instructions: SYSTEM_PROMPT,
        model: new OpenAIChatCompletionsModel(client, 'bench'),
        tools: [note],
      })
      const result = await run(agent, FIRST_MESSAGE, { stream: true, maxTurns: turns + 1 })
      let text = 0
      for await (const piece of result.toTextStream()) text += piece.length
      await result.completed
      return { text, toolCalls }
    },
  }
}
