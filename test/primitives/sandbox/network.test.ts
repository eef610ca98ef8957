import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { createServer, type Server } from 'node:http'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { CALLERS, type Caller, type CommandRequest, createSandboxProject, outputOf, runAs, within } from './sandboxed.ts'
import type { SubprocessOutcome } from '../../../src/primitives/subprocess/subprocess.ts'

async function shell(caller: Caller, script: string, grant: CommandRequest['grant']): Promise<SubprocessOutcome> {
  await using project = await createSandboxProject(caller, {})
  const config = { command: 'bash', args: ['-c', script] }
  return await runAs(caller, { project: project.root, config, ...(grant === undefined ? {} : { grant }) })
}

async function listening(server: Server): Promise<{ readonly port: number; [Symbol.asyncDispose](): Promise<void> }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A CONNECT by hand, so that no program has to be installed: the proxy's first line, then what the server behind it says. */
const viaProxy = (port: number, host = '127.0.0.1'): string => `
  exec 3<>/dev/tcp/127.0.0.1/\${HTTPS_PROXY##*:}
  printf 'CONNECT ${host}:${port} HTTP/1.1\\r\\nHost: ${host}:${port}\\r\\n\\r\\n' >&3
  IFS=$'\\r' read -r line <&3; echo "$line"
  case "$line" in *' 200'*) printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3; tail -n 1 <&3;; esac`

for (const caller of CALLERS) {
  for (const [network, grant] of [
    ['without a network', {}],
    ['with a scoped network', { hosts: ['example.com:443'] }],
  ] as const) {
    test(`threat row 3: a command of ${caller.name} ${network} sends no packet, to no name server either`, async () => {
      // Fails when the host's network is shared whatever is granted.
      const packets: string[] = []
      const listener = createSocket('udp4').on('message', (message) => packets.push(message.toString('latin1')))
      await new Promise<void>((resolve) => listener.bind(0, '0.0.0.0', resolve))
      const { port } = listener.address()
      const own = Object.values(networkInterfaces()).flatMap((all) => all?.filter(({ family }) => family === 'IPv4') ?? [])
      const sends = own.map(({ address }) => `(echo canary > /dev/udp/${address}/${port}) 2>/dev/null`).join('; ')
      const lookup = 'RES_OPTIONS="timeout:1 attempts:1" getent hosts canary.example.com && echo resolved'
      const sandboxed = await shell(caller, `${sends}; ${lookup}; echo done`, grant)
      // The same command with the operator's network arrives, so the listener would have heard the first.
      const before = packets.length
      await shell(caller, sends, { network: 'open' })
      const heard = await within(5_000, () => packets.length > before)
      listener.close()
      assert.equal(outputOf(sandboxed), 'done\n')
      assert.deepEqual([before, heard], [0, true])
    })
  }

  test(`a command of ${caller.name} reaches a granted host through the proxy, and the result names a refused one`, async () => {
    await using server = await listening(createServer((_request, response) => response.end('answer')))
    await using other = await listening(createServer((_request, response) => response.end('secret')))
    const { value } = await shell(caller, `${viaProxy(server.port)}; ${viaProxy(other.port)}`, {
      hosts: [`127.0.0.1:${server.port}`],
    })
    assert.match(value?.stdout ?? '', /^HTTP\/1\.1 200[^\n]*\nanswer\n?HTTP\/1\.1 403/)
    assert.deepEqual(value?.denied_hosts, [`127.0.0.1:${other.port}`])
  })

  test(`a command of ${caller.name} with a scoped network reaches the machine's own ports by no other way`, async () => {
    await using server = await listening(createServer((_request, response) => response.end('answer')))
    const script = `(exec 3<>/dev/tcp/127.0.0.1/${server.port}) 2>/dev/null && echo reached; cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '`
    assert.equal(outputOf(await shell(caller, script, { hosts: [`127.0.0.1:${server.port}`] })), 'lo\n')
  })

  test(`the exit code and signal of a command of ${caller.name} come through the relay of a scoped network`, async () => {
    const exited = await shell(caller, 'exit 7', { hosts: ['example.com:443'] })
    const killed = await shell(caller, 'kill -SEGV $$', { hosts: ['example.com:443'] })
    assert.deepEqual([exited.value?.exit_code, killed.value?.signal], [7, 'SIGSEGV'])
  })
}
