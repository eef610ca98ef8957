/**
 * Runs inside a sandbox: `network-relay SOCKET PORT -- COMMAND ARGS…`. Passes bytes between a port of the loopback address and the
 * socket of the host's proxy, and runs the command meanwhile. It decides nothing and imports nothing of ours, because only this file is
 * there.
 */
import { spawn } from 'node:child_process'
import { createConnection, createServer } from 'node:net'
import { constants } from 'node:os'

const [socketPath = '', port = '', , command = '', ...args] = process.argv.slice(2)

const server = createServer((inner) => {
  const outer = createConnection(socketPath)
  inner.on('error', () => outer.destroy())
  outer.on('error', () => inner.destroy())
  inner.pipe(outer)
  outer.pipe(inner)
})

server.on('error', (error) => {
  process.stderr.write(`The way to the network could not be opened: ${error.message}\n`)
  process.exitCode = 125
})

server.listen(Number(port), '127.0.0.1', () => {
  const child = spawn(command, args, { stdio: 'inherit' })
  child.on('error', (error) => {
    process.stderr.write(`${command} could not be started: ${error.message}\n`)
    process.exit(126)
  })
  // As a shell tells it, which is how bubblewrap tells it too.
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
})
