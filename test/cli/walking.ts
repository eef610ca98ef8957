import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ScriptedProject } from './scripted-project.ts'

/** Writes and signs a directive that walks: it may execute `count_words`, and what `permissions` declares. */
export async function writeWalk(
  project: ScriptedProject,
  { name, cost, permissions = '' }: { readonly name: string; readonly cost: string; readonly permissions?: string },
): Promise<void> {
  const xml = `<directive name="${name}" version="1.0.0">
  <metadata>
    <description>Walk</description>
    <category>test</category>
    <model tier="fast"/>
    <cost>${cost}</cost>
    <permissions><execute resource="kiwi-mcp" action="execute"/><execute resource="tool" id="count_words"/>${permissions}</permissions>
  </metadata>
  <process><step name="walk">Walk.</step></process>
</directive>`
  mkdirSync(join(project.path, '.ai', 'directives', 'test'), { recursive: true })
  writeFileSync(join(project.path, '.ai', 'directives', 'test', `${name}.md`), `# ${name}\n\n\`\`\`xml\n${xml}\n\`\`\`\n`)
  const signed = await project.run('sign', 'directive', name)
  assert.equal(signed.code, 0, signed.stderr)
}

/** The id of a thread that has just been spawned. */
export async function spawnedThread(project: ScriptedProject, directive: string): Promise<string> {
  const { code, stdout, stderr } = await project.run('run', directive, '--detach')
  assert.equal(code, 0, stderr)
  return stdout.trim()
}
