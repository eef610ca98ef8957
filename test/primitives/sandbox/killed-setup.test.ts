import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { processesWith } from './sandboxed.ts'

const ROUNDS = 40

test('a sandbox whose outer process is killed while it is being set up leaves nothing running', async (t) => {
  // Fails without `killLeft` of sandbox-status.ts: what is inside follows its outer process only when it is set up.
  const projectPath = await realpath(await mkdtemp(join(tmpdir(), 'kiwi-setup-')))
  t.after(async () => await rm(projectPath, { recursive: true, force: true }))
  const sandbox = createSandbox({ mode: 'bubblewrap' })
  const marks: string[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const mark = `7${process.pid}${String(round).padStart(3, '0')}`
    marks.push(mark)
    const wrapped = await sandbox.wrap({ grant: undefined, projectPath, command: 'sleep', args: [mark], env: {} })
    const { command, args, env, cwd, inherit } = wrapped
    const child = spawn(command, [...args], { env, cwd, detached: true, stdio: ['ignore', 'ignore', 'ignore', ...inherit] })
    const ended = once(child, 'exit')
    // Another moment of the set-up in each round.
    await delay(round % 20)
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 2_000)
    await ended
    clearTimeout(late)
    killGroup(child.pid)
    await wrapped.dispose()
  }
  const left = await Promise.all(marks.map(async (mark) => await processesWith(mark)))
  assert.deepEqual(left.flat(), [])
})

/** What was not told yet where to run is still in the group of the outer process, which whoever starts one ends whole. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // Nothing of the group is left.
  }
}
