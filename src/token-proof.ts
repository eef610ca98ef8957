import { resolve } from 'node:path'
import { vocabularyOf } from './capabilities/permissions/vocabulary.ts'
import { audienceOf } from './capabilities/tokens/authority.ts'
import { type TokenChain, verifyTokenChain } from './capabilities/tokens/token-chain.ts'
import { createKiwi } from './compose.ts'
import { userSpaceOf } from './config/user-space.ts'
import type { Environment } from './config/environment.ts'
import { installKeyIds } from './install-keys.ts'

/** Proves tokens of one project from its registry and the user's keys alone. */
export interface TokenProof {
  /** The chain of a thread's newest token, or of the token with this jti. @throws {KiwiError} THREAD_NOT_FOUND */
  verify(threadIdOrJti: string): Promise<TokenChain>
  close(): Promise<void>
}

/** Starts no host, makes no key and writes nothing. @throws {KiwiError} KEY_UNSAFE, CONFIG_VALIDATION_ERROR */
export function openTokenProof(projectPath: string, env: Environment): TokenProof {
  const trustedKeyIds = installKeyIds(userSpaceOf(env), projectPath)
  const kiwi = createKiwi({ projectPath, env })
  return {
    async verify(threadIdOrJti) {
      const threads = kiwi.threads(projectPath)
      const vocabulary = vocabularyOf(await kiwi.kernel(projectPath).capabilities())
      const options = { trustedKeyIds, audience: audienceOf(resolve(projectPath)), vocabulary }
      const chain = await verifyTokenChain(threads.tokens, threadIdOrJti, options)
      if (chain.links.length > 0) return chain
      const { thread_id: threadId } = threads.get(threadIdOrJti)
      return { proven: false, reason: `thread ${threadId} has no token`, links: [] }
    },
    close: () => kiwi.close(),
  }
}
