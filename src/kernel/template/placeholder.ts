/** A piece of a tool's own text. Caller values are never parsed into parts, so they can neither name a parameter nor an environment variable. */
export type TextPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'parameter'; readonly name: string }
  | { readonly kind: 'environment'; readonly name: string; readonly fallback: string | null }

/** A template that cannot be compiled or rendered. `path` leads to the value in the configuration. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError'
  readonly path: readonly (string | number)[]

  constructor(message: string, path: readonly (string | number)[]) {
    super(message)
    this.path = path
  }
}

// In this order: `$${` and `{{name}}` are escapes, `${` must be an environment variable, `{name}` is a parameter,
// and `{name.` or `{name[` is what someone writes who expects expressions. Every other brace is text, so JSON needs no escape.
const TOKEN = /\$\$\{|\{\{([A-Za-z_][\w-]*)\}\}|\$\{([^}]*)\}?|\{([A-Za-z_][\w-]*)(\}|[.[][^{}]*\})/g
const ENVIRONMENT = /^([A-Za-z_]\w*)(?::-(.*))?$/s

/**
 * Splits a tool's text into literal text, `{parameter}` and `${ENV}` / `${ENV:-default}`.
 *
 * `{{name}}` stands for the text `{name}` and `$${` for `${`. One pass: what comes out is never read again.
 *
 * @throws {TemplateError} for `${…}` that is not an environment variable and for `{a.b}`: there are no expressions.
 */
export function parseText(text: string, path: readonly (string | number)[]): readonly TextPart[] {
  const parts: TextPart[] = []
  let literal = ''
  let end = 0
  const flush = (): void => {
    if (literal !== '') parts.push({ kind: 'text', text: literal })
    literal = ''
  }
  for (const match of text.matchAll(TOKEN)) {
    literal += text.slice(end, match.index)
    end = match.index + match[0].length
    const [whole, escaped, environment, parameter, tail] = match
    if (whole === '$${') literal += '${'
    else if (escaped !== undefined) literal += `{${escaped}}`
    else {
      flush()
      parts.push(
        environment === undefined
          ? parameterPart(whole, parameter ?? '', tail ?? '', path)
          : environmentPart(whole, environment, path),
      )
    }
  }
  literal += text.slice(end)
  flush()
  return parts
}

function parameterPart(whole: string, name: string, tail: string, path: readonly (string | number)[]): TextPart {
  if (tail === '}') return { kind: 'parameter', name }
  throw new TemplateError(
    `A placeholder names one parameter, and ${whole} is an expression. Write {${name}}, or {{…}} around the name for literal braces.`,
    path,
  )
}

function environmentPart(whole: string, inner: string, path: readonly (string | number)[]): TextPart {
  const match = whole.endsWith('}') ? ENVIRONMENT.exec(inner) : null
  const name = match?.[1]
  if (name === undefined) {
    throw new TemplateError(
      `Expected \${NAME} or \${NAME:-default} with a variable name, got ${whole.slice(0, 60)}. Write $\${ for a literal \${.`,
      path,
    )
  }
  return { kind: 'environment', name, fallback: match?.[2] ?? null }
}
