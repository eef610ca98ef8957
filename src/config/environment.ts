/** Environment variables by name, as `process.env` has them; an absent one is undefined. */
export type Environment = Readonly<Record<string, string | undefined>>
