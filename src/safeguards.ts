import { createGate } from './capabilities/gate/gate.ts'
import { openInstallKey } from './capabilities/keys/install-key.ts'
import { createSigningKeys, keyFolderOf } from './capabilities/keys/signing-keys.ts'
import { createReview } from './capabilities/permissions/review.ts'
import { vocabularyOf } from './capabilities/permissions/vocabulary.ts'
import type { Gate, TokenAuthority, Vocabulary } from './capabilities/contract.ts'
import { audienceOf, createTokenAuthority } from './capabilities/tokens/authority.ts'
import type { RunKey } from './capabilities/tokens/run-key.ts'
import type { Kernel, Review, SigningKeys } from './kernel/contract.ts'
import type { ThreadsClient } from './threads/threads-client.ts'
import { installKeyIds } from './install-keys.ts'

export interface SafeguardsOptions {
  /** Absolute. */
  readonly projectPath: string
  readonly userSpace: string
  /** The kernel that asks; called when it exists. */
  readonly kernel: () => Kernel
  readonly threads: ThreadsClient
  /** Of a process that runs threads; null where no token is good. */
  readonly runKey: RunKey | null
}

/** What one project's kernel and threads are guarded by: whose signatures count, and what tokens grant. */
export interface Safeguards {
  readonly keys: SigningKeys
  readonly review: Review
  readonly gate: Gate
  readonly authority: TokenAuthority | null
  readonly hostAuthority: object
  readonly vocabulary: () => Promise<Vocabulary>
}

/** @throws {KiwiError} KEY_UNSAFE in a process that runs threads, whose install key is opened at once. */
export function createSafeguards(options: SafeguardsOptions): Safeguards {
  const { projectPath, userSpace, threads, runKey } = options
  const vocabulary = rememberedVocabulary(options.kernel)
  const hostAuthority = Object.freeze({})
  const authority =
    runKey === null
      ? null
      : createTokenAuthority({
          ledger: threads.tokens,
          runKey,
          installKey: openInstallKey(keyFolderOf(userSpace), { projectPath }),
          audience: audienceOf(projectPath),
          vocabulary,
          now: () => Date.now(),
          trustedKeyIds: () => installKeyIds(userSpace, projectPath),
        })
  return {
    keys: createSigningKeys({ userSpace, projectPath }),
    review: createReview({ vocabulary }),
    gate: createGate({ authority, ledger: threads.tokens, vocabulary, hostAuthority }),
    authority,
    hostAuthority,
    vocabulary,
  }
}

/** The kernel answers with the same list while nothing changed. */
function rememberedVocabulary(kernel: () => Kernel): () => Promise<Vocabulary> {
  let known: { readonly modules: Awaited<ReturnType<Kernel['capabilities']>>; readonly vocabulary: Vocabulary } | null = null
  return async () => {
    const modules = await kernel().capabilities()
    if (known?.modules !== modules) known = { modules, vocabulary: vocabularyOf(modules) }
    return known.vocabulary
  }
}
