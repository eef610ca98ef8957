/** Items as a team could have them, thousands of them, with words that repeat. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const VERBS = [
  'read',
  'write',
  'list',
  'deploy',
  'check',
  'review',
  'merge',
  'render',
  'export',
  'import',
  'plan',
  'measure',
  'sign',
  'trace',
]
const NOUNS = [
  'file',
  'branch',
  'report',
  'invoice',
  'table',
  'thread',
  'schema',
  'release',
  'ticket',
  'budget',
  'page',
  'image',
  'log',
  'route',
]

/** Writes one tool, directive or piece of knowledge into a space. The same number gives the same item. */
export function writeItem(space: string, number: number): void {
  const verb = VERBS[number % VERBS.length] ?? ''
  const noun = NOUNS[Math.floor(number / VERBS.length) % NOUNS.length] ?? ''
  const id = `${verb}_${noun}_${number}`
  const [type, name, text] = itemFile(number, id, `${verb} one ${noun}`)
  const target = join(space, type, `area_${number % 40}`)
  mkdirSync(target, { recursive: true })
  writeFileSync(join(target, name), text)
}

function itemFile(number: number, id: string, description: string): readonly [string, string, string] {
  const body = `An item for the team, number ${number}: ${VERBS[(number * 7) % VERBS.length]} the ${NOUNS[(number * 5) % NOUNS.length]} when it is due.`
  if (number % 3 === 0)
    return ['knowledge', `${id}.md`, `---\ntitle: ${id}\ndescription: ${description}\ntags: [bench]\n---\n${body}\n`]
  if (number % 3 === 1) {
    const parameters = `parameters:\n  - name: target\n    type: string\n    description: ${JSON.stringify(body)}\n`
    const head = `tool_id: ${id}\ntool_type: http\nversion: "1.0.0"\nexecutor_id: http_client\ndescription: ${description}\n`
    return ['tools', `${id}.yaml`, head + parameters]
  }
  const xml = `<directive name="${id}" version="1.0.0"><metadata><description>${description}</description></metadata>`
  const process = `<process><step name="one"><description>${body}</description></step></process></directive>`
  return ['directives', `${id}.md`, `# ${id}\n\n\`\`\`xml\n${xml}\n${process}\n\`\`\`\n`]
}
