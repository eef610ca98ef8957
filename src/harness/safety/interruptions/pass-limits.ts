import type { Interruption, Scene } from '../turn/scene.ts'
import { reachedLimit } from '../turn/turn-draft.ts'
import { interrupt } from './interrupt.ts'

/** Goes on where no limit keeps the thread from another model call; otherwise a hook or a person may have a say, as the limit allows it. */
export async function passLimits(scene: Scene): Promise<Interruption> {
  const { data, reached } = reachedLimit(scene.ctx, scene.data, scene.prepared)
  if (reached === null) return { kind: 'go_on', data }
  return interrupt({ ...scene, data }, reached.event, reached.consequence)
}
