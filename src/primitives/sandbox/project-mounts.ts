/**
 * What of the project a command sees, as arguments of bubblewrap.
 *
 * M1. What is mounted was opened first, without following a link, and bubblewrap mounts what was opened.
 * M2. The deny list wins, also inside a granted tree; no `.ai` is ever writable, that of a project further down neither.
 * M3. Only what a scope names: a folder is mounted with all that is in it for a tree alone.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import { denialOf } from '../files/relative-path.ts'
import { codeOf } from '../files/system-error.ts'
import type { ClosedEntries, ClosedEntry } from './closed-entries.ts'
import { type Grant, type PathRule, SandboxError } from './contract.ts'
import type { HandedDescriptors } from './handed-descriptors.ts'
import { openEntry, placeIn, type ProjectEntry } from './project-entry.ts'

export interface ProjectView {
  readonly args: readonly string[]
  /** Folders in which the command can make new names. */
  readonly writable: readonly (readonly string[])[]
  /** What was closed in them when the command began. */
  readonly closed: readonly ClosedEntry[]
  /** Takes away what was only made to be mounted, if it is as it was made. */
  removeScaffold(): void
}

export interface ProjectViewOptions {
  readonly root: string
  /** Without one, of the project there is its `program` alone. */
  readonly grant: Pick<Grant, 'read' | 'write'> | undefined
  /** Shown read-only whatever is granted. */
  readonly program?: readonly (readonly string[])[]
  readonly hidden: readonly string[]
  readonly closedEntries: ClosedEntries
  readonly descriptors: HandedDescriptors
}

const PROJECT = '/project'
/** Each takes a descriptor of the process. */
const MAX_SINGLE_FILES = 500
const MAX_CLOSED = 1_000

interface Wanted {
  readonly rule: PathRule
  readonly access: 'read' | 'write'
}

/** @throws {SandboxError} LIMIT_EXCEEDED, CONFIG_VALIDATION_ERROR */
export async function planProjectView(options: ProjectViewOptions): Promise<ProjectView> {
  const { root, closedEntries } = options
  const scaffold: (() => void)[] = []
  const plan: Plan = { ...options, args: [], trees: [], writable: [], singleFiles: 0, scaffold }
  for (const wanted of mountOrder(options)) {
    if (wanted.rule.kind === 'tree') mountTree(plan, wanted)
    else if (wanted.rule.kind === 'exact') mountExact(plan, wanted)
    else mountNames(plan, wanted)
  }
  if (plan.writable.some((base) => base.length === 0)) freezeItems(plan, root)
  for (const path of options.program ?? []) mountProgram(plan, path)
  const closed = await closedEntries.below(outermost(plan.trees))
  return {
    args: [...plan.args, ...closing(plan, closed)],
    writable: outermost(plan.writable),
    closed,
    removeScaffold: () => scaffold.toReversed().forEach((remove) => remove()),
  }
}

interface Plan extends ProjectViewOptions {
  readonly args: string[]
  readonly trees: (readonly string[])[]
  readonly writable: (readonly string[])[]
  readonly scaffold: (() => void)[]
  singleFiles: number
}

const NOTHING: Pick<Grant, 'read' | 'write'> = { read: [], write: [] }

/** Outer folders first, so that an inner mount lies on top; what an outer tree gives already is left out. */
function mountOrder({ root, grant = NOTHING, hidden }: ProjectViewOptions): readonly Wanted[] {
  const all: Wanted[] = [
    ...grant.read.map((rule) => ({ rule, access: 'read' }) as const),
    // What may not be written is still granted for reading, because whatever may be written may be read.
    ...grant.write.map((rule) => ({ rule, access: denialOf(rule.base, 'write') === null ? 'write' : 'read' }) as const),
  ]
  const open = all.filter(({ rule }) => denialOf(rule.base, 'read') === null && !isHidden([root, ...rule.base].join('/'), hidden))
  const given = (wanted: Wanted, index: number): boolean =>
    open.some(({ rule, access }, at) => {
      if (at === index || rule.kind !== 'tree' || !startsWith(wanted.rule.base, rule.base)) return false
      const same = wanted.rule.kind === 'tree' && wanted.rule.base.length === rule.base.length && wanted.access === access
      return same ? at < index : access === 'write' || wanted.access === 'read'
    })
  return open
    .filter((wanted, index) => !given(wanted, index))
    .toSorted((one, other) => one.rule.base.length - other.rule.base.length || rank(one) - rank(other))
}

const rank = ({ rule, access }: Wanted): number => (rule.kind === 'tree' ? 0 : 2) + (access === 'read' ? 0 : 1)

