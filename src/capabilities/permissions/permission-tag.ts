import type { PermissionTag } from '../../kernel/items/item.ts'
import { suggestName } from '../../kernel/items/nearest-name.ts'
import type { CapabilityInfo, Vocabulary } from '../contract.ts'
import { parseScope } from '../scopes/scope-sets.ts'
import { shownTag } from './permission-findings.ts'
import type { PermissionFindings } from './permission-findings.ts'
import { scopeKeys } from './vocabulary.ts'

/** One capability that a tag declares. */
export interface DeclaredCapability {
  readonly info: CapabilityInfo
  /** Canonical; null where the capability has no scope. */
  readonly scope: string | null
  readonly tag: PermissionTag
}

const TAGS = ['read', 'write', 'delete', 'execute', 'modify', 'spawn', 'orchestration', 'knowledge', 'directives']
/** How messages show a scope of each language. */
const EXAMPLES = { path: 'src/**', host: 'api.example.com', id: 'read_file' } as const
/** Prefix of capability ids and the resource that a directive calls it by, where they differ. */
const RESOURCES: ReadonlyMap<string, string> = new Map([
  ['fs', 'filesystem'],
  ['process', 'shell'],
])

/** The capabilities of any tag but the three blocks. What is wrong becomes a problem, and then nothing is declared. */
export function readPermissionTag(
  tag: PermissionTag,
  vocabulary: Vocabulary,
  findings: PermissionFindings,
): readonly DeclaredCapability[] {
  const reading: Reading = { tag, vocabulary, findings }
  findings.noContent(tag)
  switch (tag.tag) {
    case 'read':
    case 'write':
    case 'delete':
      return readFileTag(reading)
    case 'execute':
      return readExecuteTag(reading)
    case 'modify':
      return readModifyTag(reading)
    case 'spawn':
      return readAction(reading, { resource: 'spawn', known: ['action'] })
    default:
      findings.problem(tag, `there is no permission \`<${tag.tag}>\``, suggestName(tag.tag, TAGS))
      return []
  }
}

interface Reading {
  readonly tag: PermissionTag
  readonly vocabulary: Vocabulary
  readonly findings: PermissionFindings
}

function readFileTag(reading: Reading): readonly DeclaredCapability[] {
  const { tag, findings } = reading
  if (tag.attributes['resource'] !== 'filesystem') {
    const fix = `Write \`<${tag.tag} resource="filesystem" path="src/**"/>\`; everything else is \`<execute …/>\`.`
    findings.problem(tag, resourceProblem(tag), fix)
    return []
  }
  return declare(reading, `fs.${tag.tag}`, { known: ['resource'] })
}

function readModifyTag(reading: Reading): readonly DeclaredCapability[] {
  const { tag, vocabulary, findings } = reading
  const resource = tag.attributes['resource'] ?? ''
  if (vocabulary.get(`${resource}.modify`) !== undefined) return declare(reading, `${resource}.modify`, { known: ['resource'] })
  const known = vocabulary.list().flatMap(({ id }) => (id.endsWith('.modify') ? [id.slice(0, -'.modify'.length)] : []))
  findings.problem(tag, resourceProblem(tag), suggestName(resource, known))
  return []
}

function readExecuteTag(reading: Reading): readonly DeclaredCapability[] {
  const { tag } = reading
  const resource = tag.attributes['resource'] ?? ''
  const known = ['resource', 'action']
  switch (resource) {
    case 'tool':
      return readToolTag(reading)
    case 'shell':
      return declare(reading, 'process.exec', { known: ['resource'] })
    case 'net':
      return readAction(reading, { resource, known, action: tag.attributes['action'] ?? 'http' })
    case 'mcp':
      return readAction(reading, { resource, known, action: tag.attributes['action'] ?? 'connect' })
    case 'kiwi-mcp':
      return tag.attributes['action'] === '*' ? readEveryVerb(reading) : readAction(reading, { resource, known })
    case 'thread':
      if (tag.attributes['action'] === 'approve') return readAction(reading, { resource, known })
      reading.findings.problem(
        tag,
        'threads are not steered by `<execute>`',
        'Write `<orchestration enabled="true"/>`, with lists of what may be spawned; `action="approve"` answers what threads below ask.',
      )
      return []
    default:
      return readAction(reading, { resource, known })
  }
}

