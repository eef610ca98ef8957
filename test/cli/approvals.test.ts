import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createScriptedProject, type ScriptedProject } from './scripted-project.ts'

let project: ScriptedProject

const DEPLOY = `import fs from 'node:fs'
export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __description__ = 'Deploys.'
export const __effect__ = 'once'
export const __approval__ = 'required'
export const __requires__ = [{ cap: 'fs.write', scope: { path: 'runs/**' } }]
export const PARAMETERS = { type: 'object', additionalProperties: false, properties: { target: { type: 'string' } } }
export default async (params: { target?: string }, context: { projectPath: string }): Promise<unknown> => {
  fs.mkdirSync(context.projectPath + '/runs', { recursive: true })
  fs.appendFileSync(context.projectPath + '/runs/deploy', 'x')
  return { deployed: params.target }
}
`

const PERMISSIONS = [
  '<execute resource="kiwi-mcp" action="*"/>',
  '<execute resource="tool" id="*"/>',
  '<write resource="filesystem" path="**"/>',
].join('')

/** A target that would write over the screen, end the line and turn the text around. */
const HOSTILE = 'prod\u001B]52;c;ZXZpbA==\u0007\u001B[2J\u202Edorp'

before(async () => {
  project = await createScriptedProject(({ turn, lastUserText }) => {
    if (turn > 1) return { reply: { text: 'done' } }
    if (lastUserText.includes('please sign'))
      return { reply: { tool_calls: [{ name: 'sign', arguments: { item_type: 'tool', item_id: 'fresh' } }] } }
    const target = lastUserText.includes('hostile') ? HOSTILE : 'prod'
    const call = { name: 'execute', arguments: { item_type: 'tool', item_id: 'deploy', parameters: { target } } }
    return { reply: { tool_calls: [call] } }
  })
  const write = (path: string, text: string): void => {
    mkdirSync(join(project.path, path, '..'), { recursive: true })
    writeFileSync(join(project.path, path), text)
  }
  write('.ai/tools/deploy.ts', DEPLOY)
  write('.ai/tools/fresh.ts', DEPLOY.replace("export const __approval__ = 'required'\n", '').replace('runs/deploy', 'runs/fresh'))
  const cost = '<cost><max_turns>1</max_turns><on_exceeded>escalate</on_exceeded></cost>'
  for (const [name, limits] of [
    ['ship', cost.replace('>1<', '>5<')],
    ['short', cost],
  ] as const)
    write(
      `.ai/directives/${name}.md`,
      `\`\`\`xml
<directive name="${name}" version="1.0.0"><metadata><description>Ship</description><category>test</category><author>test</author><model tier="fast"/>
${limits}<permissions>${PERMISSIONS}</permissions></metadata><process><step name="ship">Ship.</step></process></directive>
\`\`\`
`,
    )
  for (const item of [
    ['tool', 'deploy'],
    ['directive', 'ship'],
    ['directive', 'short'],
  ]) {
    const signed = await project.run('sign', ...item)
    assert.equal(signed.code, 0, signed.stderr)
  }
})
after(() => project.close())

interface Question {
  readonly approval_id: string
  readonly thread_id: string
  readonly status: string
}

/** Runs the directive until it waits, and gives its only question. */
async function asked(directive: string, message = 'go'): Promise<Question & { readonly stderr: string }> {
  const { code, stderr } = await project.run('run', directive, message)
  assert.equal(code, 5, stderr)
  const id = /^thread (\S+)$/mu.exec(stderr)?.[1] ?? ''
  const [question] = JSON.parse((await project.run('approvals', id, '-o', 'json')).stdout) as Question[]
  assert.ok(question, stderr)
  return { ...question, stderr }
}