function mountTree(plan: Plan, { rule, access }: Wanted): void {
  const write = access === 'write'
  const entry = openEntry(plan.root, rule.base, { create: write })
  if (entry === null) return
  if (!entry.stats.isDirectory()) return closeSync(entry.fd)
  plan.trees.push(rule.base)
  if (write) plan.writable.push(rule.base)
  bind(plan, rule.base, { entry, write })
}

/** On top of what is granted. @throws {SandboxError} CONFIG_VALIDATION_ERROR where it is closed or not there. */
function mountProgram(plan: Plan, path: readonly string[]): void {
  const name = JSON.stringify(path.join('/'))
  const refuse = (reason: string): SandboxError =>
    new SandboxError('CONFIG_VALIDATION_ERROR', `\`program\` names ${name}, ${reason}.`)
  if (path.length === 0 || denialOf(path, 'read') !== null || isHidden([plan.root, ...path].join('/'), plan.hidden))
    throw refuse('which is closed to commands')
  const entry = openEntry(plan.root, path, { create: false })
  if (entry === null) throw refuse('which is not in the project, or there is a link on the way')
  if (entry.stats.isFile()) {
    countSingle(plan, entry)
  } else if (entry.stats.isDirectory()) {
    plan.trees.push(path)
  } else {
    closeSync(entry.fd)
    throw refuse('which is no file and no folder')
  }
  bind(plan, path, { entry, write: false })
}

function mountExact(plan: Plan, { rule, access }: Wanted): void {
  const write = access === 'write'
  if (rule.base.length === 0) return
  const entry = openEntry(plan.root, rule.base, { create: false }) ?? (write ? placeholder(plan, rule.base) : null)
  if (entry !== null) mountSingle(plan, rule.base, { entry, write })
}

function mountNames(plan: Plan, { rule, access }: Wanted): void {
  const folder = openEntry(plan.root, rule.base, { create: false })
  if (folder === null) return
  try {
    if (!folder.stats.isDirectory()) return
    plan.args.push('--dir', inside(rule.base))
    for (const name of readdirSync(placeIn(folder.fd, '.'))) {
      const path = [...rule.base, name]
      if (!matches(rule, name) || denialOf(path, 'read') !== null || isHidden([plan.root, ...path].join('/'), plan.hidden))
        continue
      const entry = openEntry(plan.root, path, { create: false })
      if (entry !== null) mountSingle(plan, path, { entry, write: access === 'write' && denialOf(path, 'write') === null })
    }
  } finally {
    closeSync(folder.fd)
  }
}

function matches(rule: PathRule, name: string): boolean {
  return rule.kind !== 'extension' || (name.endsWith(rule.suffix) && name.length > rule.suffix.length)
}

/** A file as it is; of a folder only that it is there. Anything else is nothing that a path scope means. */
function mountSingle(
  plan: Plan,
  path: readonly string[],
  { entry, write }: { readonly entry: ProjectEntry; readonly write: boolean },
): void {
  if (entry.stats.isDirectory()) {
    closeSync(entry.fd)
    // Below a mounted tree it is there already, and a read-only one would refuse the call.
    if (!plan.trees.some((tree) => startsWith(path, tree))) plan.args.push('--dir', inside(path))
    return
  }
  if (!entry.stats.isFile()) return closeSync(entry.fd)
  countSingle(plan, entry)
  // Another name of the same file may lie anywhere, so writing it could change a file elsewhere.
  bind(plan, path, { entry, write: write && entry.stats.nlink === 1 })
}

/** Each takes a descriptor. @throws {SandboxError} LIMIT_EXCEEDED; then the entry is closed. */
function countSingle(plan: Plan, { fd }: ProjectEntry): void {
  plan.singleFiles += 1
  if (plan.singleFiles <= MAX_SINGLE_FILES) return
  closeSync(fd)
  throw new SandboxError(
    'LIMIT_EXCEEDED',
    `More than ${MAX_SINGLE_FILES} single files (or nested .ai folders) are granted. Grant the folder as a whole ("folder/**"), or fewer.`,
  )
}

function bind(
  plan: Plan,
  path: readonly string[],
  { entry, write }: { readonly entry: ProjectEntry; readonly write: boolean },
): void {
  plan.args.push(write ? '--bind-fd' : '--ro-bind-fd', plan.descriptors.hand(entry.fd), inside(path))
}

