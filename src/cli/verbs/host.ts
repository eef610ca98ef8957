import { EXIT, type ExitCode } from '../exit-codes.ts'
import type { CliContext } from '../context.ts'
import { fields } from '../format.ts'

/** `kiwi host run`: this process runs threads until it is idle or told to stop. */
export async function hostRun(context: CliContext): Promise<ExitCode> {
  const { runHostProcess } = await import('../../compose-host.ts')
  await runHostProcess({ env: context.env, signal: context.interrupt() })
  return EXIT.ok
}

/** `kiwi host status`: exit 0 when it runs, 1 when not. */
export async function hostStatus(context: CliContext): Promise<ExitCode> {
  const { hostControl } = await import('../../compose-host.ts')
  const status = await hostControl(context.env).status()
  context.output.data(status, () =>
    status === null
      ? 'No host is running; one starts when a thread is spawned.'
      : fields(Object.entries(status).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)])),
  )
  return status === null ? EXIT.failed : EXIT.ok
}

/** `kiwi host stop`: threads stay as they are and go on with the next host. No host to stop is no error. */
export async function hostStop(context: CliContext): Promise<ExitCode> {
  const { hostControl } = await import('../../compose-host.ts')
  const stopped = await hostControl(context.env).stop()
  context.output.data({ stopped }, () => (stopped ? 'The host has stopped.' : 'No host was running.'))
  return EXIT.ok
}
