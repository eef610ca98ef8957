import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CALLERS, createSandboxProject, outputOf, runAs, startAs, processesWith, tree, within } from './sandboxed.ts'

for (const caller of CALLERS) {
  const shell = async (script: string, files: Readonly<Record<string, string>> = {}): Promise<string> => {
    await using project = await createSandboxProject(caller, files)
    const config = { command: 'bash', args: ['-c', script] }
    return outputOf(await runAs(caller, { project: project.root, config, grant: { write: [tree()] } }))
  }

  test(`a command of ${caller.name} has no capability, not even one to regain`, async () => {
    // Fails without --cap-drop ALL.
    const sets = (await shell('grep ^Cap /proc/self/status')).trim().split('\n')
    assert.deepEqual(
      sets.map((line) => Number.parseInt(line.split('\t')[1] ?? '', 16)),
      [0, 0, 0, 0, 0],
    )
  })

  test(`a command of ${caller.name} cannot write settings of the machine`, async () => {
    // Fails (for root) without --remount-ro /proc.
    const script =
      'for f in kernel/core_pattern kernel/hostname vm/swappiness; do (echo x >/proc/sys/$f) 2>/dev/null && echo $f; done; true'
    assert.equal(await shell(script), '')
  })

  test(`a command of ${caller.name} cannot make a user namespace to have powers in`, async () => {
    // Fails without --disable-userns.
    assert.equal(await shell('unshare --user echo made 2>/dev/null || echo refused'), 'refused\n')
  })

  test(`a command of ${caller.name} sees no file of the machine that says who uses it`, async () => {
    // Fails when /etc, / or the home folders are mounted.
    const paths = '/etc/shadow /etc/gshadow /etc/ssh /etc/machine-id /root /home /var /sys /run/docker.sock /boot /mnt'
    assert.equal(await shell(`for p in ${paths}; do test -e $p && echo $p; done; true`), '')
  })

  test(`a command of ${caller.name} sees its own processes alone`, async () => {
    // Fails without --unshare-pid.
    const count = Number(await shell('ls -d /proc/[0-9]* | wc -l'))
    assert.ok(count > 0 && count < 8, `saw ${count} processes`)
  })

  test(`a command of ${caller.name} can write nothing but the project and /tmp`, async () => {
    // Fails without the last remounts of system-view.ts.
    const script =
      'for d in / /usr /usr/bin /etc /dev /bin /lib; do (touch $d/x) 2>/dev/null && echo $d; done; touch /tmp/x /dev/shm/x x'
    assert.equal(await shell(script), '')
  })

  test(`a command of ${caller.name} gets no descriptor of its host`, async () => {
    // Fails without --args closing what it read, or without `cover`.
    const targets = (await shell('for f in /proc/self/fd/*; do readlink $f; done; true')).trim().split('\n')
    assert.deepEqual(
      targets.filter((target) => !/^(?:\/dev\/null|pipe:|socket:|\/proc\/\d+\/fd)/.test(target)),
      [],
    )
  })

  test(`a file that ${caller.name} leaves behind has no set-user-id bit, however it was asked for`, async () => {
    // Fails without --seccomp.
    await using project = await createSandboxProject(caller, {})
    const script =
      'cp /bin/true a; chmod 4755 a; chmod g+s a; install -m 6755 /bin/true b; cp --preserve=mode /bin/su c 2>&1; true'
    await runAs(caller, { project: project.root, config: { command: 'bash', args: ['-c', script] }, grant: { write: [tree()] } })
    const found = await runAs(caller, {
      project: project.root,
      config: { command: 'bash', args: ['-c', 'ls; find . -perm /6000'] },
      grant: { read: [tree()] },
    })
    assert.match(outputOf(found), /^a\n(?:b\n)?(?:c\n)?$/)
  })

  test(`threat row 5: a command of ${caller.name} sees the variables that it was given and none of its host`, async () => {
    // Fails without --clearenv, and when the host's environment is copied.
    await using project = await createSandboxProject(caller, {})
    const config = { command: 'env', env: { GIVEN: 'yes' }, env_allow: ['PLAIN'] }
    const names = outputOf(await runAs(caller, { project: project.root, config }))
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0] ?? '')
    assert.deepEqual(new Set(names), new Set(['GIVEN', 'HOME', 'LANG', 'PATH', 'PLAIN', 'PWD', 'TERM']))
  })

  test(`threat row 6: a server on stdio of ${caller.name} that tells its environment tells no secret of its host`, async () => {
    // Fails without --clearenv, and when the host's environment is copied.
    await using project = await createSandboxProject(caller, {})
    const script = `read -r request; printf '{"jsonrpc":"2.0","id":1,"result":"%s"}' "$(cat /proc/*/environ | tr '\\0' ' ')"`
    const stdin = '{"jsonrpc":"2.0","id":1,"method":"env"}\n'
    const config = { command: 'bash', args: ['-c', script], stdin }
    const answer = outputOf(await runAs(caller, { project: project.root, config }))
    assert.match(answer, /HOME=\/tmp/)
    assert.doesNotMatch(answer, /canary-secret|HOST_SECRET_KEY/)
  })

  test(`a variable given to a command of ${caller.name} is not in the process list of the machine`, async () => {
    // Fails when the environment is given to bubblewrap as arguments of its own.
    await using project = await createSandboxProject(caller, {})
    const value = `canary-${caller.uid ?? 'self'}-${process.pid}`
    const config = { command: 'bash', args: ['-c', 'echo $GIVEN > started; sleep 60'], env: { GIVEN: value } }
    const started = startAs(caller, { project: project.root, config, grant: { write: [tree()] } })
    assert.ok(await within(10_000, async () => (await project.read('started').catch(() => '')) === `${value}\n`))
    const seen = (await processesWith(value)).filter((line) => !line.includes('run-command.ts'))
    started.cancel()
    await started.outcome
    assert.deepEqual(seen, [])
  })
}
