import { EXIT, type ExitCode } from '../exit-codes.ts'
import type { CliContext } from '../context.ts'
import { terminalLine } from '../terminal-text.ts'

const MARK = { ok: 'ok  ', weak: 'weak', bad: 'BAD ' } as const

/** `kiwi doctor`: exit 1 when a check is bad; a weak one only means less protection or comfort. */
export async function doctorVerb(context: CliContext): Promise<ExitCode> {
  const { doctor } = await import('../../doctor.ts')
  const checks = await doctor({ projectPath: context.projectPath, env: context.env })
  context.output.data(checks, () =>
    checks
      .flatMap(({ name, state, detail, fix }) => [
        `${MARK[state]}  ${terminalLine(name)}: ${terminalLine(detail)}`,
        ...(fix === null ? [] : [`      → ${terminalLine(fix)}`]),
      ])
      .join('\n'),
  )
  return checks.some(({ state }) => state === 'bad') ? EXIT.failed : EXIT.ok
}
