import { KiwiError } from '../../../kernel/errors.ts'
import type { ValidationError } from '../../../kernel/errors.ts'
import { directiveGaps } from '../../../kernel/items/directive-gaps.ts'
import type { DirectiveDefinition, DirectiveHook } from '../../../kernel/items/item.ts'
import type { HarnessServices } from '../services.ts'
import { findDirective } from '../spawning/find-directive.ts'

/** Why hooks could never run, before the thread is spawned that has them: on field `hooks`, with the line of the hook. */
export async function hookProblems(
  services: HarnessServices,
  hooks: readonly DirectiveHook[],
  callerThreadId: string | null,
): Promise<readonly ValidationError[]> {
  const problems = hooks.map(async (hook) => {
    const reasons = await reasonsAgainst(services, hook, callerThreadId)
    return reasons.map((reason) => ({
      field: 'hooks',
      error: `The hook on line ${hook.line} cannot run ${hook.directive}: ${reason}`,
      value: hook.directive,
    }))
  })
  return (await Promise.all(problems)).flat()
}

async function reasonsAgainst(
  services: HarnessServices,
  hook: DirectiveHook,
  callerThreadId: string | null,
): Promise<readonly string[]> {
  try {
    const { directive } = await findDirective(services, hook.directive)
    const gaps = directiveGaps(directive).map(({ reason, fix }) => `${reason}. ${fix}`)
    if (directive.model !== null) services.resolveModel(directive.model, callerThreadId ?? undefined)
    return [...gaps, ...inputProblems(directive, hook)]
  } catch (error) {
    if (error instanceof KiwiError) return [error.message]
    throw error
  }
}

/** Names only: the values are known when the hook runs. */
function inputProblems({ name, inputs }: DirectiveDefinition, hook: DirectiveHook): readonly string[] {
  const given = Object.keys(hook.inputs)
  const known = new Set(inputs.map((input) => input.name))
  const missing = inputs.filter((input) => input.required && input.default === undefined && !given.includes(input.name))
  return [
    ...missing.map((input) => `its input ${input.name} is required. Add \`<input name="${input.name}">\` to the hook.`),
    ...given.filter((one) => !known.has(one)).map((one) => `${name} has no input ${one}. Remove it from the hook.`),
  ]
}
