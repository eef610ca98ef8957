/** Deeper or wider texts are refused before they are parsed: ten million brackets are ten megabytes of text and a gigabyte of values. */
export interface JsonBounds {
  readonly maxDepth: number
  /** Values in arrays and objects together. */
  readonly maxValues: number
}

const QUOTE = 34
const COMMA = 44
const OPEN_BRACKET = 91
const BACKSLASH = 92
const CLOSE_BRACKET = 93
const OPEN_BRACE = 123
const CLOSE_BRACE = 125

/** Whether parsing the text makes no more than what the bounds allow. Says nothing about whether it is JSON. */
export function isWithinBounds(text: string, { maxDepth, maxValues }: JsonBounds): boolean {
  let depth = 0
  let values = 1
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    if (unit === QUOTE) {
      at = endOfString(text, at + 1)
    } else if (unit === OPEN_BRACKET || unit === OPEN_BRACE) {
      depth += 1
      values += 1
    } else if (unit === COMMA) values += 1
    else if (unit === CLOSE_BRACKET || unit === CLOSE_BRACE) depth -= 1
    if (depth > maxDepth || values > maxValues) return false
  }
  return true
}

/** Index of the quote that ends the string whose text begins at `from`, or the end of the text. */
function endOfString(text: string, from: number): number {
  let end = text.indexOf('"', from)
  while (end !== -1) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1
    if (backslashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return text.length
}

/** Of a message: a depth that no schema of a tool comes near, and more values than 10 MiB of ordinary text hold. */
export const MESSAGE_BOUNDS: JsonBounds = { maxDepth: 128, maxValues: 500_000 }

/**
 * Of any other text from outside, which may be one long list of numbers. Writing a value out again takes time with the square of its depth: half
 * a minute for what four million brackets make.
 */
export const TEXT_BOUNDS: JsonBounds = { maxDepth: 512, maxValues: Infinity }
