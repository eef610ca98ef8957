// Second half of the build: `tsc` writes the shipped tools to dist/system as JavaScript; this puts the items that are text beside them.
import { cpSync, globSync, rmSync } from 'node:fs'

const TEXT_ITEMS = 'system/**/*.{yaml,yml,md}'

const items = globSync(TEXT_ITEMS)
if (items.length === 0) {
  console.error(`Expected ${TEXT_ITEMS} to match the shipped items, found none. Run the build from the package's root.`)
  process.exit(1)
}
for (const item of items) cpSync(item, `dist/${item}`)
// A runtime tool is one file: declarations and maps beside it would be listed as items.
for (const extra of globSync('dist/system/**/*.{d.ts,js.map}')) rmSync(extra)
console.log(`${items.length} text items copied to dist/system`)
