import { parseSync, type Program } from 'oxc-parser'
import { checkNesting } from '../items/module-nesting.ts'
import { checkModuleSyntax } from '../items/module-syntax.ts'
import type { Finding, SourceText } from '../items/source-text.ts'

/** A file that a module names to be loaded. */
export interface ModuleImport {
  readonly specifier: string
  /** UTF-16 index into the module's text. */
  readonly offset: number
}

export type ModuleImports =
  | { readonly kind: 'imports'; readonly imports: readonly ModuleImport[] }
  | { readonly kind: 'unreadable'; readonly finding: Finding }

/** A text that may be a specifier of something other than a package; escapes are left to the loader, which refuses what is not listed. */
const MAY_NAME_A_FILE = /['"`](?:\.{1,2}(?:\/|['"`])|\/|file:|#)/
const PLAIN_TEXT = /^(['"`])([^'"`\\$\n\r]*)\1$/
/** A package or a module of Node: what is neither a path, a `file:` URL nor an alias of package.json. */
const PACKAGE = /^(?!file:)[^./#]/

/** False for a module that surely loads nothing of its own folder; most do not, and are not parsed again for that. */
export function mayImportFiles({ text }: SourceText): boolean {
  return MAY_NAME_A_FILE.test(text)
}

/**
 * What a module loads besides packages and Node's own modules: static imports, `export … from` and dynamic imports of a literal. Imports
 * of types only are left out, as Node leaves them out. The text is parsed, never run.
 */
export function importsOf(source: SourceText, language: 'ts' | 'js'): ModuleImports {
  const { text } = source
  const nesting = checkNesting(text)
  if (nesting.kind === 'too_deep') return unreadable(source, nesting.offset, 'the code is nested too deeply to be read safely')
  const { program, module, errors } = parseSync(`module.${language}`, text, {
    lang: language,
    sourceType: 'module',
    preserveParens: false,
  })
  const error = errors.find(({ severity }: { readonly severity: string }) => severity === 'Error')
  if (error !== undefined) return unreadable(source, error.labels[0]?.start ?? 0, `a syntax error: ${error.message}`)
  const [problem] = checkModuleSyntax(program, source).problems
  if (problem !== undefined) return { kind: 'unreadable', finding: problem }
  const dynamic = module.dynamicImports.flatMap(({ moduleRequest: { start, end } }) => {
    const specifier = PLAIN_TEXT.exec(text.slice(start, end))?.[2]
    return specifier === undefined ? [] : [{ specifier, offset: start }]
  })
  return { kind: 'imports', imports: [...staticImports(program), ...dynamic].filter(({ specifier }) => !PACKAGE.test(specifier)) }
}

function staticImports(program: Program): readonly ModuleImport[] {
  const imports: ModuleImport[] = []
  for (const statement of program.body) {
    const isImport = statement.type === 'ImportDeclaration'
    const isExport = statement.type === 'ExportNamedDeclaration' || statement.type === 'ExportAllDeclaration'
    if (!isImport && !isExport) continue
    // `import { type A }` still loads the module; only `import type` does not.
    if ((isImport ? statement.importKind : statement.exportKind) === 'type' || statement.source === null) continue
    imports.push({ specifier: statement.source.value, offset: statement.source.start })
  }
  return imports
}

function unreadable(source: SourceText, offset: number, reason: string): ModuleImports {
  return { kind: 'unreadable', finding: { ...source.position(offset), reason, fix: 'Correct the code at this place.' } }
}
