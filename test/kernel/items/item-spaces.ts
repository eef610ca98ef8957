import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { createItemStore } from '../../../src/kernel/items/item-store.ts'
import type { ItemStore } from '../../../src/kernel/items/item-store.ts'
import type { Space } from '../../../src/kernel/items/item.ts'

/** Three spaces in a temporary folder, removed with everything that was opened on them when the test ends. */
export interface ItemSpaces {
  readonly folder: string
  readonly spaces: Readonly<Record<Space, string>>
  readonly write: (space: Space, path: string, content: string | Uint8Array) => string
  readonly store: () => ItemStore
}

export function createItemSpaces(t: TestContext): ItemSpaces {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-items-'))
  const spaces = { project: join(folder, 'project', '.ai'), user: join(folder, 'home', '.ai'), system: join(folder, 'system') }
  const stores: ItemStore[] = []
  t.after(() => {
    for (const store of stores) store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    folder,
    spaces,
    write(space, path, content) {
      const target = join(spaces[space], path)
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, content)
      return target
    },
    store() {
      const store = createItemStore({ spaces, projectPath: join(folder, 'project') })
      stores.push(store)
      return store
    },
  }
}

export function toolYaml(id: string, extra: string = ''): string {
  return `tool_id: ${id}\ntool_type: http\nversion: "1.0.0"\nexecutor_id: http_client\ndescription: a tool named ${id}\n${extra}`
}

export function toolModule(extra: string = '', id: string = 'node'): string {
  const metadata = `export const __tool_type__ = 'runtime'\nexport const __version__ = '1.0.0'\nexport const __executor_id__ = '${id}'\n`
  return `${metadata}export const __description__ = 'a runtime tool'\n${extra}\nexport default async (params) => params\n`
}

export function directiveFile(
  name: string,
  options: { readonly metadata?: string; readonly body?: string; readonly version?: string } = {},
): string {
  const version = options.version ?? '1.0.0'
  const metadata = options.metadata ?? COMPLETE_METADATA
  const body = options.body ?? '<process>\n<step name="first"><description>Look.</description></step>\n</process>'
  const xml = `<directive name="${name}" version="${version}">\n<metadata>\n${metadata}\n</metadata>\n${body}\n</directive>`
  return `# ${name}\n\n\`\`\`xml\n${xml}\n\`\`\`\n`
}

export const COMPLETE_METADATA = [
  '<description>A test directive</description>',
  '<model tier="fast" fallback="balanced"/>',
  '<cost><max_turns>10</max_turns><on_exceeded>stop</on_exceeded></cost>',
  '<permissions><read resource="filesystem" path="src/**"/></permissions>',
].join('\n')