/** `action` and `tool_id` are what other systems call the id. */
function readToolTag(reading: Reading): readonly DeclaredCapability[] {
  const { tag, findings } = reading
  const written = ['id', 'action', 'tool_id'].filter((name) => Object.hasOwn(tag.attributes, name))
  const [first] = written
  if (first === undefined || written.length > 1 || first === 'id') {
    if (written.length > 1) findings.problem(tag, `\`${written.join('` and `')}\` all name the tool`, 'Keep `id` alone.')
    return declare(reading, 'tool.execute', { known: ['resource', ...written] })
  }
  const { [first]: id = '', ...others } = tag.attributes
  const renamed = { ...tag, attributes: { ...others, id } }
  findings.warn(tag, `\`${first}\` is read as \`id\``, `Write \`${shownTag(renamed)}\`.`)
  return declare({ ...reading, tag: renamed }, 'tool.execute', { known: ['resource'] })
}

function readEveryVerb(reading: Reading): readonly DeclaredCapability[] {
  const ids = reading.vocabulary.list().flatMap(({ id }) => (id.startsWith('kiwi-mcp.') ? [id] : []))
  return ids.flatMap((id) => declare(reading, id, { known: ['resource', 'action'] }))
}

/** The general form: `resource="X" action="Y"` is the capability `X.Y`. */
function readAction(
  reading: Reading,
  { resource, known, action }: { readonly resource: string; readonly known: readonly string[]; readonly action?: string },
): readonly DeclaredCapability[] {
  const { tag, vocabulary, findings } = reading
  const actions = vocabulary.list().flatMap(({ id }) => (id.startsWith(`${resource}.`) ? [id.slice(resource.length + 1)] : []))
  if (resource === '' || actions.length === 0) {
    findings.problem(tag, resourceProblem(tag), suggestName(resource, executeResources(vocabulary)))
    return []
  }
  const wanted = action ?? tag.attributes['action'] ?? ''
  if (actions.includes(wanted)) return declare(reading, `${resource}.${wanted}`, { known })
  const reason = wanted === '' ? `\`action\` is missing for \`${resource}\`` : `\`${resource}\` has no action \`${wanted}\``
  findings.problem(tag, reason, suggestName(wanted, actions))
  return []
}

function declare(reading: Reading, id: string, { known }: { readonly known: readonly string[] }): readonly DeclaredCapability[] {
  const { tag, vocabulary, findings } = reading
  const info = vocabulary.get(id)
  if (info === undefined) {
    findings.problem(tag, `no capability module declares \`${id}\``, `Known: ${knownIds(vocabulary)}.`)
    return []
  }
  const keys = scopeKeys(info)
  findings.onlyAttributes(tag, [...known, ...keys])
  if (info.scope === null) return [{ info, scope: null, tag }]
  const written = keys.filter((name) => Object.hasOwn(tag.attributes, name))
  const [name] = written
  if (name === undefined || written.length > 1) {
    const [key = 'id'] = keys
    const example = shownTag({ tag: tag.tag, attributes: { ...tag.attributes, [key]: EXAMPLES[info.scope] } })
    const reason =
      name === undefined ? `\`${key}\` is missing: \`${id}\` needs a scope` : `\`${written.join('` and `')}\` say the same`
    findings.problem(tag, reason, name === undefined ? `Write, for example, \`${example}\`.` : `Keep \`${name}\`.`)
    return []
  }
  const text = tag.attributes[name] ?? ''
  const outcome = parseScope(text, info.scope)
  if (outcome.kind === 'scope') return [{ info, scope: outcome.scope, tag }]
  const reason = `\`${name}=${JSON.stringify(text.slice(0, 120))}\`, character ${outcome.offset + 1}: ${outcome.reason}`
  findings.problem(tag, reason, outcome.fix)
  return []
}

function resourceProblem(tag: PermissionTag): string {
  const resource = tag.attributes['resource'] ?? ''
  return resource === '' ? `\`<${tag.tag}>\` names no \`resource\`` : `\`<${tag.tag}>\` knows no resource \`${resource}\``
}

/** What `<execute>` can name, from the modules that there are. */
function executeResources(vocabulary: Vocabulary): readonly string[] {
  const names = vocabulary.list().flatMap(({ id, systemOnly }) => (systemOnly || id.endsWith('.modify') ? [] : [prefixOf(id)]))
  return [...new Set(names)].filter((name) => name !== 'filesystem' && name !== 'thread')
}

function prefixOf(id: string): string {
  const prefix = id.slice(0, id.lastIndexOf('.'))
  return RESOURCES.get(prefix) ?? prefix
}

function knownIds(vocabulary: Vocabulary): string {
  return vocabulary
    .list()
    .map(({ id }) => id)
    .join(', ')
}
