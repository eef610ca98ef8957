// Part of `npm run test:pack`: every import of the built package, as it lies installed. A lazy import that leads nowhere fails at its first use only,
// which no other step may reach, and a package that only developers have is found by chance where another package brings it along.
import { existsSync, globSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import { parseSync } from 'oxc-parser'

const MAX_SHOWN = 20

/** Returns {modules, lazy, packages} of a package's folder: counts of files and of `import()`, and the packages that are imported. Throws at what cannot resolve. */
export function checkImports(folder) {
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const problems = []
  const imported = new Set()
  const files = globSync('{bin,dist}/**/*.{js,d.ts}', { cwd: folder })
  const parsed = files.map((path) => ({ path, ...requestsOf(path, readFileSync(join(folder, path), 'utf8')) }))
  for (const { path, requests } of parsed) {
    for (const request of requests.filter((one) => !isBuiltin(one))) {
      if (request.startsWith('.')) {
        // Declarations name the sources, which TypeScript finds as declarations.
        const target = path.endsWith('.d.ts') ? request.replace(/\.ts$/u, '.d.ts') : request
        if (!existsSync(join(folder, dirname(path), target))) problems.push(`${path} imports ${request}, which is not there`)
      } else {
        const name = packageOf(request)
        imported.add(name)
        if (!Object.hasOwn(dependencies, name)) problems.push(`${path} imports ${request}, which is no dependency`)
      }
    }
  }
  for (const name of Object.keys(dependencies)) {
    if (!imported.has(name)) problems.push(`${name} is a dependency that nothing imports`)
  }
  if (problems.length > 0) throw new Error(`The package as installed:\n${problems.slice(0, MAX_SHOWN).join('\n')}`)
  const lazy = parsed.reduce((sum, one) => sum + one.lazy.length, 0)
  if (lazy === 0) throw new Error('Expected lazy imports in the package, found none: the check sees nothing.')
  return { modules: files.length, lazy, packages: imported.size }
}

function requestsOf(path, text) {
  const { module, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0].message}`)
  // What is not written out cannot be looked up: the file of an item, for example.
  const lazy = module.dynamicImports
    .map(({ moduleRequest: { start, end } }) => /^(['"])(.*)\1$/u.exec(text.slice(start, end))?.[2])
    .filter((request) => request !== undefined)
  const requests = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) => entries.map(({ moduleRequest }) => moduleRequest?.value)),
    ...lazy,
  ]
  return { requests: [...new Set(requests)].filter((request) => request !== undefined), lazy }
}

function packageOf(request) {
  return request
    .split('/')
    .slice(0, request.startsWith('@') ? 2 : 1)
    .join('/')
}
