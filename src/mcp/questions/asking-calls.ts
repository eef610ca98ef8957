import type { InputRequiredResult, Server, ServerContext } from '@modelcontextprotocol/server'
import { callOrigin } from '../call-origin.ts'
import type { ToolCalls, ToolOutcome } from '../call-tool.ts'
import type { McpProject, McpServingOptions } from '../contract.ts'
import { CALL_DEADLINE_MS } from '../deadline.ts'
import { waitInDialog, waitInRounds } from './ask-while-waiting.ts'
import { showsForms } from './client-forms.ts'
import { createDialog } from './dialog.ts'
import { waitCall } from './wait-call.ts'

/** Calls of one connection, or of one request where there are no connections. */
export type AskingCalls = (
  call: { readonly name: string; readonly arguments?: unknown },
  context: ServerContext,
) => Promise<ToolOutcome | InputRequiredResult>

/**
 * Tool calls of which those that wait for threads put the questions of these threads to the user, where the client can show forms. All
 * others go to `calls` as they are.
 */
export function askingCalls(
  server: Server,
  options: {
    readonly era: 'legacy' | 'modern'
    readonly serving: McpServingOptions
    readonly calls: ToolCalls
    readonly closed: AbortSignal
  },
): AskingCalls {
  const { era, serving, calls, closed } = options
  const deadlineMs = serving.deadlineMs ?? CALL_DEADLINE_MS
  const dialog = createDialog(server)
  return async (call, context) => {
    const origin = callOrigin(context, server)
    const running = { name: call.name, signals: [context.mcpReq.signal, closed], origin }
    const wait = showsForms(context, server) ? waitCall(call, { projectPath: serving.projectPath, deadlineMs }) : null
    const open = wait === null ? null : await openOrNull(serving, wait.projectPath)
    if (wait === null || open === null) return calls.run({ ...running, given: call.arguments })
    const place = { open, projectPath: wait.projectPath, origin, signal: closed }
    const asking = { wait, call: running, calls, place, context }
    return era === 'legacy' ? waitInDialog(asking, dialog) : waitInRounds(asking)
  }
}

async function openOrNull(serving: McpServingOptions, projectPath: string): Promise<McpProject | null> {
  try {
    return await serving.open(projectPath)
  } catch {
    // The call itself says what is wrong with it.
    return null
  }
}
