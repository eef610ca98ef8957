import type { HarnessServices } from '../safety/services.ts'

/** What a harness of a project is made with, as `harness(host)`. It is the user's own code: the kernel asks it for no token. */
export type HarnessHost = Pick<HarnessServices, 'kernel' | 'threads' | 'resolveModel' | 'env'>
