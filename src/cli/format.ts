import type { JsonObject } from '../json.ts'
import { terminalLine } from './terminal-text.ts'

/** Nano-dollars as dollars: four decimals below ten dollars, two above. */
export function dollars(nano: number): string {
  const usd = nano / 1e9
  return `$${usd.toFixed(usd < 10 ? 4 : 2)}`
}

/** 950, 1.2k, 34k, 1.2M. */
export function count(value: number): string {
  if (value < 1000) return String(value)
  const [scaled, unit] = value < 999_500 ? [value / 1000, 'k'] : [value / 1e6, 'M']
  return `${scaled < 9.95 ? scaled.toFixed(1) : Math.round(scaled)}${unit}`
}

/** How long ago, in its largest unit: 12s, 5m, 3h, 2d. */
export function age(iso: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(iso)) / 1000))
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`
}

/** Left-aligned columns, two spaces apart, without trailing spaces. Cells are made single safe lines. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows].map((row) => row.map(terminalLine))
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** `name  value` lines, names padded to one width; null values are left out. */
export function fields(pairs: readonly (readonly [name: string, value: string | null])[]): string {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== null)
  const width = Math.max(0, ...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${terminalLine(value)}`).join('\n')
}

/** One line, cut to `width` characters. */
export function clip(text: string, width: number): string {
  const line = terminalLine(text)
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1)).replace(/\p{Surrogate}$/u, '')}…`
}

/** Width for one line on a stream; what is no terminal, or one that does not know its size, gets `otherwise`. */
export function widthOf(stream: { readonly columns?: number }, otherwise: number): number {
  return stream.columns !== undefined && stream.columns > 0 ? stream.columns : otherwise
}

/** A number of a JSON object that may lack it. */
export function numberIn(object: JsonObject, name: string): number {
  const value = object[name]
  return typeof value === 'number' ? value : 0
}
