import { jsonSchema, stepCountIs, streamText, tool } from 'ai'

import type { Contender } from '../contender.ts'
import { FIRST_MESSAGE, readNote, SYSTEM_PROMPT, TOOL_DESCRIPTION, TOOL_SCHEMA } from '../contenders/bench-tool.ts'
import { aiModel } from './ai-models.ts'

export async function create(): Promise<Contender> {
  return {
    async run(task) {
      let toolCalls = 0
      const note = tool({
        description: TOOL_DESCRIPTION,
        inputSchema: jsonSchema<{ path: string }>({ ...TOOL_SCHEMA, required: ['path'] }),
        execute: ({ path }) => {
          toolCalls += 1
          return readNote(path)
        },
      })
      const result = streamText({
        model: aiModel(task),
        system: SYSTEM_PROMPT,
        prompt: FIRST_MESSAGE,
        tools: { note },
        stopWhen: stepCountIs(task.turns),
        maxRetries: 0,
      })
      let text = 0
      for await (const piece of result.textStream) text += piece.length
      return { text, toolCalls }
    },
  }
}