const runsOf = (name: string): string => {
  const file = join(project.path, 'runs', name)
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

test('run ends with 5 and says what is asked and how to answer; approve lets the call run', async () => {
  const { approval_id: approvalId, thread_id: id, stderr } = await asked('ship')
  assert.match(stderr, new RegExp(`run deploy with .*kiwi approve ${approvalId} .*kiwi deny ${approvalId}`, 'su'))
  assert.match((await project.run('show', id)).stdout, new RegExp(`questions\\n {2}${approvalId} {2}run deploy`, 'u'))
  assert.match((await project.run('approvals')).stdout, new RegExp(`${approvalId} +pending +tool`, 'u'))
  const earlier = runsOf('deploy')
  const waited = await project.run('wait', id)
  assert.deepEqual([waited.code, waited.stderr.includes(`kiwi approve ${approvalId}`)], [5, true])
  const approved = await project.run('approve', approvalId, '--reason', 'Go.')
  assert.deepEqual([approved.code, approved.stdout.startsWith('approved: run deploy')], [0, true], approved.stderr)
  assert.match((await project.run('approvals', approvalId)).stdout, /reason +Go\./u)
  assert.equal((await project.run('wait', id)).code, 0)
  assert.equal(runsOf('deploy'), `${earlier}x`)
  const late = await project.run('deny', approvalId)
  assert.deepEqual([late.code, /APPROVAL_CLOSED/u.test(late.stderr)], [1, true])
})

test('deny tells the reason, and what was answered is listed with --all alone', async () => {
  const { approval_id: approvalId, thread_id: id } = await asked('ship')
  const earlier = runsOf('deploy')
  const denied = await project.run('deny', approvalId, '--reason', 'Not today.', '-o', 'json')
  assert.equal(JSON.parse(denied.stdout).result.status, 'denied')
  assert.equal((await project.run('wait', id)).code, 0)
  assert.equal(runsOf('deploy'), earlier)
  const [open, all] = [await project.run('approvals', id), await project.run('approvals', id, '--all')]
  assert.deepEqual([open.stdout.trim(), all.stdout.includes(approvalId)], ['Nothing waits for an answer.', true])
  assert.match((await project.run('approvals', approvalId)).stdout, /reason +Not today\./u)
})

test('a question about a limit gets what it asks for', async () => {
  const { approval_id: approvalId, thread_id: id } = await asked('short')
  await project.run('approve', approvalId)
  const { code, stdout } = await project.run('wait', id, '-o', 'json')
  assert.deepEqual([code, JSON.parse(stdout)[0].wait_reason], [5, 'budget_reached'])
  const [budget] = JSON.parse((await project.run('approvals', id, '-o', 'json')).stdout)
  const raised = await project.run('approve', budget.approval_id)
  assert.match(raised.stdout, /add_turns 1/u)
  assert.equal((await project.run('wait', id)).code, 0)
})

test('a denied limit says that the thread ends', async () => {
  const { approval_id: approvalId, thread_id: id } = await asked('short')
  await project.run('approve', approvalId)
  assert.equal((await project.run('wait', id)).code, 5)
  const [budget] = JSON.parse((await project.run('approvals', id, '-o', 'json')).stdout)
  const denied = await project.run('deny', budget.approval_id, '--message', 'No more.')
  assert.match(denied.stdout, new RegExp(`${id} ends\\. Read why: kiwi why ${id}`, 'u'))
  assert.equal((await project.run('wait', id)).code, 4)
})

test('approve signs with the key of the user what a thread asked to be signed', async () => {
  const { approval_id: approvalId, thread_id: id } = await asked('ship', 'please sign')
  assert.match((await project.run('execute', 'tool', 'fresh')).stderr, /ITEM_UNSIGNED/u)
  const approved = await project.run('approve', approvalId)
  assert.deepEqual([approved.code, /signed true/u.test(approved.stdout)], [0, true], approved.stderr)
  assert.equal((await project.run('wait', id)).code, 0)
  assert.equal((await project.run('execute', 'tool', 'fresh')).code, 0)
})

test('threat row 33: what a model puts into a question neither steers the terminal nor stays unseen', async () => {
  // Without `visibleText` (terminal-text.ts) in approval-text.ts and run.ts the bytes are dropped or sent.
  const { approval_id: approvalId, stderr } = await asked('ship', 'hostile')
  const shown = [stderr, (await project.run('approvals')).stdout, (await project.run('approvals', approvalId)).stdout]
  // oxlint-disable-next-line no-control-regex
  for (const text of shown) assert.doesNotMatch(text.replaceAll(/\u001B\[\d*[mK]/gu, ''), /[\u0007\u001B\u202E]/u)
  assert.match(shown[2] ?? '', /prod\\u001b\]52/u)
  assert.match(shown[2] ?? '', /\\u202edorp/u)
  await project.run('deny', approvalId)
})

test('an unknown question or thread is said to be one', async () => {
  const [approved, listed] = [await project.run('approve', 'tool_none'), await project.run('approvals', 'nobody')]
  assert.deepEqual([approved.code, /APPROVAL_NOT_FOUND/u.test(approved.stderr)], [1, true])
  assert.deepEqual([listed.code, /THREAD_NOT_FOUND/u.test(listed.stderr)], [1, true])
})
