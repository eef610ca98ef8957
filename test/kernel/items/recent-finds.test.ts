import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createItemStore, type ItemStore } from '../../../src/kernel/items/item-store.ts'

interface Spaces {
  readonly store: ItemStore
  readonly write: (space: 'project' | 'user', description: string) => string
}

function createSpaces(t: TestContext): Spaces {
  const root = mkdtempSync(join(tmpdir(), 'kiwi-recent-'))
  const spaces = { project: join(root, 'project', '.ai'), user: join(root, 'user'), system: join(root, 'system') }
  const store = createItemStore({ spaces, projectPath: join(root, 'project'), trustMs: 3_600_000 })
  t.after(() => {
    store.close()
    rmSync(root, { recursive: true, force: true })
  })
  return {
    store,
    write(space, description) {
      const path = join(spaces[space], 'tools', 'a_tool.yaml')
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(
        path,
        `tool_id: a_tool\ntool_type: http\nversion: "1"\nexecutor_id: http_client\ndescription: ${description}\n`,
      )
      return path
    },
  }
}

const description = async (store: ItemStore) => (await store.find('tool', 'a_tool'))?.description

/** A find is remembered only when the file's own times can tell its next change. */
async function settled(path: string): Promise<void> {
  while (Date.now() - statSync(path).ctimeMs <= 100) await nextTurn()
}

test('a change of the found file itself is seen at once, however long finds are trusted', async (t) => {
  const { store, write } = createSpaces(t)
  await settled(write('user', 'before'))
  assert.equal(await description(store), 'before')
  write('user', 'after the change')
  assert.equal(await description(store), 'after the change')
})

test('a found file that is removed is gone at once', async (t) => {
  const { store, write } = createSpaces(t)
  const path = write('user', 'there')
  await settled(path)
  assert.equal(await description(store), 'there')
  rmSync(path)
  assert.equal(await description(store), undefined)
})

test('within the trusted time a file that newly comes first does not replace what was found', async (t) => {
  const { store, write } = createSpaces(t)
  await settled(write('user', 'of the user'))
  assert.equal(await description(store), 'of the user')
  write('project', 'of the project')
  assert.equal(await description(store), 'of the user')
})