/** An empty file that can be mounted where a file may be made: a folder alone would let any name be made. */
function placeholder(plan: Plan, path: readonly string[]): ProjectEntry | null {
  const name = path.at(-1)
  const folder = openEntry(plan.root, path.slice(0, -1), { create: false })
  if (folder === null) return null
  try {
    if (name === undefined || !folder.stats.isDirectory()) return null
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
    const file = openSync(placeIn(folder.fd, name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644)
    const made = fstatSync(file, { bigint: true })
    closeSync(file)
    plan.scaffold.push(() =>
      takeAway(plan.root, path, {
        asMade: (stats) => stats.ino === made.ino && stats.size === 0n && stats.mtimeNs === made.mtimeNs,
        remove: unlinkSync,
      }),
    )
    return openEntry(plan.root, path, { create: false })
  } catch (error) {
    if (['EEXIST', 'ELOOP', 'EACCES', 'EROFS'].includes(codeOf(error))) return null
    throw error
  } finally {
    closeSync(folder.fd)
  }
}

/** Items are changed by their owner. The folder is made where there is none, or the command could make it. */
function freezeItems(plan: Plan, root: string): void {
  const path = ['.ai']
  const there = openEntry(root, path, { create: false })
  const entry = there ?? openEntry(root, path, { create: true })
  if (entry === null) return
  if (!entry.stats.isDirectory()) return closeSync(entry.fd)
  bind(plan, path, { entry, write: false })
  if (there === null) plan.scaffold.push(() => takeAway(root, path, { asMade: () => true, remove: rmdirSync }))
}

function takeAway(
  root: string,
  path: readonly string[],
  {
    asMade,
    remove,
  }: { readonly asMade: (stats: ReturnType<typeof bigStats>) => boolean; readonly remove: (place: string) => void },
): void {
  const folder = openEntry(root, path.slice(0, -1), { create: false })
  const entry = openEntry(root, path, { create: false })
  try {
    if (folder !== null && entry !== null && asMade(bigStats(entry.fd))) remove(placeIn(folder.fd, path.at(-1) ?? ''))
  } catch (error) {
    // Something was put into it, or it is gone: then it is not ours any more.
    if (!['ENOTEMPTY', 'ENOENT', 'EEXIST', 'EBUSY'].includes(codeOf(error))) throw error
  } finally {
    if (folder !== null) closeSync(folder.fd)
    if (entry !== null) closeSync(entry.fd)
  }
}

const bigStats = (fd: number): { ino: bigint; size: bigint; mtimeNs: bigint } => fstatSync(fd, { bigint: true })

function closing(plan: Plan, all: readonly ClosedEntry[]): readonly string[] {
  // The project's own `.ai` was mounted read-only.
  const closed = all.filter(({ as, type, path }) => (as === 'gone' || path.join('/') !== '.ai') && type !== 'link')
  if (closed.length > MAX_CLOSED) {
    throw new SandboxError(
      'LIMIT_EXCEEDED',
      `The granted folders hold ${closed.length} things that must stay closed (such as .git and .env), more than ${MAX_CLOSED}. Grant a narrower path.`,
    )
  }
  return closed.flatMap(({ path, type, as }) => {
    // A name that differs only in case is nothing that anyone needs.
    const frozen = as === 'frozen' && type === 'folder' && path.at(-1) === '.ai'
    return frozen ? readOnly(plan, path) : masked(path, type)
  })
}

function masked(path: readonly string[], type: ClosedEntry['type']): readonly string[] {
  const place = inside(path)
  return type === 'folder' ? ['--tmpfs', place, '--remount-ro', place] : ['--ro-bind', '/dev/null', place]
}

/** A folder inside a tree: as it is, and not to be written where the tree is. */
function readOnly(plan: Plan, path: readonly string[]): readonly string[] {
  if (!plan.writable.some((base) => startsWith(path, base))) return []
  const entry = openEntry(plan.root, path, { create: false })
  // Gone or another thing since it was looked at.
  if (entry === null) return []
  if (!entry.stats.isDirectory()) {
    closeSync(entry.fd)
    return masked(path, 'file')
  }
  countSingle(plan, entry)
  return ['--ro-bind-fd', plan.descriptors.hand(entry.fd), inside(path)]
}

/** Without those that lie in another one. */
function outermost(bases: readonly (readonly string[])[]): readonly (readonly string[])[] {
  return bases.filter(
    (base, index) =>
      !bases.some((other, at) => at !== index && startsWith(base, other) && (other.length < base.length || at < index)),
  )
}

function startsWith(path: readonly string[], base: readonly string[]): boolean {
  return base.every((segment, index) => path[index] === segment)
}

function isHidden(place: string, hidden: readonly string[]): boolean {
  return hidden.some((folder) => place === folder || place.startsWith(`${folder}/`))
}

export const inside = (path: readonly string[]): string => [PROJECT, ...path].join('/')
