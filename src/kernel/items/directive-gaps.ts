import type { DirectiveDefinition } from './item.ts'

/** Something a directive can be read without, but neither signed as final nor spawned. */
export interface DirectiveGap {
  readonly field: 'version' | 'model' | 'permissions' | 'cost'
  readonly reason: string
  /** The lines to add. */
  readonly fix: string
}

/** What a directive still needs before it may run on a thread; empty when it is complete. */
export function directiveGaps(definition: DirectiveDefinition): readonly DirectiveGap[] {
  const gaps: DirectiveGap[] = []
  if (definition.version === null) {
    gaps.push({ field: 'version', reason: 'no version', fix: `Write \`<directive name="${definition.name}" version="1.0.0">\`.` })
  }
  if (definition.model === null) {
    gaps.push({ field: 'model', reason: 'no `<model>`', fix: 'Add to the metadata: `<model tier="balanced"/>`' })
  }
  if (definition.permissions === null) {
    const fix =
      'Add to the metadata: `<permissions></permissions>`, with one tag for each thing it may do, such as `<read resource="filesystem" path="**"/>`'
    gaps.push({ field: 'permissions', reason: 'no `<permissions>`', fix })
  }
  if (definition.cost === null) {
    const fix = 'Add to the metadata: `<cost><max_turns>10</max_turns><on_exceeded>stop</on_exceeded></cost>`'
    gaps.push({ field: 'cost', reason: 'no `<cost>`', fix })
  }
  return gaps
}
