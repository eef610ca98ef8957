/** Wakes many threads at their times with one timer of the process. */
export interface Timers {
  /** Replaces an earlier time of the same thread. */
  set(threadId: string, atMs: number): void
  clear(threadId: string): void
  count(): number
  /** For good: a thread that parks while its host closes sets no time any more, which would keep the process. */
  close(): void
}

/** Node's longest timer; a later time is reached in steps. */
const MAX_DELAY_MS = 2_000_000_000

interface Item {
  readonly threadId: string
  readonly atMs: number
}

export function createTimers(now: () => number, onDue: (threadId: string) => void): Timers {
  const heap: Item[] = []
  /** The valid time per thread; an item of the heap that differs from it is stale. */
  const times = new Map<string, number>()
  let timer: NodeJS.Timeout | null = null
  let closed = false

  function arm(): void {
    if (timer !== null) clearTimeout(timer)
    timer = null
    const first = heap[0]
    if (first !== undefined) timer = setTimeout(fire, Math.min(Math.max(0, first.atMs - now()), MAX_DELAY_MS))
  }

  function fire(): void {
    const nowMs = now()
    for (let first = heap[0]; first !== undefined && first.atMs <= nowMs; first = heap[0]) {
      pop(heap)
      if (times.get(first.threadId) !== first.atMs) continue
      times.delete(first.threadId)
      onDue(first.threadId)
    }
    arm()
  }

  return {
    set(threadId, atMs) {
      if (closed) return
      times.set(threadId, atMs)
      push(heap, { threadId, atMs })
      if (heap[0]?.threadId === threadId) arm()
    },
    clear(threadId) {
      times.delete(threadId)
      if (times.size > 0) return
      heap.length = 0
      arm()
    },
    count: () => times.size,
    close() {
      closed = true
      times.clear()
      heap.length = 0
      arm()
    },
  }
}

function push(heap: Item[], item: Item): void {
  let index = heap.push(item) - 1
  while (index > 0) {
    const above = (index - 1) >> 1
    const parent = heap[above]
    if (parent === undefined || parent.atMs <= item.atMs) break
    heap[index] = parent
    index = above
  }
  heap[index] = item
}

function pop(heap: Item[]): void {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let index = 0
  for (;;) {
    const left = heap[index * 2 + 1]
    const right = heap[index * 2 + 2]
    if (left === undefined) break
    const smaller = right !== undefined && right.atMs < left.atMs ? right : left
    if (smaller.atMs >= last.atMs) break
    heap[index] = smaller
    index = index * 2 + (smaller === left ? 1 : 2)
  }
  heap[index] = last
}
