import type { Kiwi } from '../compose.ts'
import type { McpProject } from '../mcp/contract.ts'
import type { CliContext } from './context.ts'

export interface ProjectsOnDemand {
  open(projectPath: string): Promise<McpProject>
  close(): Promise<void>
}

/**
 * One composition for the life of a server, made and loaded at the first call; one that failed (a bad configuration file) is tried again at
 * the next.
 */
export function projectsOnDemand(context: Pick<CliContext, 'projectPath' | 'env'>): ProjectsOnDemand {
  const state: { composing: Promise<Kiwi> | null } = { composing: null }
  const compose = async (): Promise<Kiwi> => {
    const { createKiwi } = await import('../compose.ts')
    return createKiwi({ projectPath: context.projectPath, env: context.env })
  }
  const composed = async (): Promise<Kiwi> => {
    state.composing ??= compose()
    try {
      return await state.composing
    } catch (error) {
      state.composing = null
      throw error
    }
  }
  return {
    async open(projectPath) {
      const kiwi = await composed()
      return {
        kernel: kiwi.kernel(projectPath),
        threads: kiwi.threads(projectPath),
        redact: (value) => kiwi.redact(value),
      }
    },
    async close() {
      const kiwi = await state.composing?.catch(() => null)
      await kiwi?.close()
    },
  }
}
