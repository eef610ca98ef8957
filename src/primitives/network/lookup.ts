/** All addresses of a name. Rejects like `dns.lookup` does, with a `code`. */
export type Lookup = (name: string) => Promise<readonly { readonly address: string }[]>
