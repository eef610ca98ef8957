import type { Grants } from '../../capabilities/contract.ts'
import type { TokenChain, TokenLink } from '../../capabilities/tokens/token-chain.ts'
import type { CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { fields } from '../format.ts'
import { terminalLine } from '../terminal-text.ts'

/** `kiwi token verify ID`: the chain of tokens from a thread (or a token's jti) up to the operator. Exits with 3 when it is not proven. */
export async function tokenVerify(context: CliContext, id: string): Promise<ExitCode> {
  const { openTokenProof } = await import('../../token-proof.ts')
  const proof = openTokenProof(context.projectPath, context.env)
  try {
    const chain = await proof.verify(id)
    context.output.data(chain, () => chainText(chain))
    return chain.proven ? EXIT.ok : EXIT.denied
  } finally {
    await proof.close()
  }
}

function chainText({ links, reason }: TokenChain): string {
  const verdict =
    reason === null
      ? `proven: ${links.length === 1 ? 'the token is' : `all ${links.length} tokens are`} signed, and none grants more than its parent${links.some(({ approval }) => approval) ? ' but what was approved' : ''}`
      : `NOT proven: ${terminalLine(reason)}`
  return [...links.map(linkText), verdict].join('\n\n')
}

function linkText(link: TokenLink): string {
  const within =
    link.within_parent === null
      ? 'no parent: spawned by the operator'
      : link.within_parent
        ? `yes${link.approval ? ', but for what was approved' : ''}`
        : 'NO'
  const signer = link.install_key === null ? 'not proven' : `certified by install key ${link.install_key}`
  return fields([
    ['thread', link.thread_id],
    ['directive', link.directive],
    ['token', link.jti],
    ['parent token', link.parent_jti],
    ['issued', link.issued_at],
    ['expires', link.expires_at],
    ['signed by', `run key ${link.run_key}, ${signer}`],
    ...(link.grants === null ? [] : grantLines(link.grants)),
    ['within parent', within],
    ['problem', link.problem],
  ])
}

function grantLines(grants: Grants): readonly (readonly [string, string])[] {
  const capabilities = Object.entries(grants.capabilities).map(([id, scopes]) =>
    scopes === true ? id : `${id} ${scopes.map((scope) => JSON.stringify(scope)).join(', ')}`,
  )
  const rules = (['orchestration', 'knowledge', 'directives'] as const).flatMap((name) => {
    const list = grants[name]
    return list === null || list.length === 0 ? [] : [[name, JSON.stringify(list)] as const]
  })
  const [first = 'none', ...rest] = capabilities
  return [['capabilities', first], ...rest.map((capability) => ['', capability] as const), ...rules]
}
