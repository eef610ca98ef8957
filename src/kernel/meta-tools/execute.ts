import type { JsonObject } from '../../json.ts'
import type { ExecutionContext } from '../chain/primitive.ts'
import { createSchemaValidation } from '../chain/schema-validation.ts'
import type { TrustedItems } from '../chain/trusted-items.ts'
import type { Authorize } from '../contract.ts'
import { KiwiError } from '../errors.ts'
import { directiveGaps } from '../items/directive-gaps.ts'
import type { Definition, DirectiveDefinition, DirectiveInput, Item, ItemType } from '../items/item.ts'
import { assertPermitted, invalidRequest, type MetaTool, requiredItem } from './request.ts'

export interface ExecuteOptions {
  readonly items: TrustedItems
  readonly authorize: Authorize | undefined
}

/** Runs of anything that is data: it is handed to the caller, and what to do with it is the caller's business. */
export function createDataExecute({ items, authorize }: ExecuteOptions): MetaTool {
  const validation = createSchemaValidation()
  // A schema is compiled once for as long as its object lives, so every run of a directive is checked with the same one.
  const schemas = new WeakMap<DirectiveDefinition, JsonObject>()
  const schemaOf = (directive: DirectiveDefinition): JsonObject => {
    const schema = schemas.get(directive) ?? inputSchema(directive)
    schemas.set(directive, schema)
    return schema
  }

  const open = async (
    type: ItemType,
    id: string,
    call: { readonly parameters: JsonObject; readonly context: ExecutionContext },
  ): Promise<{ item: Item; definition: Definition }> => {
    const { item } = await items.require(type, id)
    await assertPermitted(authorize, { verb: 'execute', itemType: type, itemId: id, category: item.category, ...call })
    if (item.state.kind !== 'available') throw new KiwiError('ITEM_UNAVAILABLE', `The ${type} "${id}" cannot be used.`)
    return { item, definition: item.state.definition }
  }

  return async (request, context) => {
    const { type, id } = requiredItem('execute', request)
    const parameters = request.parameters ?? {}
    const { item, definition } = await open(type, id, { parameters, context })
    switch (definition.kind) {
      case 'directive': {
        const inputs = givenInputs(definition, parameters)
        const violations = await validation.check(schemaOf(definition), inputs)
        if (violations.length > 0) {
          throw new KiwiError(
            'PARAMETER_VALIDATION_ERROR',
            `The inputs of "${id}" do not fit: ${violations.map(({ field, error }) => `${field} ${error}`).join('; ')}.`,
            {
              failedAt: { tool_id: id, config_path: null, validation_errors: violations },
            },
          )
        }
        return directiveAsData(definition, inputs)
      }
      case 'knowledge': {
        if (Object.keys(parameters).length > 0)
          throw invalidRequest(`Knowledge takes no parameters, got ${Object.keys(parameters).join(', ')}`)
        const { title, content, tags, links } = definition
        return { success: true, item_type: type, item_id: id, category: item.category, title, content, tags, links }
      }
      case 'tool':
        throw new KiwiError('INTERNAL', 'Tools are run by the executor.')
    }
  }
}

/** Given and default inputs. @throws {KiwiError} MISSING_INPUTS with everything that is missing at once. */
function givenInputs({ name, inputs }: DirectiveDefinition, parameters: JsonObject): JsonObject {
  const missing = inputs.filter(
    (input) => input.required && input.default === undefined && !Object.hasOwn(parameters, input.name),
  )
  if (missing.length > 0) {
    const names = missing.map((input) => input.name)
    throw new KiwiError('MISSING_INPUTS', `The directive "${name}" needs ${names.join(', ')}.`, {
      suggestion: `Execute it again with parameters: {${names.map((one) => `"${one}": …`).join(', ')}}.`,
      facts: { missing_inputs: missing.map((input) => ({ name: input.name, type: input.type, description: input.description })) },
    })
  }
  const defaults = inputs.flatMap((input) => (input.default === undefined ? [] : [[input.name, input.default] as const]))
  return { ...Object.fromEntries(defaults), ...parameters }
}

function inputSchema({ inputs }: DirectiveDefinition): JsonObject {
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(inputs.map(({ name, type }) => [name, { type }])),
  }
}

function directiveAsData(
  definition: DirectiveDefinition,
  values: JsonObject,
): { readonly success: true } & Readonly<Record<string, unknown>> {
  const { name, description, version, steps, inputs, permissions, cost, context, successCriteria } = definition
  const gaps = directiveGaps(definition)
  const canSpawn = gaps.length === 0
  const message = canSpawn
    ? `Follow the steps of process here, or run it on a thread of its own: execute tool thread_directive with {"directive_name": "${name}", "inputs": {…}}.`
    : `Follow the steps of process here. It cannot be spawned on a thread: ${gaps.map(({ reason }) => reason).join(', ')}.`
  return {
    success: true,
    status: 'ready',
    item_type: 'directive',
    item_id: name,
    directive: {
      name,
      description,
      version,
      context,
      process: steps.map((step) => `${step.name}: ${step.text}`),
      inputs: inputs.map((input) => shownInput(input, values)),
      permissions: permissions ?? [],
      cost,
      success_criteria: successCriteria,
      outputs: definition.outputs,
      ...(definition.outputsSchema === null ? {} : { outputs_schema: definition.outputsSchema }),
    },
    can_spawn_thread: canSpawn,
    message,
  }
}

function shownInput(input: DirectiveInput, values: JsonObject): DirectiveInput & { readonly value?: unknown } {
  return Object.hasOwn(values, input.name) ? { ...input, value: values[input.name] } : input
}
