/** The prebuilt ReAct agent with the SQLite checkpointer. */
import { join } from 'node:path'

import { ChatAnthropic } from '@langchain/anthropic'
import { AIMessageChunk } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { createReactAgent } from '@langchain/langgraph/prebuilt'
import { SqliteSaver } from '@langchain/langgraph-checkpoint-sqlite'

import type { Contender } from '../contender.ts'
import { FIRST_MESSAGE, readNote, SYSTEM_PROMPT, TOOL_DESCRIPTION, TOOL_NAME, TOOL_SCHEMA } from '../contenders/bench-tool.ts'
import { openBetterSqlite } from './better-sqlite.ts'

export async function create(folder: string): Promise<Contender> {
  const database = openBetterSqlite(join(folder, 'checkpoints.db'))
  const checkpointer = new SqliteSaver(database.forSaver)
  let runs = 0
  return {
    async run({ url, turns }) {
      let toolCalls = 0
      const note = tool(
        ({ path }: { path: string }) => {
          toolCalls += 1
          return readNote(path)
        },
        { name: TOOL_NAME, description: TOOL_DESCRIPTION, schema: TOOL_SCHEMA },
      )
      const llm = new ChatAnthropic({
        model: 'bench',
        apiKey: 'none',
        anthropicApiUrl: url,
        maxTokens: 4096,
        streaming: true,
        maxRetries: 0,
      })
      const agent = createReactAgent({ llm, tools: [note], prompt: SYSTEM_PROMPT, checkpointer })
      const config = {
        configurable: { thread_id: `bench-${(runs += 1)}` },
        recursionLimit: turns * 3,
        streamMode: 'messages' as const,
      }
      let text = 0
      for await (const [piece] of await agent.stream({ messages: [{ role: 'user', content: FIRST_MESSAGE }] }, config)) {
        if (piece instanceof AIMessageChunk) text += piece.text.length
      }
      return { text, toolCalls }
    },
    close: async () => database.close(),
  }
}
