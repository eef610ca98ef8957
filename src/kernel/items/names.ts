/** Ids are file stems: no separators, no leading dot or dash, so that an id can be put into a path or a command line. */
export const ITEM_ID: RegExp = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/

export const VERSION: RegExp = /^\d+(\.\d+){0,2}([-+][0-9A-Za-z.-]+)?$/

/** Keys that reach an object's prototype when a careless program copies them. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/** Name of a parameter or input; `__` in front is kept for the execution context. */
export const PARAMETER_NAME: RegExp = /^(?!__)[A-Za-z_][A-Za-z0-9_-]{0,63}$/

/** Id of a capability: names with dots between. */
export const CAPABILITY_ID: RegExp = /^[A-Za-z][\w-]*(\.[A-Za-z][\w-]*)+$/
