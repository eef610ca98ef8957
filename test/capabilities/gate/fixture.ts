import type { TestContext } from 'node:test'
import type { Gate, Grants } from '../../../src/capabilities/contract.ts'
import { createGate } from '../../../src/capabilities/gate/gate.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import type { Authorize, Permission } from '../../../src/kernel/contract.ts'
import { grants, type Host, type Office, openOffice, VOCABULARY } from '../tokens/fixture.ts'

export type Question = Partial<Parameters<Authorize>[0]>

/** A gate over a real registry, and a thread `one` that holds a token. */
export interface Post {
  readonly office: Office
  readonly host: Host
  readonly gate: Gate
  readonly hostAuthority: object
  /** The context of a call of this thread, with its token of this moment. */
  readonly context: (threadId?: string) => Promise<ExecutionContext>
  /** Asks for a call of `one`; unless the question says otherwise the tool is `tool_x`, without parameters and requirements. */
  readonly ask: (question: Question) => Promise<Permission>
}

/** Enough to call any tool; what the test is about comes on top. */
export const CALLER: Grants['capabilities'] = { 'kiwi-mcp.execute': true, 'tool.execute': ['*'] }

export async function openPost(
  t: TestContext,
  capabilities: Grants['capabilities'],
  change: Partial<Grants> = {},
): Promise<Post> {
  const office = await openOffice(t)
  const host = await office.host()
  const hostAuthority = {}
  const gate = createGate({
    authority: host.authority,
    ledger: office.ledger,
    vocabulary: async () => VOCABULARY,
    hostAuthority,
  })
  await office.spawn('one')
  const declared = grants(capabilities, change)
  await host.authority.mint({ threadId: 'one', directiveId: 'work', parentThreadId: null, declared })
  const context = async (threadId = 'one'): Promise<ExecutionContext> => ({
    projectPath: '/nowhere',
    __thread_id: threadId,
    __auth: await host.authority.current(threadId),
  })
  return {
    office,
    host,
    gate,
    hostAuthority,
    context,
    ask: async (question) => gate.authorize(asked({ context: await context(), ...question })),
  }
}

/** A whole question from what matters of it. What one part requires is what its chain requires, unless it says so. */
export function asked(question: Question): Parameters<Authorize>[0] {
  const { requires = [] } = question
  return {
    verb: 'execute',
    itemType: 'tool',
    itemId: 'tool_x',
    category: 'tests',
    requires,
    chainRequires: requires,
    parameters: {},
    context: { projectPath: '/nowhere' },
    ...question,
  }
}

/** What an answer lacks; empty when it permits. */
export function missing(permission: Permission): readonly string[] {
  return permission.permitted ? [] : permission.missing
}

export function suggestion(permission: Permission): string {
  return permission.permitted ? '' : permission.suggestion
}
