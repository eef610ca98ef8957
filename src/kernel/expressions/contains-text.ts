/** The built-in search may look at every character of a longer part again at each place. */
const SHORT = 32

/** Whether `part` stands in `text`, in time linear in both (Knuth, Morris and Pratt). */
export function containsText(text: string, part: string): boolean {
  if (part.length <= SHORT) return text.includes(part)
  if (part.length > text.length) return false
  const borders = bordersOf(part)
  let matched = 0
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    while (matched > 0 && part.charCodeAt(matched) !== code) matched = borders[matched - 1] ?? 0
    if (part.charCodeAt(matched) === code) matched += 1
    if (matched === part.length) return true
  }
  return false
}

/** For each length of a beginning of `part`: how much of its end is a shorter beginning of `part` again. */
function bordersOf(part: string): Int32Array {
  const borders = new Int32Array(part.length)
  let matched = 0
  for (let at = 1; at < part.length; at += 1) {
    while (matched > 0 && part.charCodeAt(matched) !== part.charCodeAt(at)) matched = borders[matched - 1] ?? 0
    if (part.charCodeAt(matched) === part.charCodeAt(at)) matched += 1
    borders[at] = matched
  }
  return borders
}
