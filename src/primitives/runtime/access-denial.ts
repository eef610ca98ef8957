/**
 * What Node's permission model denied to a tool, said in the words of tools and directives: its own message names flags that nobody here
 * can give.
 */
import { isAbsolute, relative } from 'node:path'
import type { Denial } from './worker/messages.ts'

export interface ExplainedDenial {
  /** Begins with a lower-case letter. */
  readonly message: string
  readonly suggestion: string
}

/** Spelled into the suggestion only when it can stand in both places as it is. */
const PLAIN_PATH = /^[\w.@+-][\w.@+ /-]{0,200}$/
const MAX_SHOWN_CHARS = 300

/** `projectPath` as the tool knew it. Null for what has no better words than Node's. */
export function explainDenial({ permission, resource }: Denial, projectPath: string): ExplainedDenial | null {
  switch (permission) {
    case 'FileSystemRead':
      return files('read', resource, projectPath)
    case 'FileSystemWrite':
      return files('write', resource, projectPath)
    case 'Net':
      return {
        message: 'a tool opens no connections of its own and resolves no names.',
        suggestion:
          'Use fetch(), which the host makes for it. Let the tool require net.http (`__requires__`), and the directive of a thread ' +
          'declare <execute resource="net" host="…"/>.',
      }
    case 'ChildProcess':
      return {
        message: 'a runtime tool starts no processes.',
        suggestion:
          'Write the tool in YAML with executor_id: subprocess, or let the directive call bash; both need <execute resource="shell"/>.',
      }
    case 'WorkerThreads':
      return { message: 'a runtime tool starts no threads.', suggestion: 'Do the work in the tool’s own function.' }
    default:
      return null
  }
}

function files(verb: 'read' | 'write', resource: string, projectPath: string): ExplainedDenial {
  const path = resource === '' ? 'this path' : clipped(placeOf(resource, projectPath))
  if (isAbsolute(path) || path.split('/').includes('..'))
    return {
      message: `this call may not ${verb} ${path}, which is not in the project.`,
      suggestion:
        'A tool reaches files of the project only, below the projectPath of its context. Give it what else it needs as a parameter.',
    }
  const scope = PLAIN_PATH.test(path) ? path : '…'
  return {
    message: `this call may not ${verb} ${path}.`,
    suggestion:
      `Let the tool require it (__requires__ = [{ cap: 'fs.${verb}', scope: { path: '${scope}' } }], where '{name}' stands for a ` +
      `parameter), and the directive of a thread declare <${verb} resource="filesystem" path="${scope}"/>. Then sign what was changed.`,
  }
}

function placeOf(resource: string, projectPath: string): string {
  const below = relative(projectPath, resource)
  if (below === '') return '.'
  return below === '..' || below.startsWith('../') ? resource : below
}

function clipped(text: string): string {
  return text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text
}
