import type { Environment } from '../config/environment.ts'
import { clip, widthOf } from './format.ts'

/** A line that stays below text which scrolls. On anything but a terminal it is never drawn. */
export interface StatusLine {
  /** Text that may end in the middle of a line; the status is moved out of its way. */
  write(piece: string): void
  /** Text on a line of its own. */
  line(text: string): void
  set(status: string): void
  /** Ends a line that was begun. */
  freshLine(): void
  /** Removes the status; the cursor is then at the start of a line. */
  close(): void
}

/**
 * Draws with index, reverse index and save/restore cursor, so that it needs no idea of where the cursor stands or how wide a character is.
 * `TERM=dumb` gets no status line.
 */
export function createStatusLine(stream: NodeJS.WriteStream, write: (text: string) => void, env: Environment): StatusLine {
  const [dim, reset] = env['NO_COLOR'] ? ['', ''] : [DIM, RESET]
  const isDrawn = stream.isTTY && env['TERM'] !== 'dumb'
  const state = { status: '', atLineStart: true }
  const erase = (): void => {
    if (isDrawn && state.status !== '') write(ERASE_BELOW)
  }
  const draw = (): void => {
    if (isDrawn && state.status !== '')
      write(`${MAKE_ROOM}${SAVE}\r${INDEX}${dim}${clip(state.status, widthOf(stream, 80) - 1)}${reset}${RESTORE}`)
  }
  const put = (text: string): void => {
    if (text === '') return
    erase()
    write(text)
    state.atLineStart = text.endsWith('\n')
    draw()
  }
  return {
    write: put,
    line: (text) => put(`${state.atLineStart ? '' : '\n'}${text}\n`),
    freshLine() {
      if (!state.atLineStart) put('\n')
    },
    set(status) {
      if (status === state.status) return
      erase()
      state.status = status
      draw()
    },
    close() {
      erase()
      state.status = ''
      if (!state.atLineStart) write('\n')
      state.atLineStart = true
    },
  }
}

const ESC = '\u001B'
const INDEX = `${ESC}D`
const MAKE_ROOM = `${ESC}D${ESC}M`
const SAVE = `${ESC}7`
const RESTORE = `${ESC}8`
const ERASE_BELOW = `${ESC}[J`
const DIM = `${ESC}[2m`
const RESET = `${ESC}[0m`
