#!/usr/bin/env node
// Plain JavaScript on purpose: an old Node must be able to read this file and be told what is wrong.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 24 || (major === 24 && minor < 15)) {
  process.stderr.write(
    `kiwi needs Node 24.15 or newer, and this is Node ${process.versions.node} (${process.execPath}).\n` +
      'In a checkout, run it through npm, which brings its own Node: npm run -s kiwi -- --help\n',
  )
  process.exit(1)
}

// A checkout runs its sources; Node strips no types below node_modules, so an installed package runs its build.
const here = fileURLToPath(import.meta.url)
const source = new URL('../src/cli/main.ts', import.meta.url)
const isCheckout = !here.includes('node_modules') && existsSync(source)
const { main } = await import(isCheckout ? source.href : new URL('../dist/src/cli/main.js', import.meta.url).href)
await main(process.argv.slice(2))
