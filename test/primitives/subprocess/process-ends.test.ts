import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { CALLERS, createSandboxProject, processesWith, runAs, startAs, tree, within } from '../sandbox/sandboxed.ts'

/** Children that leave every group they were in, one that ignores signals, and a zombie; `marker` is in the command line of each. */
const stubborn = (marker: string): string => `
  setsid bash -c 'trap "" TERM HUP INT; while :; do sleep 1; done; : ${marker}' < /dev/null > /dev/null 2>&1 &
  (setsid nohup bash -c 'sleep 600; : ${marker}' > /dev/null 2>&1 &)
  bash -c 'true & exec sleep 600' ${marker} &
  echo ready > ready
  wait`

const GONE_WITHIN_MS = 1_000

/** The host of a command has its request, and so the marker, in its own command line. */
async function left(marker: string): Promise<number> {
  return (await processesWith(marker)).filter((line) => !line.includes('run-command.ts')).length
}

for (const caller of CALLERS) {
  const grant = { write: [tree()] }

  test(`threat row 49: cancelling a command of ${caller.name} leaves no process, whatever it did to stay`, async () => {
    // Fails without the process namespace (--unshare-all), where what calls setsid stays.
    const marker = `marker-${randomUUID()}`
    await using project = await createSandboxProject(caller, {})
    const config = { command: 'bash', args: ['-c', stubborn(marker)] }
    const started = startAs(caller, { project: project.root, config, grant })
    assert.ok(await within(10_000, async () => (await project.names()).includes('ready') && (await left(marker)) >= 3))
    started.cancel()
    const gone = within(GONE_WITHIN_MS, async () => (await left(marker)) === 0)
    assert.equal((await started.outcome).error?.code, 'ABORTED')
    assert.ok(await gone)
  })

  test(`threat row 49: kill -9 of the host leaves no process of a command of ${caller.name}`, async () => {
    // Fails without --die-with-parent.
    const marker = `marker-${randomUUID()}`
    await using project = await createSandboxProject(caller, {})
    const config = { command: 'bash', args: ['-c', stubborn(marker)] }
    const started = startAs(caller, { project: project.root, config, grant })
    const failed = assert.rejects(started.outcome, /said nothing/)
    assert.ok(await within(10_000, async () => (await project.names()).includes('ready') && (await left(marker)) >= 3))
    started.kill()
    assert.ok(await within(GONE_WITHIN_MS, async () => (await left(marker)) === 0))
    await failed
  })

  test(`threat row 49: what a command of ${caller.name} leaves in the background does not outlive it or hold up its result`, async () => {
    // Fails without --die-with-parent and the process namespace.
    const marker = `marker-${randomUUID()}`
    await using project = await createSandboxProject(caller, {})
    const script = `${stubborn(marker).replace('wait', '')} true`
    const { error } = await runAs(caller, { project: project.root, config: { command: 'bash', args: ['-c', script] }, grant })
    assert.deepEqual([error, await left(marker)], [null, 0])
  })

  test(`threat row 49: a timeout ends a command of ${caller.name} with everything in it`, async () => {
    const marker = `marker-${randomUUID()}`
    await using project = await createSandboxProject(caller, {})
    const config = { command: 'bash', args: ['-c', stubborn(marker)], timeout_ms: 1_000 }
    const { value, error } = await runAs(caller, { project: project.root, config, grant })
    assert.deepEqual([error?.code, value?.exit_code, await left(marker)], ['TIMEOUT', null, 0])
  })

  test(`threat row 49: a fork bomb of ${caller.name} is bounded, and nothing of it is left`, async () => {
    // Fails for root, whom the system does not hold to --nproc, without `isOverLimit`; for others without both.
    const marker = `marker-${randomUUID()}`
    await using project = await createSandboxProject(caller, {})
    const script = `: ${marker}; bomb() { bomb | bomb & }; (bomb) 2>/dev/null; for i in 1 2 3; do sleep 1 || exit 9; done; exit 9`
    const config = { command: 'bash', args: ['-c', script], limits: { processes: 50 }, timeout_ms: 20_000 }
    const { error } = await runAs(caller, { project: project.root, config, grant })
    assert.notEqual(error, null)
    assert.equal(await left(marker), 0)
  })

  test(`threat row 49: a command of ${caller.name} cannot have more processes than its limit for long`, async () => {
    // Fails for root without `isOverLimit`, for others without it and --nproc.
    await using project = await createSandboxProject(caller, {})
    const script = 'for i in $(seq 60); do sleep 30 & done 2>/dev/null; jobs -p | wc -l > count; wait'
    const config = { command: 'bash', args: ['-c', script], limits: { processes: 20 }, timeout_ms: 4_000 }
    const { value, error } = await runAs(caller, { project: project.root, config, grant })
    const many = Number(await project.read('count').catch(() => '0'))
    assert.ok(error?.code === 'LIMIT_EXCEEDED' || many < 20, JSON.stringify({ many, error, stderr: value?.stderr }))
  })

  test(`threat row 50: a command of ${caller.name} cannot fill the disk or the memory with files`, async () => {
    // Fails without --fsize and the sizes of the tmpfs.
    await using project = await createSandboxProject(caller, {})
    const script = `head -c 5000000 /dev/zero > big; head -c 5000000 /dev/zero > /tmp/a; head -c 5000000 /dev/zero > /dev/shm/a
      stat -c %s big; for d in /tmp /dev/shm; do du -sb $d | cut -f1; done`
    const limits = { file_bytes: 2_000_000, tmp_bytes: 1_000_000 }
    const { value } = await runAs(caller, {
      project: project.root,
      config: { command: 'bash', args: ['-c', script], limits },
      grant,
    })
    const sizes = value?.stdout.trim().split('\n').map(Number) ?? []
    assert.equal(sizes[0], 2_000_000)
    assert.ok(sizes.length === 3 && sizes.slice(1).every((size) => size > 500_000 && size < 1_100_000), String(value?.stdout))
  })

  test(`threat row 50: output of ${caller.name} without end is cut to its cap and ended by the timeout`, async () => {
    // Fails without the cap of bounded-output.ts, or without the timeout.
    await using project = await createSandboxProject(caller, {})
    const config = { command: 'yes', timeout_ms: 1_500, max_output_bytes: 10_000 }
    const { value, error } = await runAs(caller, { project: project.root, config })
    assert.deepEqual([error?.code, value?.stdout_truncated], ['TIMEOUT', true])
    assert.ok((value?.stdout.length ?? Infinity) < 10_100 && (value?.stdout_bytes ?? 0) > 1_000_000)
  })

  test(`threat row 50: a command of ${caller.name} that never reads its input ends as it wants`, async () => {
    await using project = await createSandboxProject(caller, {})
    const { error } = await runAs(caller, { project: project.root, config: { command: 'true', stdin: 'x'.repeat(60_000) } })
    assert.equal(error, null)
  })

  test(`a command of ${caller.name} that asks for more memory than it may have does not get it`, async () => {
    // Fails without --data.
    await using project = await createSandboxProject(caller, {})
    const config = {
      command: 'bash',
      args: ['-c', 'x=$(head -c 300000000 /dev/zero | tr "\\0" x); echo ${#x}'],
      limits: { memory_bytes: 50_000_000 },
    }
    const { value } = await runAs(caller, { project: project.root, config })
    assert.notEqual(value?.stdout, '300000000\n')
  })
}
