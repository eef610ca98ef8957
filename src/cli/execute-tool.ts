import type { Kiwi } from '../compose.ts'
import type { JsonObject } from '../json.ts'
import type { MetaToolResult } from '../kernel/contract.ts'
import type { CliContext } from './context.ts'
import { EXIT, exitCodeOfError, type ExitCode } from './exit-codes.ts'

/** Executes a tool through the project's kernel, exactly as a model or an MCP client would. */
export function executeTool(
  kiwi: Kiwi,
  projectPath: string,
  call: { readonly tool: string; readonly parameters: JsonObject; readonly signal?: AbortSignal },
): Promise<MetaToolResult> {
  const request = { item_type: 'tool', item_id: call.tool, parameters: call.parameters } as const
  const caller = { __caller: { door: 'cli' } } as const
  return kiwi.kernel(projectPath).execute(request, call.signal === undefined ? caller : { ...caller, signal: call.signal })
}

/** Prints a meta-tool's outcome: the data, or the error; and gives the exit code. */
export function printResult(context: CliContext, result: MetaToolResult, text: (result: MetaToolResult) => string): ExitCode {
  if (result.success) {
    context.output.data(result, () => text(result))
    return EXIT.ok
  }
  // What a failed tool gave all the same, such as the output of a command; JSON has it beside the error.
  if (!context.output.json && result.result !== undefined) context.output.data(result.result, () => text(result))
  context.output.failure(result)
  return exitCodeOfError(result.error.code)
}
