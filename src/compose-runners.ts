/** The harnesses of one project, as its host runs them. */
import type { Project } from './compose-project.ts'
import { boundedRunner } from './harness/custom/bounded-runner.ts'
import type { HarnessHost } from './harness/custom/harness-host.ts'
import { redactedRunner } from './harness/safety/redaction.ts'
import type { HarnessServices } from './harness/safety/services.ts'
import { KiwiError } from './kernel/errors.ts'
import type { Runner } from './threads/engine.ts'

export interface Runners {
  /**
   * The harness as it is signed now; the same one while its file is. A harness is a runtime tool of type `harness`: its `harness` export, or
   * its default export, makes the runner. One that is not shipped is held to its thread's budget, and gets no secret out.
   *
   * @throws {KiwiError} SPAWN_FAILED, or what the kernel says of the file.
   */
  of(name: string): Promise<Runner>
}

export function createRunners({ kernel, services }: Pick<Project, 'kernel' | 'services'>): Runners {
  // By module: a file that was changed and signed again is another one.
  const made = new WeakMap<object, Promise<Runner>>()
  return {
    async of(name) {
      const { item, module } = await kernel.importModule(name)
      const known = made.get(module)
      if (known !== undefined) return known
      const definition = item.state.kind === 'available' ? item.state.definition : null
      const factory = module['harness'] ?? module['default']
      if (definition?.kind !== 'tool' || definition.toolType !== 'harness' || typeof factory !== 'function') throw noHarness(name)
      const runner = item.space === 'system' ? makeShipped(factory, services) : makeOwn(name, factory, services)
      made.set(module, runner)
      return runner
    },
  }
}

function noHarness(name: string): KiwiError {
  return new KiwiError('SPAWN_FAILED', `"${name}" is not a harness.`, {
    suggestion: 'A harness is a .ts tool with __tool_type__ = "harness" that exports a function `harness(host)`.',
  })
}

async function makeShipped(factory: Function, services: HarnessServices): Promise<Runner> {
  // The one contract of a harness file.
  return await (factory as (services: HarnessServices) => Runner | Promise<Runner>)(services)
}

async function makeOwn(name: string, factory: Function, services: HarnessServices): Promise<Runner> {
  const { kernel, threads } = services
  const host: HarnessHost = {
    kernel,
    threads,
    resolveModel: (choice, threadId) => services.resolveModel(choice, threadId),
    env: (variable, threadId) => services.env(variable, threadId),
  }
  // The same contract; what it gives is checked before and as it runs.
  const runner = await (factory as (host: HarnessHost) => Runner | Promise<Runner>)(host)
  for (const method of ['init', 'runTurn', 'receive'] as const)
    if (typeof (runner as Partial<Runner> | null)?.[method] !== 'function')
      throw new KiwiError('SPAWN_FAILED', `What the harness ${name} makes has no function ${method}.`, {
        suggestion: 'Its `harness(host)` gives a Runner: {name, version, init, runTurn, receive}.',
      })
  return redactedRunner(boundedRunner(services, { ...runner, name }), (threadId) => services.redactor(threadId))
}
