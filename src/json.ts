/** Any JSON value. Numbers are finite; `undefined` never appears. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject

/** A JSON object with own, enumerable, non-prototype keys only. */
export interface JsonObject {
  readonly [key: string]: Json
}
