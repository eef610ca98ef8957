import type { Permission } from '../../kernel/contract.ts'
import type { TokenClaims } from '../contract.ts'
import { APPROVED } from '../tokens/approval-token.ts'

/** One thing that a call lacks. */
export interface Missing {
  /** The capability it is about; null when no capability would help. */
  readonly capability: string | null
  /** As it is shown: `fs.write "src/x.ts"`. */
  readonly text: string
  /** The permission that would grant it, or what to do instead; null when there is nothing to add. */
  readonly remedy: { readonly kind: 'tag' | 'advice'; readonly text: string } | null
}

export function missingScope(capability: string, scope: string): Missing {
  const tag = permissionTag(capability, scope)
  return { capability, text: `${capability} ${JSON.stringify(scope)}`, remedy: tag === null ? null : { kind: 'tag', text: tag } }
}

export function missingCapability(capability: string): Missing {
  const tag = permissionTag(capability, null)
  return { capability, text: capability, remedy: tag === null ? null : { kind: 'tag', text: tag } }
}

/** Somebody's agreement, which no directive declares. */
export function missingApproval(toolId: string): Missing {
  const advice = `Somebody has to agree to each call of ${toolId}: a thread that executes it waits for the answer.`
  return { capability: APPROVED, text: `${APPROVED} ${JSON.stringify(toolId)}`, remedy: { kind: 'advice', text: advice } }
}

/** Something that no permission would mend. */
export function refusal(text: string, advice: string): Missing {
  return { capability: null, text, remedy: { kind: 'advice', text: advice } }
}

/** The answer to a call that lacks something: what is missing, what the thread has instead, and what a directive would have to declare. */
export function denied(lacking: readonly Missing[], claims: TokenClaims | null): Permission {
  const advice = unique(lacking.flatMap(({ remedy }) => (remedy?.kind === 'advice' ? [remedy.text] : [])))
  const tags = unique(lacking.flatMap(({ remedy }) => (remedy?.kind === 'tag' ? [remedy.text] : [])))
  const held = claims === null ? [] : unique(lacking.flatMap(({ capability }) => heldText(claims, capability)))
  const sentences = [
    ...advice,
    ...(held.length === 0 ? [] : [`Stay within what this thread has: ${held.join('; ')}.`]),
    ...(tags.length === 0 ? [] : [`A directive that needs it declares ${tags.join(' ')}`]),
  ]
  const onlyApproval = lacking.every(({ capability }) => capability === APPROVED)
  return {
    permitted: false,
    ...(onlyApproval ? { code: 'APPROVAL_REQUIRED' } : {}),
    missing: unique(lacking.map(({ text }) => text)),
    suggestion: sentences.length === 0 ? 'No directive of a user can be given this.' : sentences.join(' '),
  }
}

const MAX_SHOWN_SCOPES = 12

function heldText(claims: TokenClaims, capability: string | null): readonly string[] {
  const { capabilities } = claims.grants
  const scopes = capability !== null && Object.hasOwn(capabilities, capability) ? capabilities[capability] : undefined
  if (capability === null || scopes === undefined || scopes === true || scopes.length === 0) return []
  const more = scopes.length > MAX_SHOWN_SCOPES ? `, and ${scopes.length - MAX_SHOWN_SCOPES} more` : ''
  return [`${capability} ${scopes.slice(0, MAX_SHOWN_SCOPES).join(', ')}${more}`]
}

/** The permission tag that grants a capability; null for one that no tag of a user's directive grants. */
function permissionTag(capability: string, scope: string | null): string | null {
  const value = escapeXml(scope ?? '')
  const [family = '', action = ''] = capability.split(/\.(.*)/s)
  switch (capability) {
    case 'fs.read':
    case 'fs.write':
    case 'fs.delete':
      return `<${action} resource="filesystem" path="${value}"/>`
    case 'tool.execute':
      return `<execute resource="tool" id="${value}"/>`
    case 'process.exec':
      return '<execute resource="shell"/>'
    case 'net.http':
      return `<execute resource="net" host="${value}"/>`
    case 'net.websocket':
      return `<execute resource="net" action="websocket" host="${value}"/>`
    case 'mcp.connect':
      return `<execute resource="mcp" server="${value}"/>`
    case 'tool.modify':
    case 'directive.modify':
      return `<modify resource="${family}"/>`
    case 'thread.approve':
      return '<execute resource="thread" action="approve"/>'
    case 'thread.orchestrate':
      return '<orchestration enabled="true"/>'
    default:
      return ['kiwi-mcp', 'db', 'git'].includes(family) ? `<execute resource="${family}" action="${escapeXml(action)}"/>` : null
  }
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function unique(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)]
}
