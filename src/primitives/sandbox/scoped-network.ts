import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { NetworkPolicy, StartProxy } from './contract.ts'

/** The only way out of a sandbox with a scoped network: the host's proxy, seen inside as a port of the loopback address. */
export interface ScopedNetwork {
  readonly files: readonly { readonly from: string; readonly to: string }[]
  /** Begins a command line: opens the port, then runs what follows. */
  readonly launcher: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** @returns The hosts that were refused. */
  close(): Promise<readonly string[]>
}

/** Alone in its network namespace, so the port is always free. */
const PORT = 3128
const FOLDER_INSIDE = '/run/kiwi'
const SOCKET = 'proxy.sock'
/** `.ts` in a checkout, `.js` in the package. */
const SUFFIX: string = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
const RELAY: string = fileURLToPath(new URL(`./network-relay${SUFFIX}`, import.meta.url))
/** The module kind is in the name, because no package.json is there. */
const RELAY_INSIDE = `${FOLDER_INSIDE}/network-relay${SUFFIX === '.ts' ? '.mts' : '.mjs'}`
const NODE_INSIDE = `${FOLDER_INSIDE}/node`

/** The socket lies in a folder of its own that only this user may enter. */
export async function openScopedNetwork({
  policy,
  isLive,
  startProxy,
}: {
  readonly policy: NetworkPolicy
  readonly isLive: () => boolean
  readonly startProxy: StartProxy
}): Promise<ScopedNetwork> {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-net-'))
  const controller = new AbortController()
  const removeFolder = async (): Promise<void> => await rm(folder, { recursive: true, force: true })
  try {
    const proxy = await startProxy({ policy, isLive, socketPath: join(folder, SOCKET), signal: controller.signal })
    return {
      files: [
        { from: process.execPath, to: NODE_INSIDE },
        { from: RELAY, to: RELAY_INSIDE },
        { from: join(folder, SOCKET), to: `${FOLDER_INSIDE}/${SOCKET}` },
      ],
      launcher: [NODE_INSIDE, '--disable-sigusr1', RELAY_INSIDE, `${FOLDER_INSIDE}/${SOCKET}`, String(PORT), '--'],
      env: proxyVariables(`http://127.0.0.1:${PORT}`),
      async close() {
        controller.abort()
        await proxy.close()
        await removeFolder()
        return proxy.denied()
      },
    }
  } catch (error) {
    controller.abort()
    await removeFolder()
    throw error
  }
}

/** Programs disagree about the case; an empty NO_PROXY sends loopback addresses to the proxy too, which knows whether they are granted. */
function proxyVariables(url: string): Readonly<Record<string, string>> {
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']
  return { ...Object.fromEntries(names.map((name) => [name, url])), NO_PROXY: '', no_proxy: '' }
}
