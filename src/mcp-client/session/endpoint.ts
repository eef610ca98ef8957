import type { HttpTarget, StdioTarget } from './target.ts'
import { quoted } from './failures.ts'

const MAX_ARGS = 3
const SECRET = /key|token|secret|passw|credential|auth/i

/** What messages call a server: the URL without query and credentials, or the command with its first arguments. */
export function describeEndpoint(target: HttpTarget | StdioTarget): string {
  if (target.kind === 'http') {
    if (!URL.canParse(target.url)) return 'no URL'
    const { origin, pathname } = new URL(target.url)
    return quoted(`${origin}${pathname}`)
  }
  const { command, args } = target.process.config
  return describeCommand(command, args)
}

/** A command with its first arguments. One that may be a credential ends what is shown, and so does the one that names it. */
export function describeCommand(command: unknown, args: unknown): string {
  const all: readonly unknown[] = Array.isArray(args) ? args : []
  const shown = all.slice(0, MAX_ARGS).filter((arg): arg is string => typeof arg === 'string')
  const first = shown.findIndex((arg) => SECRET.test(arg))
  const words = [typeof command === 'string' ? command : 'no command', ...(first < 0 ? shown : shown.slice(0, first))]
  const isCut = words.length <= all.length
  return quoted([...words.map((word) => word.slice(0, 200)), ...(isCut ? ['…'] : [])].join(' '))
}
