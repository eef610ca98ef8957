import { existsSync } from 'node:fs'
import type { ThreadsClient } from '../threads-client.ts'

export interface LazyThreadsClientOptions {
  readonly projectPath: string
  readonly registryPath: string
  /** Opens a client on a registry file, or on an empty one for `:memory:`. */
  readonly open: (registryPath: string) => ThreadsClient
}

/**
 * A client that opens the registry when a thread is spawned, or when it is asked and the file is there: whoever only looks into a
 * folder leaves nothing in it. Without a file there are no threads.
 */
export function createLazyThreadsClient(options: LazyThreadsClientOptions): ThreadsClient {
  let opened: ThreadsClient | null = null
  let empty: ThreadsClient | null = null
  const toSpawn = (): ThreadsClient => (opened ??= options.open(options.registryPath))
  const toAsk = (): ThreadsClient => {
    if (opened !== null || existsSync(options.registryPath)) return toSpawn()
    return (empty ??= options.open(':memory:'))
  }
  return {
    projectPath: options.projectPath,
    spawn: async (request) => toSpawn().spawn(request),
    get: (threadId) => toAsk().get(threadId),
    start: (threadId) => toAsk().start(threadId),
    budget: (threadId) => toAsk().budget(threadId),
    list: (query) => toAsk().list(query),
    events: (threadId, range) => toAsk().events(threadId, range),
    loggedSince: (eventId) => toAsk().loggedSince(eventId),
    messages: (threadId, range) => toAsk().messages(threadId, range),
    signal: async (threadId, signal) => toAsk().signal(threadId, signal),
    logEvent: async (threadId, type, payload) => toAsk().logEvent(threadId, type, payload),
    wait: async (threadIds, waitOptions) => toAsk().wait(threadIds, waitOptions),
    watch: async (threadId, onLive, signal) => toAsk().watch(threadId, onLive, signal),
    version() {
      const asked = toAsk()
      return asked === empty ? 'empty' : asked.version()
    },
    approvals: {
      get: (approvalId) => toAsk().approvals.get(approvalId),
      list: (query) => toAsk().approvals.list(query),
      answer: async (approvalId, answer) => toAsk().approvals.answer(approvalId, answer),
    },
    newestOf: (threadId) => toAsk().newestOf(threadId),
    tokens: {
      addKey: (key) => toSpawn().tokens.addKey(key),
      key: (keyId) => toAsk().tokens.key(keyId),
      add: (row) => toSpawn().tokens.add(row),
      get: (jti) => toAsk().tokens.get(jti),
      latest: (threadId) => toAsk().tokens.latest(threadId),
      standing: (threadId) => toAsk().tokens.standing(threadId),
    },
    close() {
      opened?.close()
      empty?.close()
    },
  }
}
