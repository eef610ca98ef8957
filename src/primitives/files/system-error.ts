/** `ENOENT` and the like; empty for an error that the system did not give. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
